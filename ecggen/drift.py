"""Does the path of W follow a heart that changes slowly? Read-outs of planted drift, and renderings with and without.

W is quasi-static: nothing in the model moves it from beat to beat. If ST rises slowly, W_1..W_C must follow all the
same, because each chunk asks for a re-estimate. Two things would show it: one linear read-out, fitted on other hearts,
tells the planted level from W_c; and rendering a beat with its own W_c beats rendering it with the record's mean W.
The second alone says little, since W_c has seen the very beat, with all that jitter and noise did to it. So the W of
the chunk before, which has not, is judged too, and all of it in hearts that stand still: what W_c is worth there is not
drift.

Levels count within a record, each less the record's mean: how high ST stood before anything drifted is another
heart's property, not drift. The read-out stays a fixed linear function of W_c. Figures without that subtraction are
given too (`pooled`).

Letters: R records, L leads, N beats, T' samples of a beat, D state size, n beats of all records, F features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecggen import metrics
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError
from ecggen.leads import lead_indices, scored_leads
from ecggen.models.ecggen import ECGGenModel
from ecggen.planted import Truth

BATCH = 64
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # of the read-out, relative to the features' mean variance
ST_CENTRE, ST_HALF = 0.13, 0.07  # s after the R peak at 60 beats a minute, and to both sides; scale with sqrt(RR)
OWN, BEFORE, MEAN = "W_c", "W_c-1", "mean W"  # what a beat is rendered with
WHOLE, SEGMENT = "whole beat", "ST segment"


@dataclass(frozen=True)
class StatePath:
    """The path of W beside what was planted, beat by beat; ectopic beats, in which nothing is planted, are left out.

    Attributes:
        w: [n, D] the state of the beat's chunk.
        beats: [n, L * T'] mV, the measured beat itself.
        number: [n, 3] the beat's number in its record and its powers: all that a clock could know.
        level: [n] mV, planted.
        record: [n] int, which record.
    """

    w: np.ndarray
    beats: np.ndarray
    number: np.ndarray
    level: np.ndarray
    record: np.ndarray


@dataclass(frozen=True)
class ReadOut:
    """A linear function of features: weights [F], offset."""

    weights: np.ndarray
    offset: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """[n, F] -> [n]."""
        values: np.ndarray = features @ self.weights + self.offset
        return values


def check_causal(model: ECGGenModel) -> None:
    """Raises UserError for a model whose W_c may know later beats: it would follow drift without following."""
    attention = model.cfg.encoder.attention
    if attention != "causal":
        raise UserError(
            f"model.encoder.attention: expected causal for a path of W, got {attention}; train with "
            "--set model.encoder.attention=causal"
        )


def _rendered(
    model: ECGGenModel, dataset: ECGDataset, visible: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Batches and what the model makes of them."""
    shown = torch.zeros(len(model.projection.bias), dtype=torch.bool)
    shown[lead_indices(visible)] = True
    for at in range(0, len(dataset), BATCH):
        batch = dataset.batch(range(at, min(at + BATCH, len(dataset))))
        yield batch, model.forward_gen(batch["ecg"], batch["lead_mask"] & shown)


@torch.no_grad()
def follow(model: ECGGenModel, dataset: ECGDataset, truth: Truth, visible: tuple[str, ...]) -> StatePath:
    """Estimate every record of a split from its visible leads and set W_c beside what was planted.

    Raises UserError where the truth is of other records.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("w", "beats", "number", "level", "record")}
    chunk, records = model.cfg.ttt.chunk_size, 0
    for batch, out in _rendered(model, dataset, visible):
        for row, name in enumerate(batch["id"]):
            peaks, sinus = _r_peaks(model, out["meta"]["beat_boundaries"][row], name, truth)
            at = np.flatnonzero(sinus)
            parts["w"].append(out["W_seq"][row].numpy()[at // chunk])
            parts["beats"].append(out["meta"]["beats"][row].transpose(0, 1).flatten(1).numpy()[at])
            parts["number"].append((at[:, None] / len(peaks)) ** np.arange(1, 4))
            parts["level"].append(truth.level[name][peaks[at]])
            parts["record"].append(np.full(len(at), records + row))
        records += len(batch["id"])
    return StatePath(**{name: np.concatenate(values) for name, values in parts.items()})


def _r_peaks(
    model: ECGGenModel, spans: list[tuple[int, int]], name: str, truth: Truth
) -> tuple[np.ndarray, np.ndarray]:
    """Of a record's beats: the sample of each R peak [N], and whether it is a sinus beat [N]. Raises UserError."""
    if name not in truth.level:
        raise UserError(f"truth: expected what was planted in {name}, got none; name the folder of its records")
    start, end = np.array(spans).T
    peaks = np.rint(start + model.cfg.tokenizer.before * (end - start)).astype(int)
    return peaks, ~truth.ectopic[name][peaks]


def within(values: np.ndarray, record: np.ndarray) -> np.ndarray:
    """Values [n] or [n, F] less the mean of their own record."""
    _, index, counts = np.unique(record, return_inverse=True, return_counts=True)
    total = np.zeros((len(counts), *values.shape[1:]))
    np.add.at(total, index, values)
    less: np.ndarray = values - (total.T / counts).T[index]
    return less


def fit_read_out(features: np.ndarray, level: np.ndarray, penalty: float) -> ReadOut:
    """Ridge regression of the level [n] on features [n, F]: (X^T X + penalty * mean variance * n) w = X^T y."""
    mean, centre = features.mean(0, dtype=np.float64), float(level.mean())
    x = features - mean
    gram = x.T @ x
    ridge = max(penalty * np.trace(gram) / len(gram), np.finfo(float).tiny)
    weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), x.T @ (level - centre))
    return ReadOut(weights, centre - float(mean @ weights))


