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
from ecggen.runs import load_run
from search.compare import interval_over_seeds

SETS = {"I,II,V2 r": (("I", "II", "V2"), "r"), "I,II,V3 r": (("I", "II", "V3"), "r"), "all twelve R2": (LEADS, "r2")}
PROBES = {"probe, last W": "w", "probe, mean W": "w_mean"}
RESAMPLES = 1000
Figure = tuple[float, np.ndarray]  # over all records, and over each resample [S] of them


class Run:
    """What is compared of one run, by name."""

    def __init__(self, folder: Path) -> None:
        model, own = load_run(folder)
        val = ECGDataset(own, "val")
        self.ids, self.seed, self.folder = val.ids, own.train.seed, folder
        self.figures = {name: rendered(model, val, shown, metric) for name, (shown, metric) in SETS.items()}
        if val.classes:
            self.figures |= read(model, own, val)


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


def compare(ours: Sequence[Run], others: Sequence[Run]) -> dict[str, tuple[float, float, float]]:
    """Figure -> difference of means over seeds, and its interval. Raises UserError where the records differ."""
    for run in (*ours, *others):
        if run.ids != ours[0].ids:
            raise UserError(
                f"{run.folder}: expected the validation records of {ours[0].folder}, got others; "
                "train both on the same data"
            )
    found = {}
    for name in ours[0].figures:
        sides = [[run.figures[name] for run in side] for side in (ours, others)]
        whole = tuple(np.array([figure for figure, _ in side]) for side in sides)
        drawn = tuple(np.stack([each for _, each in side], 1) for side in sides)
        low, high = interval_over_seeds(whole, drawn, len(ours[0].ids))  # type: ignore[arg-type]
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
        ours = [Run(folder) for folder in args.ours]
        rows = [(folders, compare(ours, [Run(folder) for folder in folders])) for folders in args.less]
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
