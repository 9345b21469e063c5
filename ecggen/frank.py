"""Is V a vectorcardiogram? The source of a trained model beside measured Frank leads, and beside the classical answers.

V has no axes of its own: any invertible 3x3 map of it can be undone by the lead vectors. So one fixed map, with an
offset, is fitted before comparing, always on other beats than those that are judged: on the beats of the other
patients where there are several, else on the other half of the one record that there is. The latter forgives more:
a map of one's own chest corrects what a map of all chests cannot.

Beside it on the same beats stand the two published transforms from eight leads, as they are and after a map of the
same kind, because a map is worth something to anyone; and the best linear map from all eight leads.

Letters: n beats of all records, T' samples of a beat, c channels, G groups of beats.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecggen import metrics
from ecggen.data.pipeline import ECGDataset
from ecggen.data.store import Row
from ecggen.errors import UserError
from ecggen.leads import LEADS, lead_indices
from ecggen.models.ecggen import ECGGenModel

AXES = ("X", "Y", "Z")  # to the left, to the feet, to the back
EIGHT = ("V1", "V2", "V3", "V4", "V5", "V6", "I", "II")
# Inverse Dower transform, [3, 8] over EIGHT: the pseudo-inverse of Dower's lead vectors (Edenbrandt and Pahlm,
# J Electrocardiol 21:361-367, 1988; the same numbers in BRAVEHEART's dowermatrix.m).
INVERSE_DOWER = np.array(
    [
        [-0.172, -0.074, 0.122, 0.231, 0.239, 0.194, 0.156, -0.010],
        [0.057, -0.019, -0.106, -0.022, 0.041, 0.048, -0.227, 0.887],
        [-0.229, -0.310, -0.246, -0.063, 0.055, 0.108, 0.022, 0.102],
    ]
)
# Regression of measured Frank leads on eight leads, [3, 8] over EIGHT (Kors, van Herpen, Sittig and van Bemmel,
# Eur Heart J 11:1083-1092, 1990; the same numbers in BRAVEHEART's korsmatrix.m).
KORS = np.array(
    [
        [-0.13, 0.05, -0.01, 0.14, 0.06, 0.54, 0.38, -0.07],
        [0.06, -0.02, -0.05, 0.06, -0.17, 0.13, -0.07, 0.93],
        [-0.43, -0.06, -0.14, -0.20, -0.11, 0.31, 0.11, -0.23],
    ]
)
BATCH = 64
_PATIENT = re.compile(r"patient\d+")  # PTB keeps the records of a patient in a folder of this name


@dataclass(frozen=True)
class FrankBeats:
    """Beats with measured Frank leads beside what is made of their standard leads, all in mV.

    Attributes:
        frank: [n, 3, T'] measured X, Y, Z.
        leads: [n, 12, T'] measured.
        v: [n, 3, T'] the source of the beat's own W.
        seen: [n, 3, T'] the source that the shared lead vectors see in what this heart's own ones draw of V; differs
            from a map of V only where each heart bends the lead vectors (view `own`).
        prior: [n, 3, T'] the source of W0, the same for all beats.
        rendered: [n, 12, T'] the leads that the beat's own W draws.
        group: [n] the patient, or the record where patients are not known.
    """

    frank: np.ndarray
    leads: np.ndarray
    v: np.ndarray
    seen: np.ndarray
    prior: np.ndarray
    rendered: np.ndarray
    group: np.ndarray


def through(matrix: np.ndarray, leads: np.ndarray) -> np.ndarray:
    """A published transform [3, 8] over EIGHT of leads [n, 12, T'] -> [n, 3, T']."""
    assert leads.shape[1] == len(LEADS), f"leads: expected [n, {len(LEADS)}, T'], got {leads.shape}"
    frank: np.ndarray = np.einsum("xl,nlt->nxt", matrix, leads[:, lead_indices(EIGHT)])
    return frank


@torch.no_grad()
def frank_beats(model: ECGGenModel, dataset: ECGDataset, visible: tuple[str, ...] = LEADS) -> FrankBeats:
    """Every beat of the records that have twelve leads and Frank's three, W estimated from the visible leads.

    Raises UserError where there is none.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in FrankBeats.__annotations__}
    for batch, groups in _with_frank(dataset):
        shown = torch.zeros_like(batch["lead_mask"])
        shown[:, lead_indices(visible)] = True
        out = model.forward_gen(batch["ecg"], shown)
        meta = out["meta"]
        real = meta["beat_mask"]
        measured = model.tokenizer.cut(batch["frank"], boundaries=meta["beat_boundaries"])["beats"]
        chunk = model.cfg.ttt.chunk_size
        names = ("V_seq", "W_seq", "E_hat_seq")
        v, w, drawn = (out[name].repeat_interleave(chunk, 1)[:, : real.shape[1]][real] for name in names)
        prior = model.render(model.ttt.state.initial(1))["V"].expand_as(v)
        found = {"frank": measured.transpose(1, 2)[real], "leads": meta["beats"].transpose(1, 2)[real]}
        found |= {"v": v, "seen": seen_source(model, v, w), "prior": prior, "rendered": drawn}
        for name, value in found.items():
            parts[name].append(value.double().numpy())
        parts["group"].append(np.repeat(groups, real.sum(1).numpy()))
    if not parts["v"]:
        raise UserError(
            "Frank leads: expected records with twelve leads and vx, vy, vz, got none; "
            "set --data-root to a folder of PTB's records"
        )
    return FrankBeats(**{name: np.concatenate(values) for name, values in parts.items()})


def _with_frank(dataset: ECGDataset) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Batches of the records that can be judged, and the group of each."""
    for at in range(0, len(dataset), BATCH):
        batch = dataset.batch(range(at, min(at + BATCH, len(dataset))))
        if "frank" not in batch:
            return
        whole = batch["lead_mask"].all(1) & batch["frank"].isfinite().all(2).all(1)
        if whole.any():
            rows = dataset.index[at : at + BATCH][whole.numpy()]
            groups = np.array([patient_of(dataset.store.rows[row]) for row in rows])
            yield {name: batch[name][whole] for name in ("ecg", "lead_mask", "frank")}, groups


def patient_of(row: Row) -> str:
    """Whose beats these are: the patient where known, by table or by PTB's folders, else the record."""
    folder = _PATIENT.search(row.record)
    return row.patient or (folder[0] if folder else row.record)


def seen_source(model: ECGGenModel, v: Tensor, w: Tensor) -> Tensor:
    """V [n, 3, T'] as this heart's lead vectors draw it, read by the shared ones: M^+ (M + bend(W)) V, same shape."""
    shared = model.projection.matrix()
    return torch.linalg.pinv(shared) @ (shared + model.projection.bends(w)) @ v


def folds(group: np.ndarray) -> tuple[np.ndarray, str]:
    """Which beats are judged together by a map of the others: [n] numbers, and how that is said."""
    names = np.unique(group)
    if len(names) > 1:
        return np.searchsorted(names, group), f"fitted on the other patients ({len(names)} in all)"
    half = (np.arange(len(group)) >= len(group) // 2).astype(int)
    return half, "fitted on the same record's other half, there is no other record"


def fit_map(channels: np.ndarray, frank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares from channels [n, c, T'] to Frank leads [n, 3, T']: map [3, c] and offset [3]."""
    x, y = (part.transpose(1, 0, 2).reshape(part.shape[1], -1) for part in (channels, frank))
    x_mean, y_mean = x.mean(1), y.mean(1)
    mapping = np.linalg.lstsq((x - x_mean[:, None]).T, (y - y_mean[:, None]).T, rcond=None)[0].T
    return mapping, y_mean - mapping @ x_mean


def mapped(channels: np.ndarray, frank: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Channels [n, c, T'] brought to Frank leads [n, 3, T'], each fold by a map that was fitted on the others."""
    assert len(np.unique(fold)) > 1, "fold: expected two folds or more, got one; a map needs other beats"
    result = np.empty_like(frank)
    for one in np.unique(fold):
        mapping, offset = fit_map(channels[fold != one], frank[fold != one])
        result[fold == one] = np.einsum("xc,nct->nxt", mapping, channels[fold == one]) + offset[:, None]
    return result


def agreement(made: np.ndarray, frank: np.ndarray, group: np.ndarray, resamples: int) -> dict[str, Any]:
    """How well made Frank leads [n, 3, T'] agree with the measured ones.

    Returns:
        `r` mean over axes, `axes` r of X, Y, Z, `r2`, `rmse` mV, and the 95 % bootstrap `interval` of r: over patients,
        or over beats where there is one patient only; then it says nothing of other hearts.
    """
    x, y = (torch.from_numpy(part)[:, :, None] for part in (made, frank))
    sums = metrics.beat_sums(x, y, torch.ones(x.shape[:3], dtype=torch.bool))
    names, index = np.unique(group, return_inverse=True)
    if len(names) > 1:
        by_group = np.zeros((len(names), *sums.shape[1:]))
        np.add.at(by_group, index, sums)
        sums = by_group
    pooled, drawn = sums.sum(0), metrics.resampled_sums(sums, resamples)
    return {
        "r": float(metrics.mean_r(pooled)),
        "axes": dict(zip(AXES, metrics.pearson(pooled).tolist(), strict=True)),
        "r2": float(metrics.r_squared(pooled)),
        "rmse": float(metrics.rmse(pooled)),
        "interval": metrics.interval(metrics.mean_r(drawn)),
    }


def frank_card(found: FrankBeats, few: FrankBeats, resamples: int) -> dict[str, Any]:
    """V, as it is and as the shared lead vectors see it, beside the classical transforms, on the same beats.

    Args:
        found: from all twelve leads.
        few: from a few of them; may hold other beats, since these are found on the shown leads.
        resamples: of the intervals.
    """
    fold, how = folds(found.group)
    kors, dower = through(KORS, found.leads), through(INVERSE_DOWER, found.leads)
    eight = found.leads[:, lead_indices(EIGHT)]
    made = {
        "V": mapped(found.v, found.frank, fold),
        "V as the shared lead vectors see it": mapped(found.seen, found.frank, fold),
        "V of W0 (no estimation)": mapped(found.prior, found.frank, fold),
        "Kors, as published": kors,
        "Kors of the leads that W renders": through(KORS, found.rendered),
        "inverse Dower, as published": dower,
        "Kors, mapped likewise": mapped(kors, found.frank, fold),
        "inverse Dower, mapped likewise": mapped(dower, found.frank, fold),
        "eight leads, linear (ceiling of linear maps)": mapped(eight, found.frank, fold),
    }
    rows = {name: agreement(one, found.frank, found.group, resamples) for name, one in made.items()}
    own = mapped(few.v, few.frank, folds(few.group)[0])
    rows["V, few leads shown"] = agreement(own, few.frank, few.group, resamples)
    return {"map": how, "beats": len(found.v), "patients": len(set(found.group.tolist())), "rows": rows}