def choose_read_out(known: StatePath, choosing: StatePath, features: str, level: np.ndarray | None = None) -> ReadOut:
    """The read-out of `w`, `beats` or `number` whose penalty reads best within the choosing records.

    Args:
        known: fitted on.
        choosing: other records, that choose the penalty.
        features: which attribute of the path is read.
        level: [n] mV in place of the planted one, for controls.
    """
    wanted = within(known.level if level is None else level, known.record)
    x = within(getattr(known, features), known.record)
    found = [fit_read_out(x, wanted, penalty) for penalty in PENALTIES]
    return max(found, key=lambda one: _pearson(level_sums(one(getattr(choosing, features)), choosing)))


def level_sums(read: np.ndarray, path: StatePath, pooled: bool = False) -> np.ndarray:
    """Sums [R, 1, 6], as `metrics` needs them, of read and planted levels [n]; within records unless `pooled`."""
    pair = np.stack([read, path.level], axis=1)
    x, y = (pair if pooled else within(pair, path.record)).T
    _, index = np.unique(path.record, return_inverse=True)
    sums = np.zeros((index.max() + 1, 1, metrics.N_SUMS))
    np.add.at(sums[:, 0], index, np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1))
    return sums


def _pearson(sums: np.ndarray) -> float:
    return float(metrics.mean_r(sums.sum(0)))


def shuffled_levels(path: StatePath, seed: int) -> np.ndarray:
    """Levels [n] dealt anew among the beats of each record: what a read-out must not be able to learn."""
    rng, levels = np.random.default_rng(seed), path.level.copy()
    for record in np.unique(path.record):
        own = np.flatnonzero(path.record == record)
        levels[own] = levels[rng.permutation(own)]
    return levels


def correlation(read: np.ndarray, path: StatePath, resamples: int, pooled: bool = False) -> dict[str, Any]:
    """r between read and planted levels, with its 95 % bootstrap interval over records."""
    sums = level_sums(read, path, pooled)
    return {"r": _pearson(sums), "interval": metrics.interval(metrics.mean_r(metrics.resampled_sums(sums, resamples)))}


def swing(read: np.ndarray, path: StatePath) -> float:
    """Standard deviation within records of a read-out [n], in mV."""
    return float(within(read, path.record).std())


