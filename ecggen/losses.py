"""The outer loss: the model's dict and the targets become named terms, and the terms one number.

The target is always every lead that the recording has, also those that were hidden from the tokenizer: whatever W keeps
must serve leads that were never seen.

Letters: B records, L leads, N beats, C chunks, T' samples of a beat.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ecggen.config import LossConfig
from ecggen.models.blocks import LeadProjection
from ecggen.models.vcg import energy, loop_closure, smoothness

# Floor of a lead's variance, mV^2: below it a lead holds nothing that could be explained.
VARIANCE_FLOOR = 1e-4


def rendered_beats(out: dict[str, Any], chunk_size: int) -> Tensor:
    """The rendering that belongs to each beat, that of its own chunk's W: [B, L, N, T'] mV."""
    n = out["meta"]["beat_mask"].shape[1]
    per_chunk: Tensor = out["E_hat_seq"].transpose(1, 2)[:, :, :, None]
    return per_chunk.expand(-1, -1, -1, chunk_size, -1).flatten(2, 3)[:, :, :n]


def reconstruction(rendered: Tensor, beats: Tensor, present: Tensor, robust: float = 0.0) -> Tensor:
    """Unexplained share of the variance, averaged over leads: mean over l of SSE_l / SST_l.

    Dividing by each lead's own variance in the batch lets a small lead count as much as a tall one, as r does.

    Nothing can foretell that an electrode comes off a lead that is hidden, and one record in a hundred has a fifth of
    all squared errors. With `robust` = c the error of a beat, u variances of its lead, counts as
    2 c (sqrt(1 + u / c) - 1), the pseudo-Huber function of its root: u where it is small, 2 sqrt(c u) where large.

    Args:
        rendered, beats: [B, L, N, T'] mV.
        present: [B, L, N] bool, True = the recording has this lead and beat.
        robust: c, 0 = all errors as they are.

    Returns:
        a number, 0 = perfect, 1 = no better than each lead's mean (where errors count as they are).
    """
    assert rendered.shape == beats.shape, f"rendered: expected {tuple(beats.shape)}, got {tuple(rendered.shape)}"
    assert present.shape == beats.shape[:3], f"present: expected {tuple(beats.shape[:3])}, got {tuple(present.shape)}"
    zero = torch.zeros((), device=beats.device)
    kept = present[..., None]
    target = torch.where(kept, beats, zero)  # what is not there may be NaN, which no product takes away
    count = present.sum((0, 2)).clamp(min=1)
    mean = target.sum((0, 2, 3)) / (count * beats.shape[-1])
    around = _squared(target, mean[:, None, None].expand_as(target)) * present
    variance = (around.sum((0, 2)) / count).clamp(min=VARIANCE_FLOOR * beats.shape[-1])
    error = _squared(rendered, target) * present / variance[:, None]
    if robust > 0:
        error = 2 * error / (1 + (1 + error / robust).sqrt())  # the same, exact for small errors too
    seen = present.any(2).any(0)
    share = error.sum((0, 2)) / count
    return torch.where(seen, share, zero).sum() / seen.sum().clamp(min=1)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    """||a - b||^2 over the last axis; one kernel there and one back."""
    return nn.functional.mse_loss(a, b, reduction="none").sum(-1)


def _mean_square(a: Tensor) -> Tensor:
    return nn.functional.mse_loss(a, torch.zeros((), dtype=a.dtype, device=a.device).expand_as(a))


def state_path(w_seq: Tensor, w_start: Tensor, chunk_mask: Tensor) -> Tensor:
    """Mean over records of sum_c ||W_c - W_{c-1}||^2, the first step from W0. [B, C, D], [D], [B, C] -> number."""
    before = torch.cat([w_start.expand_as(w_seq[:, :1]), w_seq[:, :-1]], dim=1)
    moved = (w_seq - before).square().sum(-1)
    return torch.where(chunk_mask, moved, torch.zeros((), device=moved.device)).sum(1).mean()


def loss_terms(
    out: dict[str, Any],
    lead_present: Tensor,
    projection: LeadProjection,
    w_start: Tensor,
    chunk_size: int,
    robust: float = 0.0,
) -> dict[str, Tensor]:
    """All terms of the outer loss, unweighted.

    Args:
        out: what `ECGGenModel.forward_gen` gave.
        lead_present: [B, L] bool, the leads that the recordings have, shown or not.
        projection: for the price of leaving nominal geometry.
        w_start: W0 [D].
        chunk_size: beats a chunk.
        robust: see `reconstruction`.
    """
    meta = out["meta"]
    present = lead_present[:, :, None] & meta["beat_mask"][:, None, :]
    real = out["chunk_mask"]
    whole = real.numel() / real.sum()  # a mean over all chunks times this is one over the real ones: padding is zero
    v, drawn = out["V_seq"], _mean_square(out["E_hat_seq"]) * whole
    return {
        "reconstruction": reconstruction(rendered_beats(out, chunk_size), meta["beats"], present, robust),
        "smoothness": smoothness(v) * whole,
        "energy": energy(v) * whole,
        "loop_closure": loop_closure(v) * whole,
        "state_path": state_path(out["W_seq"], w_start, real),
        "residual": _mean_square(out["residual_seq"]) * whole / drawn.clamp(min=1e-8),
        "geometry": projection.deviation() + projection.bending(out["W_seq"], real),
    }


def total_loss(terms: dict[str, Tensor], weights: LossConfig) -> Tensor:
    """The reconstruction and the other terms times their weights; what weighs nothing is not asked for its gradient."""
    total = terms["reconstruction"]
    for name, term in terms.items():
        weight = 1.0 if name == "reconstruction" else getattr(weights, name)
        if name != "reconstruction" and weight != 0:
            total = total + weight * term
    return total
