"""The headline figures of several runs side by side, each beside what it has to beat.

Run as `python benchmarks/evidence.py results/m1s1k1_step6000 results/m1s1k1_step6000_a1b2c3 ...`. A run without a full
card (`metrics_full.json`) gets one first, which takes minutes. A column a run, runs that differ in their seed alone
side by side and summed up as mean +- sd; below, what made each. Without folders: those of `results/` that have a full
card.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ecggen.config import RunConfig
from ecggen.configfile import load_run_config
from ecggen.errors import UserError, one_line
from ecggen.evidence import FULL_FILE, judge_fully
from ecggen.readouts import COMPONENTS, FEATURES, POOLED, RANDOM_POOLED, RANDOM_WIDE, WIDE
from ecggen.rivals import LINEAR, MODEL
from ecggen.runid import run_hash
from ecggen.runs import INFO_FILE
from ecggen.stepfolder import finished_runs, require_finished

Figure = dict[str, Any]  # value, interval
Look = Callable[[dict[str, Any]], Figure]


def rendered(visible: str, metric: str) -> Look:
    return lambda card: card["reconstruction"][visible]["rivals"][MODEL][metric]


def over_linear(visible: str) -> Look:
    return lambda card: card["reconstruction"][visible]["model_less"][LINEAR]["r"]


def probed(reading: str, share: str) -> Look:
    def look(card: dict[str, Any]) -> Figure:
        found = card["readouts"]["readers"][reading][share]
        return {"value": found["auroc"], "interval": found["interval"]}

    return look


def over_control(reading: str, control: str, share: str) -> Look:
    return lambda card: card["readouts"]["less"][reading][control][share]


def headline() -> dict[str, Look]:
    """What is claimed -> where its figure stands in a full card."""
    looks: dict[str, Look] = {}
    for visible in ("I,II,V2", "I,II,V3"):
        looks[f"{visible} r"] = rendered(visible, "r")
        looks[f"{visible} r less linear regression"] = over_linear(visible)
        looks[f"{visible} sd ratio"] = rendered(visible, "sd_ratio")
        looks[f"{visible} slope"] = rendered(visible, "slope")
    looks["all twelve R2"] = rendered("all twelve", "r2")
    for share in ("100 %", "10 %", "1 %"):
        looks[f"probe of W, {share} of labels"] = probed(POOLED, share)
    for share in ("100 %", "1 %"):
        looks[f"less untrained W, {share}"] = over_control(POOLED, RANDOM_POOLED, share)
        looks[f"less mean beat's principal components, {share}"] = over_control(POOLED, COMPONENTS, share)
        looks[f"less mean beat's random ReLU features, {share}"] = over_control(POOLED, FEATURES, share)
    for share in ("100 %", "1 %"):
        looks[f"probe of W's random ReLU features, {share}"] = probed(WIDE, share)
        looks[f"less untrained W's, {share}"] = over_control(WIDE, RANDOM_WIDE, share)
        looks[f"less mean beat's, {share}"] = over_control(WIDE, FEATURES, share)
    return looks


def full_card(folder: Path) -> dict[str, Any]:
    """The full card of a finished run, made where it is missing. Raises UserError."""
    path = folder / FULL_FILE
    if not path.is_file():
        own = load_run_config(folder / "config.yaml")
        print(f"{folder}: making its full card", file=sys.stderr)
        judge_fully(folder, own, own, f"python benchmarks/evidence.py {folder}")
    return kept(path, "made", "a full card", "remove it to have it made anew")


def kept(path: Path, entry: str, what: str, remedy: str) -> dict[str, Any]:
    """A JSON file of a run's folder. Raises UserError where it is none, or has no such entry."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found[entry]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise UserError(f"{path}: expected {what}, got none ({one_line(str(fault))}); {remedy}") from None
    return found


def figure_of(card: dict[str, Any], look: Look) -> Figure | None:
    try:
        found = look(card)
    except (KeyError, TypeError):  # no such leads, no labels
        return None
    return None if found["value"] is None else found


def cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    low, high = (f"{end:.3f}" if end is not None else "-" for end in figure["interval"])
    return f"{figure['value']:.3f} [{low}, {high}]"


def summed_up(figures: list[Figure | None]) -> str:
    values = [figure["value"] for figure in figures if figure is not None]
    return f"{statistics.mean(values):.3f} +- {statistics.stdev(values):.3f}" if len(values) > 1 else "-"


def same_but_for_the_seed(folder: Path) -> str:
    """Equal for runs that differ in their seed alone."""
    run = load_run_config(folder / "config.yaml")
    return run_hash(replace(run, train=replace(run.train, seed=0)))


def grouped(folders: list[Path]) -> list[list[Path]]:
    """Runs that differ in their seed alone together, in the order given."""
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        require_finished(folder)
        groups.setdefault(same_but_for_the_seed(folder), []).append(folder)
    return list(groups.values())


def table(groups: list[list[Path]], looks: dict[str, Look]) -> list[str]:
    """Markdown: a column a run, and behind runs of one setting their mean +- sd."""
    columns = [["figure", "---", *looks]]
    for number, members in enumerate(groups, 1):
        cards = [full_card(folder) for folder in members]
        found = [[figure_of(card, look) for look in looks.values()] for card in cards]
        for card, figures in zip(cards, found, strict=True):
            columns.append([f"{number}, seed {card['made']['seed']}", "---", *map(cell, figures)])
        if len(members) > 1:
            means = [summed_up(list(figures)) for figures in zip(*found, strict=True)]
            columns.append([f"{number}, {len(members)} seeds", "---", *means])
    return [f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)]


def settings(folder: Path) -> str:
    """What differs from the defaults, as it is typed; data, seed, threads and device are said elsewhere."""
    own, usual = (flattened(asdict(run)) for run in (load_run_config(folder / "config.yaml"), RunConfig()))
    silent = ("data.", "eval.", "train.seed", "train.threads", "train.device")
    words = [f"{name}={value}" for name, value in own.items() if not name.startswith(silent) and value != usual[name]]
    return " ".join(f"--set {word}" for word in words) or "all defaults"


def flattened(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def origins(groups: list[list[Path]]) -> list[str]:
    """What made each column: settings, then each run's folder, card, code and time."""
    lines = []
    for number, members in enumerate(groups, 1):
        lines.append(f"{number}. `{settings(members[0])}`")
        for folder in members:
            card = full_card(folder)
            made = card["made"]
            trained = kept(folder / INFO_FILE, "seconds", "how a run was made", "train it anew, or name another")
            lines.append(
                f"    - `{folder.name}`, seed {made['seed']}: trained in {trained['seconds'] / 60:.0f} min on "
                f"{made['threads']} thread(s); card of {made['when'][:10]} at {made['commit']}, {card['data']}, "
                f"{card['split']}, {card['records']} records, in {sum(made['seconds'].values()) / 60:.0f} min"
            )
    return lines


def main() -> int:
    """Parses, makes what is missing, prints one table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="finished runs")
    args = parser.parse_args()
    folders = args.folders or [run for run in finished_runs(Path("results")) if (run / FULL_FILE).is_file()]
    if not folders:
        print("no run of results/ has a full card; name folders, or make one with main.py --mode eval --card full")
        return 0
    try:
        groups = grouped(folders)
        print("\n".join([*table(groups, headline()), "", *origins(groups)]))
    except UserError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
