"""The reconstruction card: every set of visible leads, the model beside its rivals, each figure with its interval."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ecggen import metrics
from ecggen.baselines import Baselines
from ecggen.data.pipeline import ECGDataset
from ecggen.eval import VISIBLE_SETS, Judged, begin_judging
from ecggen.models.ecggen import ECGGenModel
from ecggen.rivals import BEST_LEAD, LINEAR, MODEL
from ecggen.sidebyside import Each, one_by_one


def begin_reconstruction(
    model: ECGGenModel,
    dataset: ECGDataset,
    baselines: Baselines | None,
    resamples: int,
    limit: int | None = None,
    every: bool = False,
    each: Each = one_by_one,
) -> Callable[[], dict[str, Any]]:
    """Every visible set: our figures and each rival's with intervals, ours per lead and against the regression.

    With `every` there are more rivals, all of them lead by lead, and ours less each of theirs. It is begun by `each`:
    what is returned waits for the card.
    """
    begun = {
        name: begin_judging(model, dataset, visible, limit, baselines, every, each)
        for name, visible in VISIBLE_SETS.items()
    }

    def card() -> dict[str, Any]:
        best = baselines if every else None
        return {name: _entry(judged(), VISIBLE_SETS[name], resamples, every, best) for name, judged in begun.items()}

    return card


def _entry(
    judged: Judged, visible: tuple[str, ...], resamples: int, every: bool, baselines: Baselines | None
) -> dict[str, Any]:
    """What the card says of a visible set."""
    if not judged.sums:
        return {"records": 0, "reason": f"no record has {', '.join(visible)}"}
    entry: dict[str, Any] = {
        "scored": list(judged.scored),
        "records": len(judged.sums[MODEL]),
        "beats": judged.beats,
        "left_out": judged.left_out,
        "fallback": judged.fallback,
        "coverage": judged.covered / len(judged.sums[MODEL]),
        "residual_share": sum(judged.residual_energy) / max(sum(judged.energy), 1e-12),
        "rivals": {rival: metrics.summary(sums, resamples) for rival, sums in judged.sums.items()},
        "per_lead": _per_lead(judged),
    }
    if LINEAR in judged.sums:
        entry["r_over_linear_regression"] = metrics.paired_interval(judged.sums[MODEL], judged.sums[LINEAR], resamples)
    if every:
        entry |= _beside_each_other(judged, resamples)
        if baselines is not None and BEST_LEAD in judged.sums:
            entry["best_visible_lead"] = baselines.best_lead_names(visible)
    return entry


def _beside_each_other(judged: Judged, resamples: int) -> dict[str, Any]:
    """What the full card says beside the short one, everything with its 95 % bootstrap interval."""
    ours = judged.sums[MODEL]
    shares = np.stack([judged.residual_energy, judged.energy], axis=1)[:, None]
    drawn = metrics.resampled_sums(shares, resamples)[:, 0]
    return {
        "leads": {
            who: dict(zip(judged.scored, metrics.summary_by_lead(sums, resamples), strict=True))
            for who, sums in judged.sums.items()
        },
        "model_less": {
            who: metrics.difference(ours, sums, resamples)
            for who, sums in judged.sums.items()
            if who != MODEL and len(sums) == len(ours)  # a record that comes alone has no other one's W
        },
        "residual_share_interval": metrics.interval(drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12)),
    }


def _per_lead(judged: Judged) -> dict[str, dict[str, float]]:
    """Every metric of the model, one lead at a time."""
    pooled = judged.sums[MODEL].sum(0)
    return {
        lead: {name: float(metric(pooled[at : at + 1])) for name, metric in metrics.METRICS.items()}
        for at, lead in enumerate(judged.scored)
    }