@torch.no_grad()
def rendering_sums(
    model: ECGGenModel, dataset: ECGDataset, truth: Truth, visible: tuple[str, ...]
) -> dict[str, dict[str, np.ndarray]]:
    """How beats fit that are rendered with their own W_c, with that of the chunk before, and with the mean W.

    Judged are sinus beats whose own chunk and the one before hold sinus beats only; the mean is over those of the
    whole record.

    Returns:
        where (WHOLE, SEGMENT) -> what with (OWN, BEFORE, MEAN) -> sums [R, L', 6] over the scored leads.
    """
    rows, cfg = lead_indices(scored_leads(visible)), model.cfg
    parts: dict[str, dict[str, list[np.ndarray]]] = {
        where: {what: [] for what in (OWN, BEFORE, MEAN)} for where in (WHOLE, SEGMENT)
    }
    for batch, out in _rendered(model, dataset, visible):
        meta = out["meta"]
        calm, kept = _calm_chunks(model, batch, out, truth)
        mean_w = torch.where(calm[..., None], out["W_seq"], 0).sum(1) / calm.sum(1).clamp(min=1)[:, None]
        drawn = {OWN: out["E_hat_seq"], BEFORE: out["E_hat_seq"].roll(1, 1)}
        drawn[MEAN] = model.render(mean_w)["E_hat"][:, None].expand_as(out["E_hat_seq"])
        present = batch["lead_mask"][:, rows, None, None] & kept[:, None, :, None]
        segment = st_samples(meta["beat_intervals"], cfg.tokenizer.beat_len, cfg.tokenizer.before)
        for what, chunks in drawn.items():
            beats = chunks.repeat_interleave(cfg.ttt.chunk_size, 1)[:, : kept.shape[1]].transpose(1, 2)[:, rows]
            for where, samples in ((WHOLE, torch.ones_like(segment)), (SEGMENT, segment)):
                parts[where][what].append(_sample_sums(beats, meta["beats"][:, rows], present & samples[:, None]))
    return {where: {what: np.concatenate(p) for what, p in each.items()} for where, each in parts.items()}


def _calm_chunks(model: ECGGenModel, batch: dict[str, Any], out: dict[str, Any], truth: Truth) -> tuple[Tensor, Tensor]:
    """Which chunks [B, C] hold sinus beats only, and which beats [B, N] are in such a chunk and after such a one."""
    real = out["meta"]["beat_mask"]
    sinus = torch.zeros_like(real)
    for row, name in enumerate(batch["id"]):
        own = _r_peaks(model, out["meta"]["beat_boundaries"][row], name, truth)[1]
        sinus[row, : len(own)] = torch.from_numpy(own)
    size = model.cfg.ttt.chunk_size
    wild = torch.nn.functional.pad(real & ~sinus, (0, -real.shape[1] % size)).unflatten(1, (-1, size)).any(2)
    calm = out["chunk_mask"] & ~wild
    after = calm & calm.roll(1, 1)
    after[:, 0] = False
    return calm, real & after.repeat_interleave(size, 1)[:, : real.shape[1]]


def _sample_sums(rendered: Tensor, measured: Tensor, present: Tensor) -> np.ndarray:
    """As `metrics.beat_sums`, sample by sample: present [R, L, N, T'] says which samples count."""
    x, y = (beats.flatten(2)[..., None] for beats in (rendered, measured))
    return metrics.beat_sums(x, y, present.flatten(2))


def st_samples(rr: Tensor, beat_len: int, before: float) -> Tensor:
    """Which samples of beats [B, N] with RR intervals `rr` [B, N] s lie in the ST segment: [B, N, T'] bool."""
    time = (torch.arange(beat_len, device=rr.device) / beat_len - before) * rr[..., None]
    scale = rr.sqrt()[..., None]
    return (time - ST_CENTRE * scale).abs() <= ST_HALF * scale


def gain(sums: dict[str, np.ndarray], resamples: int) -> dict[str, Any]:
    """What W_c and W_c-1 are worth beside the mean W: R2 and RMSE in mV, paired differences with their intervals."""
    found: dict[str, Any] = {}
    for name, metric in (("r2", metrics.r_squared), ("rmse", metrics.rmse)):
        value = {what: float(metric(part.sum(0))) for what, part in sums.items()}
        drawn = {what: metric(metrics.resampled_sums(part, resamples)) for what, part in sums.items()}
        less = {
            what: {"value": value[what] - value[MEAN], "interval": metrics.interval(drawn[what] - drawn[MEAN])}
            for what in sums
            if what != MEAN
        }
        found[name] = {**value, "less mean W": less}
    return found
