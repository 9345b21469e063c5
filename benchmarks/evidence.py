"""The headline figures of several runs side by side, each beside what it has to beat.

Run as `python benchmarks/evidence.py results/m1s1k1_step6000 results/m1s1k1_step6000_a1b2c3 ...`. A run without a full
card (`metrics_full.json`) gets one first, which takes minutes. Runs that differ in their seed alone are summed up as
mean +- sd in a row of their own. Without folders: those of `results/` that have a full card.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecggen.configfile import load_run_config
from ecggen.errors import UserError
from ecggen.evidence import FULL_FILE, judge_fully
from ecggen.readouts import COMPONENTS, FEATURES, LAST, POOLED, RANDOM_LAST, RANDOM_POOLED
from ecggen.rivals import LINEAR, MODEL
from ecggen.runid import run_hash
from ecggen.stepfolder import finished_runs

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


def columns(reading: str, untrained: str) -> dict[str, Look]:
    """Header -> where its figure stands in a full card."""
    looks: dict[str, Look] = {}
    for visible in ("I,II,V2", "I,II,V3"):
        looks[f"{visible} r"] = rendered(visible, "r")
        looks[f"{visible} r less linear regression"] = over_linear(visible)
        looks[f"{visible} sd ratio"] = rendered(visible, "sd_ratio")
        looks[f"{visible} slope"] = rendered(visible, "slope")
    looks["all twelve R2"] = rendered("all twelve", "r2")
    for share in ("100 %", "1 %"):
        looks[f"probe {share}"] = probed(reading, share)
        looks[f"{share} less random weights"] = over_control(reading, untrained, share)
        looks[f"{share} less random ReLU features"] = over_control(reading, FEATURES, share)
        looks[f"{share} less principal components"] = over_control(reading, COMPONENTS, share)
    return looks


def full_card(folder: Path) -> dict[str, Any]:
    """The full card of a finished run, made where it is missing. Raises UserError."""
    path = folder / FULL_FILE
    if not path.is_file():
        own = load_run_config(folder / "config.yaml")
        print(f"{folder}: making its full card", file=sys.stderr)
        judge_fully(folder, own, own, f"python benchmarks/evidence.py {folder}")
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise UserError(f"{path}: expected a full card, got none ({fault}); remove it to have it made anew") from None
    return card


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


def table(folders: list[Path], looks: dict[str, Look]) -> list[str]:
    """Markdown: a row a run, runs of one setting together, and their mean +- sd below them."""
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        groups.setdefault(same_but_for_the_seed(folder), []).append(folder)
    header = ["run", "seed", "split, records", *looks]
    lines = [header, ["---"] * len(header)]
    for members in groups.values():
        cards = [full_card(folder) for folder in members]
        found = [{name: figure_of(card, look) for name, look in looks.items()} for card in cards]
        for folder, card, figures in zip(members, cards, found, strict=True):
            judged = f"{card['split']}, {card['records']}"
            lines.append([folder.name, str(card["made"]["seed"]), judged, *map(cell, figures.values())])
        if len(members) > 1:
            means = [summed_up([figures[name] for figures in found]) for name in looks]
            lines.append([f"**{members[0].name}**", f"{len(members)} seeds", "mean +- sd", *means])
    return [f"| {' | '.join(cells)} |" for cells in lines]


def main() -> int:
    """Parses, makes what is missing, prints one table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="finished runs")
    parser.add_argument("--pooled", action="store_true", help="read the mean of W over the chunks, not the last W")
    args = parser.parse_args()
    folders = args.folders or [run for run in finished_runs(Path("results")) if (run / FULL_FILE).is_file()]
    if not folders:
        print("no run of results/ has a full card; name folders, or make one with main.py --mode eval --card full")
        return 0
    looks = columns(POOLED, RANDOM_POOLED) if args.pooled else columns(LAST, RANDOM_LAST)
    try:
        print("\n".join(table(folders, looks)))
    except UserError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
