"""What a part of the model is worth: one finished run less others that lack it, on the same records.

Run as `python benchmarks/ablation.py OURS OTHER [OTHER ...]` with folders of runs that were trained alike but for the
part in question (`--set model.ttt.estimator=amortised`, `ridge` or `prior`; `model.projection.residual=false`,
`geometry=fixed`, `view=shared`). Each figure is the difference with its paired 95 % bootstrap interval over the records
of the validation split; the probe reads the mean of W over the chunks.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ecggen.auroc import class_areas, macro
from ecggen.config import RunConfig
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError
from ecggen.eval import judge
from ecggen.leads import LEADS
from ecggen.metrics import difference, interval, resample_counts
from ecggen.models.ecggen import ECGGenModel
from ecggen.probe import encode_states, fit_head, scores_of
from ecggen.runs import load_run

SETS = {"I,II,V2 r": (("I", "II", "V2"), "r"), "I,II,V3 r": (("I", "II", "V3"), "r"), "all twelve R2": (LEADS, "r2")}
RESAMPLES = 1000
Areas = tuple[np.ndarray, np.ndarray]  # macro AUROC [1], and of every bootstrap sample [S]


class Run:
    """What is compared of one run: sums of every visible set, and how well W is read."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.model, self.own = load_run(folder)
        self.val = ECGDataset(self.own, "val")
        self.sums = {name: judge(self.model, self.val, shown).sums["model"] for name, (shown, _) in SETS.items()}
        self.areas = read_areas(self.model, self.own, self.val)


def read_areas(model: ECGGenModel, own: RunConfig, val: ECGDataset) -> Areas | None:
    """None where there are no labels."""
    if not val.classes:
        return None
    train, judged = encode_states(model, ECGDataset(own, "train")), encode_states(model, val)
    head, _ = fit_head("linear", train.w_mean, train.targets, judged.w_mean, judged.targets, val.multi_label)
    scores = scores_of(head, judged.w_mean)
    counts = np.ascontiguousarray(resample_counts(len(scores), RESAMPLES).T, np.float32)
    once = np.ones((len(scores), 1), np.float32)
    return tuple(macro(class_areas(judged.targets, scores, weights)) for weights in (once, counts))  # type: ignore[return-value]


def compare(ours: Run, other: Run) -> dict[str, dict[str, Any]]:
    """Figure -> difference and interval. Raises UserError where the runs have other records to judge on."""
    if ours.val.ids != other.val.ids:
        raise UserError(
            f"{other.name}: expected the validation records of {ours.name}, got others; train both on the same data"
        )
    found = {
        name: difference(ours.sums[name], other.sums[name], RESAMPLES)[metric] for name, (_, metric) in SETS.items()
    }
    if ours.areas is not None and other.areas is not None:
        less = [mine - theirs for mine, theirs in zip(ours.areas, other.areas, strict=True)]
        found["probe, macro AUROC"] = {"value": float(less[0][0]), "interval": interval(less[1])}
    return found


def main() -> int:
    """Parses, judges, prints one table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours", type=Path, help="a finished run")
    parser.add_argument("others", type=Path, nargs="+", help="finished runs that lack a part of it")
    args = parser.parse_args()
    try:
        ours = Run(args.ours)
        rows = [(folder.name, compare(ours, Run(folder))) for folder in args.others]
    except UserError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    heads = list(rows[0][1])
    print(f"| {args.ours.name} less | {' | '.join(heads)} |\n|{' --- |' * (len(heads) + 1)}")
    for name, found in rows:
        cells = (f"{f['value']:+.4f} [{f['interval'][0]:+.4f}, {f['interval'][1]:+.4f}]" for f in found.values())
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
