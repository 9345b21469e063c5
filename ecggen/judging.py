"""Judging a trained model: its head is fitted on frozen W, and everything that is measured comes on one card.

Whether a run is judged when it is trained or long after, on its own data or on others, it is judged here.
"""

from collections import Counter
from typing import Any

import torch

from ecggen.acceleration import resolve_threads
from ecggen.config import RunConfig
from ecggen.data.pipeline import ECGDataset
from ecggen.data.store import Store
from ecggen.eval import checked, effective_rank, judging_split, source_agreement, training_baselines
from ecggen.models.ecggen import ECGGenModel
from ecggen.probe import encode_states, fit_head, probe_card
from ecggen.reconstruction import reconstruction_card

RANK_RECORDS = 256


def fit_own_head(model: ECGGenModel, run: RunConfig) -> str:
    """Fit the run's head on frozen W of the training split, its penalty chosen on val; the penalty in words."""
    train_set = ECGDataset(run, "train")
    known = encode_states(model, train_set)
    val = encode_states(model, ECGDataset(run, "val"))
    head, penalty = fit_head(
        run.train.head, known.w, known.targets, val.w, val.targets, train_set.multi_label, run.train.seed
    )
    attached = model.attach_head(run.train.head, train_set.classes, train_set.multi_label)
    attached.load_state_dict(head.state_dict())
    return penalty


def evaluate(
    model: ECGGenModel,
    run: RunConfig,
    runid: str | None,
    penalty: str | None = None,
    trained_on: RunConfig | None = None,
    every: bool = False,
) -> dict[str, Any]:
    """The evaluation card of a model: everything in `metrics.json`.

    Args:
        model: on the CPU.
        run: the data and the split to judge on, and how.
        runid: `m#s#k#`, for the card.
        penalty: how the head's penalty was chosen, in words.
        trained_on: the model's own run, where `run` is other data: baselines are fitted on what the model was.
        every: the reconstruction part of the full card.

    Raises UserError where the split has no records.
    """
    name, judged = judging_split(run)
    torch.set_num_threads(resolve_threads(run.train.threads))
    limit, resamples = run.eval.limit, run.eval.bootstrap
    card: dict[str, Any] = {
        "runid": runid,
        "data": run.data.source,
        "own_data": trained_on is None,
        "split": name,
        "records": len(judged) if limit is None else min(limit, len(judged)),
        "rejected": _rejected_summary(judged.store),
    }
    card["reconstruction"] = reconstruction_card(
        model, judged, training_baselines(model, trained_on or run), resamples, limit, every
    )
    states = encode_states(model, judged, limit) if model.head is not None and model.classes == judged.classes else None
    if states is not None and len(states.w):
        assert model.head is not None
        card["probe"] = {
            "kind": run.train.head,
            "penalty": penalty or "fitted before",
            **probe_card(model.head, states, model.classes, model.multi_label, resamples),
        }
    card["state"] = _state_figures(model, judged)
    card["source"] = source_agreement(model, judged, limit)
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
