"""What ASHA saves and what it costs: one search in full, and the same trials with ASHA.

The space is `joint` on simulated records, points are random. With one seed the k-th suggestion is the same in both
searches, whoever ends first; that is checked by the hashes of all settings, and nothing is printed where it is not so.
Each search has a results folder of its own, so that none takes a result from the other.

    steps    of the trials, with those of runner-ups that go on to their end; repeats of finalists are apart
    winner   mean and sd over fresh seeds, on the whole validation split

Run as `python benchmarks/asha.py`; `taskset -c 0,1` chooses two cores. Everything is kept in a temporary folder, which
is removed.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecggen.leaderboard import read_leaderboard

REPO = Path(__file__).resolve().parents[1]
SPACE = "joint"
SHARE = 45  # per cent of the steps that ASHA may use
QUICK = {
    "data.simulator.records": 240,
    "train.batch_size": 16,
    "train.validate_records": 24,
    "model.tokenizer.width": 16,
    "model.encoder.d_model": 16,
    "model.encoder.feedforward": 32,
    "eval.bootstrap": 100,
}
QUICK_STEPS = 36


@dataclass(frozen=True)
class Search:
    """A search that is over: its wall time, the rows of trials.csv, the first row of its leaderboard."""

    wall: float
    trials: list[dict[str, str]]
    repeats: list[dict[str, str]]
    winner: dict[str, Any]

    @property
    def steps(self) -> int:
        """Steps of the trials."""
        return sum(int(row["step"]) for row in self.trials)

    @property
    def whole(self) -> list[dict[str, str]]:
        """Trials that reached their budget."""
        return [row for row in self.trials if int(row["step"]) == int(row["steps"])]

    @property
    def points(self) -> dict[int, str]:
        """Number -> hash of all settings."""
        return {int(row["number"]): row["hash"] for row in self.trials}


def search(name: str, folder: Path, cache: Path, options: list[str]) -> Search:
    """Runs a search in a results folder of its own; its lines go to the error stream."""
    results = folder / name
    command = [sys.executable, "run_search.py", "--space", SPACE, "--algorithm", "random", "--name", name]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "ECGGEN_CACHE": str(cache)}
    begin = time.perf_counter()
    done = subprocess.run([*command, "--results", str(results), *options], cwd=REPO, env=environment, stdout=sys.stderr)
    wall = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"the {name} search failed with {done.returncode}")
    place = results / "searches" / name
    with (place / "trials.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    trials, repeats = ([row for row in rows if row["kind"] == kind] for kind in ("trial", "finalist"))
    failed = [row["runid"] for row in trials if row["status"] not in ("completed", "stopped")]
    if failed:
        sys.exit(f"the {name} search: expected trials that were completed or stopped, got others: {', '.join(failed)}")
    return Search(wall, trials, repeats, read_leaderboard(place / "leaderboard.csv")[0])


def places(full: Search, asha: Search) -> list[int]:
    """The places that the trials which ASHA let to their end have among all trials of the full search."""
    metric = full.winner["metric"]
    best = sorted(full.trials, key=lambda row: -float(row[metric] or "-inf"))
    whole = {row["hash"] for row in asha.whole}
    return [place for place, row in enumerate(best, 1) if row["hash"] in whole]


def show(full: Search, asha: Search) -> None:
    """The table, and what it comes to."""
    if full.points != asha.points:
        other = [number for number in full.points if full.points[number] != asha.points.get(number)]
        sys.exit(f"points: expected the same trials in both searches, got others at {other}; nothing can be compared")
    count = len(full.trials)
    print(
        f"\n{SPACE}, {count} random trials of {full.trials[0]['steps']} steps; the same points in both searches: ",
        end="",
    )
    print(f"{len(set(full.points.values()))} of {count} hashes agree, number by number")
    print("| | in full | ASHA | wanted |\n|---|---|---|---|")
    share = 100 * asha.steps / full.steps
    one, other = full.winner, asha.winner
    rows = [
        ("steps of the trials", full.steps, asha.steps, ""),
        ("share", "100 %", f"{share:.1f} %", f"<= {SHARE} %"),
        ("trials at their end", len(full.whole), len(asha.whole), ""),
        ("repeats of finalists", len(full.repeats), len(asha.repeats), ""),
        ("wall time of the search, s", f"{full.wall:.0f}", f"{asha.wall:.0f}", ""),
        ("winner", one["runid"], other["runid"], ""),
        (
            f"{one['metric']}, mean",
            f"{one['mean']:.4f}",
            f"{other['mean']:.4f}",
            f"{one['mean'] - one['sd']:.4f} or more",
        ),
        ("sd", f"{one['sd']:.4f}", f"{other['sd']:.4f}", ""),
        ("fresh seeds", one["n"], other["n"], ""),
    ]
    for cells in rows:
        print("| " + " | ".join(map(str, cells)) + " |")
    below = one["mean"] - other["mean"]
    same = "the same run in both" if one["hash"] == other["hash"] else f"ASHA's {below:+.4f} below the full search's"
    within = "within" if below <= one["sd"] else "not within"
    print(
        f"Winner: {same}, {within} one sd of {one['sd']:.4f}. Among all trials in full, those at their end with ASHA "
        f"stand at {', '.join(map(str, places(full, asha)))}."
    )


def main() -> None:
    """Parses, searches twice, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, help="default: 16; 9 with --quick")
    parser.add_argument("--steps", type=int, help=f"default: the space's; {QUICK_STEPS} with --quick")
    parser.add_argument("--seed", type=int, default=0, help="of trials and sampler")
    parser.add_argument("--quick", action="store_true", help="small records and models: to see that it works")
    args = parser.parse_args()
    steps = args.steps or (QUICK_STEPS if args.quick else None)
    options = ["--trials", str(args.trials or (9 if args.quick else 16)), "--seed", str(args.seed)]
    options += ["--steps", str(steps)] if steps else []
    options += [word for path, value in QUICK.items() for word in ("--set", f"{path}={value}") if args.quick]
    with tempfile.TemporaryDirectory(prefix="ecggen-bench-") as name:
        folder = Path(name)
        full = search("full", folder, folder / "cache", [*options, "--no-asha"])
        asha = search("asha", folder, folder / "cache", options)
    show(full, asha)


if __name__ == "__main__":
    main()
