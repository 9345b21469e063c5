"""What a part of the model is worth: finished runs less others that lack it, on the same records.

Run as `python benchmarks/ablation.py OURS [OURS ...] --less OTHER [OTHER ...] [--less ...]` with folders of runs that
were trained alike but for the part in question (`--set model.ttt.estimator=amortised`, `ridge` or `prior`;
`model.projection.residual=false`, `geometry=fixed`, `view=shared`). Several folders of a side are the same settings
with other seeds. Each figure is a difference of means over seeds, on the validation split, with its 95 % interval:
records are resampled in pairs and, where a side has several seeds, seeds too (`search.compare`). The probes read W
after the last chunk, and the mean of W over the chunks.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecggen.auroc import class_areas, macro
from ecggen.config import RunConfig
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError
from ecggen.eval import judge
from ecggen.leads import LEADS
from ecggen.metrics import METRICS, resample_counts, resampled_sums
from ecggen.models.ecggen import ECGGenModel
from ecggen.probe import encode_states, fit_head, scores_of
from ecggen.runid import run_hash
from ecggen.runs import load_run
from search.compare import interval_over_seeds

SETS = {"I,II,V2 r": (("I", "II", "V2"), "r"), "I,II,V3 r": (("I", "II", "V3"), "r"), "all twelve R2": (LEADS, "r2")}
PROBES = {"probe, last W": "w", "probe, mean W": "w_mean"}
RESAMPLES = 1000
Figure = tuple[float, np.ndarray]  # over all records, and over each resample [S] of them
Side = Sequence[dict[str, Figure]]  # one a seed


class Run:
    """A finished run and the records it is judged on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model, self.own = load_run(folder)
        self.val = ECGDataset(self.own, "val")

    def figures(self) -> dict[str, Figure]:
        """What is compared, by name."""
        found = {name: rendered(self.model, self.val, shown, metric) for name, (shown, metric) in SETS.items()}
        return found | (read(self.model, self.own, self.val) if self.val.classes else {})


def check(sides: Sequence[Sequence[Run]]) -> None:
    """Raises UserError where runs of a side differ in more than the seed, or any were judged on other records."""
    first = sides[0][0]
    for side in sides:
        seeds = set()
        for run in side:
            if (run.val.ids, run.val.classes) != (first.val.ids, first.val.classes):
                raise UserError(
                    f"{run.folder}: expected the validation records and labels of {first.folder}, got others; "
                    "train both on the same data"
                )
            if but_for_the_seed(run.own) != but_for_the_seed(side[0].own):
                raise UserError(
                    f"{run.folder}: expected the settings of {side[0].folder} with another seed, got others; "
                    "give it a --less of its own"
                )
            if run.own.train.seed in seeds:
                raise UserError(
                    f"{run.folder}: expected a seed of its own on its side, got {run.own.train.seed} once more; "
                    "name each seed once"
                )
            seeds.add(run.own.train.seed)


def but_for_the_seed(run: RunConfig) -> str:
    """Equal for runs that differ in their seed alone."""
    return run_hash(replace(run, train=replace(run.train, seed=0)))


def rendered(model: ECGGenModel, val: ECGDataset, shown: Sequence[str], metric: str) -> Figure:
    """One metric of the rendering from some leads."""
    sums = judge(model, val, tuple(shown)).sums["model"]
    return float(METRICS[metric](sums.sum(0))), METRICS[metric](resampled_sums(sums, RESAMPLES))


def read(model: ECGGenModel, own: RunConfig, val: ECGDataset) -> dict[str, Figure]:
    """Macro AUROC of logistic regressions on frozen W."""
    train, judged = encode_states(model, ECGDataset(own, "train")), encode_states(model, val)
    counts = np.ascontiguousarray(resample_counts(len(judged.w), RESAMPLES).T, np.float32)
    once = np.ones((len(judged.w), 1), np.float32)
    found = {}
    for name, which in PROBES.items():
        states, held = getattr(train, which), getattr(judged, which)
        head, _ = fit_head("linear", states, train.targets, held, judged.targets, val.multi_label)
        scores = scores_of(head, held)
        all_of_them, drawn = (macro(class_areas(judged.targets, scores, weights)) for weights in (once, counts))
        found[name] = float(all_of_them[0]), drawn
    return found


def compare(ours: Side, others: Side, records: int) -> dict[str, tuple[float, float, float]]:
    """Figure -> difference of means over seeds, and its interval."""
    found = {}
    for name in ours[0]:
        whole, drawn = [], []
        for side in (ours, others):
            figures, resampled = zip(*(seed[name] for seed in side), strict=True)
            whole.append(np.array(figures))
            drawn.append(np.stack(resampled, 1))
        low, high = interval_over_seeds((whole[0], whole[1]), (drawn[0], drawn[1]), records)
        found[name] = float(whole[0].mean() - whole[1].mean()), low, high
    return found


def main() -> int:
    """Parses, judges, prints one table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours", type=Path, nargs="+", help="finished runs, one a seed")
    parser.add_argument(
        "--less", type=Path, nargs="+", action="append", required=True, metavar="OTHER", help="those that lack a part"
    )
    args = parser.parse_args()
    try:
        sides = [[Run(folder) for folder in folders] for folders in (args.ours, *args.less)]
        check(sides)  # before what takes minutes
        ours, *others = [[run.figures() for run in side] for side in sides]
        records = len(sides[0][0].val)
        rows = [(folders, compare(ours, side, records)) for folders, side in zip(args.less, others, strict=True)]
    except UserError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    print(f"| {', '.join(map(str, args.ours))} less | {' | '.join(rows[0][1])} |\n|{' --- |' * (len(rows[0][1]) + 1)}")
    for folders, found in rows:
        cells = (f"{value:+.4f} [{low:+.4f}, {high:+.4f}]" for value, low, high in found.values())
        print(f"| {', '.join(map(str, folders))} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
