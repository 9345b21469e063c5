"""Search wall time to bare training: eight real trials, against the same trainings one by one and side by side.

    alone / 2     the trainings in one plain process, one after the other: what two cores could do at no loss
    side by side  in two plain processes at once: what the machine itself loses
    the search    `run_search.py` as a user types it, start, end and keeping the best included

Run as `python benchmarks/efficiency.py`, on two cores that nothing else uses; `taskset -c 0,1` chooses two. Everything
is kept in a temporary folder, which is removed.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.searches import TRAIN, TURNED, Sandbox, sandbox, told

POINTS = 8  # equal in cost: weights of a loss term
CALIBRATION = 40  # steps, and three times as many, from which those of a training are reckoned


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    seconds: float = 40.0  # that a training takes alone
    alone: int = POINTS  # trainings that are measured alone and side by side; the others count as these


def show(bench: Sandbox, sizes: Sizes) -> None:
    """The table. The trainings alone are measured before and after all else, half and half."""
    probe, longer = (
        bench.settings(f"probe-{steps}", {"train.steps": steps, "train.validate_every": steps})
        for steps in (CALIBRATION, 3 * CALIBRATION)
    )
    _, first, last = bench.told(TRAIN, probe, probe, longer)  # the first one simulates the records, and warms up
    step = (last - first) / (2 * CALIBRATION)  # a training's fixed part is left out
    steps = max(CALIBRATION, round((sizes.seconds - first) / step) + CALIBRATION)
    budget = {"train.steps": steps, "train.validate_every": steps}
    weights = [round(0.001 * point, 3) for point in range(1, POINTS + 1)]
    space = bench.folder / "equal.yaml"
    space.write_text(f"about: eight trials of equal cost\nspace:\n  {TURNED[0]}: {{choice: {weights}}}\n", "utf-8")
    runs = [bench.settings(f"equal-{weight}", {**budget, TURNED[0]: weight}) for weight in weights[: sizes.alone]]
    half = len(runs) // 2
    alone = list(bench.told(TRAIN, *runs[:half]))
    beside = side_by_side(bench, runs)
    wall = bench.search("equal", space, POINTS, budget, "--algorithm", "grid", "--concurrency", "2")
    alone += bench.told(TRAIN, *runs[half:])
    trials = [float(row["seconds"]) for row in bench.trials("equal")]
    keeping = bench.keeping("equal")
    ideal = statistics.mean(alone) * POINTS / 2
    print(f"\nEight trainings of {steps} steps on one thread each, two at a time")
    print("| | seconds | to alone / 2 | wanted |\n|---|---|---|---|")
    rows = [
        (f"alone, one after the other ({len(alone)} measured): a training", statistics.mean(alone), None, ""),
        ("alone / 2: all eight on two cores at no loss", ideal, 1.0, ""),
        (f"plain processes side by side ({len(runs)} measured): a training", statistics.mean(beside), None, ""),
        ("all eight so, two at a time: the hardware's loss", *_to(statistics.mean(beside) * POINTS / 2, ideal), ""),
        ("in the search: a training, as `train` says", statistics.mean(trials), None, ""),
        ("the search as typed, start, end and keeping the best included", *_to(wall, ideal), "<= 1.10"),
        ("less keeping the best", *_to(wall - keeping, ideal), ""),
    ]
    for name, seconds, ratio, wanted in rows:
        print(f"| {name} | {seconds:.1f} | {'' if ratio is None else f'{ratio:.3f}'} | {wanted} |")
    spread = f"{min(alone):.1f} to {max(alone):.1f} s"
    print(f"Alone: {spread}; keeping the best {keeping:.1f} s; against the hardware the search takes "
          f"{wall / (statistics.mean(beside) * POINTS / 2):.3f}.")  # fmt: skip


def side_by_side(bench: Sandbox, runs: Sequence[Path]) -> list[float]:
    """Seconds of trainings in two plain processes at a time."""
    processes = [bench.start("-c", TRAIN, *runs[first::2]) for first in range(2)]
    return [seconds for process in processes for seconds in told(process)]


def _to(seconds: float, ideal: float) -> tuple[float, float]:
    return seconds, seconds / ideal


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=Sizes.seconds, help="that a training takes")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works, not to quote")
    args = parser.parse_args()
    with sandbox() as bench:
        show(bench, Sizes(seconds=6.0, alone=2) if args.quick else Sizes(seconds=args.seconds))


if __name__ == "__main__":
    main()
