"""Judging a trained model: its head is fitted on frozen W, and everything that is measured comes on one card.

Whether a run is judged when it is trained or long after, on its own data or on others, it is judged here.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ecggen.acceleration import resolve_threads
from ecggen.config import RunConfig
from ecggen.data.pipeline import ECGDataset
from ecggen.data.store import Store
from ecggen.eval import begin_source_agreement, checked, effective_rank, judging_split, training_baselines
from ecggen.models.ecggen import ECGGenModel
from ecggen.probe import begin_states, fit_head, probe_card
from ecggen.reconstruction import begin_reconstruction
from ecggen.sidebyside import Each, side_by_side

RANK_RECORDS = 256


def begin_own_head(model: ECGGenModel, run: RunConfig, each: Each) -> Callable[[], str]:
    """Encode what the run's head is fitted on, the training split, and val, which chooses its penalty.

    Returns:
        what fits the head on these frozen W, attaches it, and says the penalty in words.
    """
    train_set = ECGDataset(run, "train")
    states = begin_states(model, train_set, each=each), begin_states(model, ECGDataset(run, "val"), each=each)

    def fit() -> str:
        known, val = (begun() for begun in states)
        head, penalty = fit_head(
            run.train.head, known.w, known.targets, val.w, val.targets, train_set.multi_label, run.train.seed
        )
        attached = model.attach_head(run.train.head, train_set.classes, train_set.multi_label)
        attached.load_state_dict(head.state_dict())
        return penalty

    return fit


def evaluate(
    model: ECGGenModel,
    run: RunConfig,
    runid: str | None,
    own_head: bool = False,
    trained_on: RunConfig | None = None,
    every: bool = False,
) -> dict[str, Any]:
    """The evaluation card of a model: everything in `metrics.json`.

    Args:
        model: on the CPU.
        run: the data and the split to judge on, and how.
        runid: `m#s#k#`, for the card.
        own_head: whether the model gets the run's head first, fitted on the training split.
        trained_on: the model's own run, where `run` is other data: baselines are fitted on what the model was.
        every: the reconstruction part of the full card.

    Raises UserError where the split has no records.
    """
    with side_by_side(resolve_threads(run.train.threads)) as each:
        return _card(model, run, runid, own_head, trained_on, every, each)


def _card(
    model: ECGGenModel,
    run: RunConfig,
    runid: str | None,
    own_head: bool,
    trained_on: RunConfig | None,
    every: bool,
    each: Each,
) -> dict[str, Any]:
    """All passes over the records are begun before any is waited for."""
    name, judged = judging_split(run)
    limit, resamples = run.eval.limit, run.eval.bootstrap
    head = begin_own_head(model, run, each) if own_head else None
    state = each(partial(_state_figures, model), [judged])
    baselines = training_baselines(model, trained_on or run)
    reconstruction = begin_reconstruction(model, judged, baselines, resamples, limit, every, each)
    readable = own_head or (model.head is not None and model.classes == judged.classes)
    states = begin_states(model, judged, limit, each) if readable else None
    source = begin_source_agreement(model, judged, limit, each)
    penalty = head() if head is not None else "fitted before"
    card: dict[str, Any] = {
        "runid": runid,
        "data": run.data.source,
        "own_data": trained_on is None,
        "split": name,
        "records": len(judged) if limit is None else min(limit, len(judged)),
        "rejected": _rejected_summary(judged.store),
    }
    card["reconstruction"] = reconstruction()
    known = states() if states is not None else None
    if known is not None and len(known.w):
        assert model.head is not None
        card["probe"] = {
            "kind": run.train.head,
            "penalty": penalty,
            **probe_card(model.head, known, model.classes, model.multi_label, resamples),
        }
    (card["state"],) = state()
    card["source"] = source()
    return card


def _state_figures(model: ECGGenModel, judged: ECGDataset) -> dict[str, int]:
    records = min(RANK_RECORDS, len(judged))
    batch = judged.batch(range(records))
    device = model.projection.bias.device
    with torch.no_grad():
        w = checked(model.estimate(batch["ecg"].to(device), batch["lead_mask"].to(device)))["W"].cpu().numpy()
    return {"rank": effective_rank(w), "size": model.state_size, "records": records}


def _rejected_summary(store: Store) -> dict[str, Any]:
    reasons = Counter(reason for _, reason in store.rejected)
    repaired = len({remark.id for remark in store.remarks if remark.action != "left out"})
    most = reasons.most_common(1)[0][0] if reasons else ""
    return {"count": len(store.rejected), "most": most, "repaired": repaired}
