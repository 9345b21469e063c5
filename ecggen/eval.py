"""How good a heart state is: reconstruction, hidden leads, and what a linear probe reads from W.

Every figure is over real beats, each against the rendering of its own chunk's W, never mean beat against mean beat.
Judging a set of visible leads finds the beats on those leads alone, so that a hidden lead leaks nothing. Baselines see
the same beats.

Letters: R records, L leads, N beats, T' samples of a beat, D state size.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecggen import metrics
from ecggen.baselines import Baselines, fit_baselines
from ecggen.config import RunConfig
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError
from ecggen.leads import LEADS, LIMB_LEADS, lead_indices, scored_leads
from ecggen.losses import rendered_beats
from ecggen.models.ecggen import ECGGenModel
from ecggen.rivals import MODEL, rival_renderings
from ecggen.sidebyside import Each, one_by_one

VISIBLE_SETS: dict[str, tuple[str, ...]] = {
    "all twelve": LEADS,
    "I,II,V2": ("I", "II", "V2"),
    "I,II,V3": ("I", "II", "V3"),
    "I,II": ("I", "II"),
    "I": ("I",),
    "II": ("II",),
    "six limb leads": LIMB_LEADS,
}
CHOOSING_SET = ("I", "II", "V2")
# What is judged on the validation split: the leads shown, and each figure as the sums it is of and their metric.
VALIDATION_SETS: dict[str, tuple[str, ...]] = {"hidden": CHOOSING_SET, "all": LEADS}
VALIDATION: dict[str, tuple[str, str]] = {
    "val_hidden_r": ("hidden", "r"),
    "val_hidden_r2": ("hidden", "r2"),
    "val_r": ("all", "r"),
    "val_r2": ("all", "r2"),
}
BATCH = 64
# W is read only where it moves: singular values below this share of the largest count as nothing.
RANK_FLOOR = 1e-3


@dataclass
class Judged:
    """What judging one visible set gathers, record by record.

    Attributes:
        sums: sums [R, L', 6] of each rival over the scored leads; `model` is ours.
        beats, left_out, fallback: beats judged; beats whose window did not lie inside the record; records in which
            fewer than two beats were found, so that equal windows were taken.
        covered: share of the record inside beat windows, summed over records.
        residual_energy, energy: of the residual and of the whole rendering, one number a record.
    """

    scored: tuple[str, ...]
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    beats: int = 0
    left_out: int = 0
    fallback: int = 0
    covered: float = 0.0
    residual_energy: list[float] = field(default_factory=list)
    energy: list[float] = field(default_factory=list)


def evenly_spaced(records: int, limit: int | None) -> np.ndarray:
    """At most `limit` of `records` indices, evenly spaced: the same ones every time."""
    if limit is None or limit >= records:
        return np.arange(records)
    return np.unique(np.linspace(0, records - 1, limit).astype(int))


def batches(records: int, limit: int | None) -> list[np.ndarray]:
    """Indices of records that are judged at a time, evenly spaced if there are more than `limit`."""
    items = evenly_spaced(records, limit)
    return [items[at : at + BATCH] for at in range(0, len(items), BATCH)]


def shown_batch(
    dataset: ECGDataset, visible: tuple[str, ...], items: np.ndarray
) -> tuple[dict[str, Any], Tensor] | None:
    """A batch of those records that have all the visible leads, with `shown` [B, L] bool; None where none has.

    With all twelve visible a record shows what it has, one lead at least.
    """
    wanted = torch.zeros(len(LEADS), dtype=torch.bool)
    wanted[lead_indices(visible)] = True
    batch = dataset.batch(items)
    shown = batch["lead_mask"] & wanted
    usable = shown.any(1) if visible == LEADS else shown[:, wanted].all(1)
    if not usable.any():
        return None
    kept = {
        name: value[usable] if isinstance(value, Tensor) else [v for v, u in zip(value, usable, strict=True) if u]
        for name, value in batch.items()
        if value is not None
    }
    return kept, shown[usable]


def checked(out: dict[str, Any]) -> dict[str, Any]:
    """What the model gave, handed on where its W and leads are finite.

    Raises UserError: weights that are finite, but far from any that training leaves, give none.
    """
    if not all(bool(out[name].isfinite().all()) for name in ("W_seq", "E_hat_seq") if name in out):
        raise UserError("model: expected finite states and leads from it, got others; its weights fail, train it again")
    return out


def judge(
    model: ECGGenModel,
    dataset: ECGDataset,
    visible: tuple[str, ...],
    limit: int | None = None,
    baselines: Baselines | None = None,
    every: bool = False,
) -> Judged:
    """Render every beat from the visible leads and sum up how it fits.

    With `baselines` its rivals are judged too, and with `every` also those of the full card.
    """
    return begin_judging(model, dataset, visible, limit, baselines, every)()


def begin_judging(
    model: ECGGenModel,
    dataset: ECGDataset,
    visible: tuple[str, ...],
    limit: int | None = None,
    baselines: Baselines | None = None,
    every: bool = False,
    each: Each = one_by_one,
) -> Callable[[], Judged]:
    """`judge`, begun by `each`: what it returns waits for the outcome."""
    work = partial(_judge_batch, model, dataset, visible, baselines, every)
    parts = each(work, batches(len(dataset), limit))
    return lambda: _together(parts(), Judged(scored_leads(visible)))


@torch.no_grad()
def _judge_batch(
    model: ECGGenModel,
    dataset: ECGDataset,
    visible: tuple[str, ...],
    baselines: Baselines | None,
    every: bool,
    items: np.ndarray,
) -> Judged:
    """What a batch gathers."""
    judged = Judged(scored_leads(visible))
    usable = shown_batch(dataset, visible, items)
    if usable is None:
        return judged
    batch, shown = usable
    rows = lead_indices(judged.scored)
    device = model.projection.bias.device
    out = checked(model.forward_gen(batch["ecg"].to(device), shown.to(device)))
    beats = out["meta"]["beats"]
    present = batch["lead_mask"].to(device)[:, :, None] & out["meta"]["beat_mask"][:, None]
    rivals = {MODEL: rendered_beats(out, model.cfg.ttt.chunk_size)}
    if baselines is not None:
        rivals |= rival_renderings(model, out, visible, baselines, every)
    judged.sums = {
        name: metrics.beat_sums(rendered[:, rows], beats[:, rows], present[:, rows])
        for name, rendered in rivals.items()
    }
    judged.beats = int(out["meta"]["beat_mask"].sum())
    judged.left_out = int(out["meta"]["left_out"].sum())
    judged.fallback = int(out["meta"]["fallback"].sum())
    judged.covered = float(out["meta"]["coverage"].sum())
    judged.residual_energy = out["residual_seq"].double().square().sum((1, 2, 3)).tolist()
    judged.energy = out["E_hat_seq"].double().square().sum((1, 2, 3)).tolist()
    return judged


def _together(parts: list[Judged], judged: Judged) -> Judged:
    """What the batches gathered, in their order."""
    sums: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for name, each in part.sums.items():
            sums.setdefault(name, []).append(each)
        judged.beats += part.beats
        judged.left_out += part.left_out
        judged.fallback += part.fallback
        judged.covered += part.covered
        judged.residual_energy += part.residual_energy
        judged.energy += part.energy
    judged.sums = {name: np.concatenate(each) for name, each in sums.items()}
    return judged


def validate(
    model: ECGGenModel, dataset: ECGDataset, records: int, device: torch.device | None = None
) -> dict[str, float]:
    """The figures that a training watches, on evenly spaced records of the validation split.

    Returns:
        `val_hidden_r`: mean r over the hidden precordials with I, II, V2 shown; `val_r`, `val_r2`: all twelve shown.
        NaN where nothing can be judged (no records, no such leads).
    """
    return validation_figures(validation_sums(model, dataset, records))


def validation_sums(model: ECGGenModel, dataset: ECGDataset, limit: int | None = None) -> dict[str, np.ndarray]:
    """The sums that all figures of `VALIDATION` follow from, record by record.

    Args:
        model: is put into evaluation mode.
        dataset: usually the validation split.
        limit: at most so many records, evenly spaced; None is all of them.

    Returns:
        `hidden` [R, L, 6], the precordials that `CHOOSING_SET` hides, and `all` [R', 12, 6], float64, as
        `metrics.beat_sums` gives them; only records that have the shown leads, so R <= R'. None of them where nothing
        can be judged.
    """
    model.eval()
    sums = {}
    for name, visible in VALIDATION_SETS.items():
        judged = judge(model, dataset, visible, limit).sums if len(dataset) else {}
        sums[name] = judged.get("model", np.zeros((0, len(scored_leads(visible)), metrics.N_SUMS)))
    return sums


def validation_figures(sums: dict[str, np.ndarray]) -> dict[str, float]:
    """Every figure of `VALIDATION`, pooled over the records of `validation_sums`; NaN where there are none."""
    return {
        name: float(metrics.METRICS[metric](sums[part].sum(0))) if len(sums[part]) else math.nan
        for name, (part, metric) in VALIDATION.items()
    }


def begin_source_agreement(
    model: ECGGenModel, dataset: ECGDataset, limit: int | None = None, each: Each = one_by_one
) -> Callable[[], dict[str, Any] | None]:
    """Where the true source is known: r between it and V up to one fixed 3x3 map, least squares over all records.

    V has no axes of its own: any invertible 3x3 map of it can be undone by the lead vectors. So one map, the same for
    all records, is fitted before comparing. It is begun by `each`: what is returned waits for it.
    """
    if len(dataset) == 0 or "source" not in dataset.batch([0]):
        return lambda: None
    parts = each(partial(_sources, model, dataset), batches(len(dataset), limit))
    return lambda: _agreement([part for part in parts() if part])


def _agreement(parts: list[tuple[Tensor, Tensor, int]]) -> dict[str, Any]:
    v, s = (torch.cat(beats, 1).double() for beats in ([ours for ours, _, _ in parts], [true for _, true, _ in parts]))
    v, s = v - v.mean(1, keepdim=True), s - s.mean(1, keepdim=True)
    fixed_map = torch.linalg.lstsq(v.T, s.T).solution.T
    fitted = fixed_map @ v
    r = (fitted * s).sum(1) / (fitted.norm(dim=1) * s.norm(dim=1))
    records = sum(count for _, _, count in parts)
    return {"r": float(r.mean()), "r_axes": r.tolist(), "map": fixed_map.tolist(), "records": records}


@torch.no_grad()
def _sources(model: ECGGenModel, dataset: ECGDataset, items: np.ndarray) -> tuple[Tensor, Tensor, int] | None:
    """Rendered and true source of a batch's beats, one after the other [3, samples], and its records."""
    usable = shown_batch(dataset, LEADS, items)
    if usable is None:
        return None
    batch, shown = usable
    device = model.projection.bias.device
    out = checked(model.forward_gen(batch["ecg"].to(device), shown.to(device)))
    spans = out["meta"]["beat_boundaries"]
    true_beats = model.tokenizer.cut(batch["source"], boundaries=spans)["beats"].transpose(1, 2)
    mask = out["meta"]["beat_mask"].cpu()
    drawn = out["V_seq"].cpu().repeat_interleave(model.cfg.ttt.chunk_size, dim=1)[:, : mask.shape[1]]
    ours, truth = (beats[mask].transpose(0, 1).flatten(1) for beats in (drawn, true_beats))
    return ours, truth, len(mask)


def effective_rank(states: np.ndarray) -> int:
    """How many directions W uses: singular values of the centred states [R, D] above RANK_FLOOR of the largest."""
    values = np.linalg.svd(states - states.mean(0), compute_uv=False)
    return int((values > RANK_FLOOR * values.max(initial=0)).sum())


def judging_split(run: RunConfig) -> tuple[str, ECGDataset]:
    """The split a run is judged on: `eval.split`, or with `auto` the test split where it has records, else val.

    Raises UserError where it has no records.
    """
    name, judged = _split(run)
    if len(judged) == 0:
        raise UserError(
            f"split {name}: expected records to judge on, got none of {len(judged.store)}; "
            "set eval.split or add records"
        )
    return name, judged


def _split(run: RunConfig) -> tuple[str, ECGDataset]:
    if run.eval.split != "auto":
        return run.eval.split, ECGDataset(run, run.eval.split)
    test = ECGDataset(run, "test")
    return ("test", test) if len(test) else ("val", ECGDataset(run, "val"))


def training_baselines(model: ECGGenModel, run: RunConfig) -> Baselines | None:
    """Baselines fitted on the run's training split; None where no training record has all twelve leads."""
    try:
        return fit_baselines(model.tokenizer, ECGDataset(run, "train"), run.eval.baseline_records)
    except (ValueError, UserError):  # no complete record, or a source that is no longer there
        return None
