"""Beat windows: from R peaks to the spans of a record that become tokens, and from spans to beats of equal length.

A beat is the unit of observation: one more picture of the same heart. All windows of a record have the same length (its
median RR interval), so that the R peak stands at the same place in each of them and beats differ in shape, not in cut.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

Span = tuple[int, int]
MIN_BEATS = 2


@dataclass(frozen=True)
class Segmentation:
    """Windows of one record and what became of the rest.

    Attributes:
        spans: (start, end) in samples, end exclusive, in order.
        left_out: beats found whose window did not lie inside the record.
        fallback: True where `rr` found too few beats and equidistant windows were taken instead.
    """

    spans: list[Span]
    left_out: int = 0
    fallback: bool = False


def rr_spans(peaks: Tensor, n_samples: int, before: float) -> tuple[list[Span], int]:
    """Windows [R - before * RR, R + (1 - before) * RR), RR being the record's median.

    Args:
        peaks: [n] ascending sample indices of R peaks.
        n_samples: length of the record.
        before: share of RR in front of the R peak, 0..1.

    Returns:
        The spans that lie inside the record, and how many did not.
    """
    if len(peaks) < MIN_BEATS:
        return [], len(peaks)
    at = [int(p) for p in peaks.tolist()]  # a dozen numbers: Python is done before torch has begun
    rr = max(round(statistics.median(after - p for p, after in pairwise(at))), 2)
    lead_in = round(before * rr)
    starts = [p - lead_in for p in at]
    spans = [(s, s + rr) for s in starts if s >= 0 and s + rr <= n_samples]
    return spans, len(starts) - len(spans)


def equal_spans(n_samples: int, beat_len: int) -> list[Span]:
    """Windows of `beat_len` samples side by side: no beats are looked for, nothing is interpolated."""
    return [(s, s + beat_len) for s in range(0, n_samples - beat_len + 1, beat_len)]


def segment(peaks: Tensor | None, n_samples: int, beat_len: int, before: float) -> Segmentation:
    """Windows of one record: around its R peaks, or equidistant where there are none (`peaks` None) or too few."""
    if peaks is None:
        return Segmentation(equal_spans(n_samples, beat_len))
    spans, left_out = rr_spans(peaks, n_samples, before)
    if len(spans) >= MIN_BEATS:
        return Segmentation(spans, left_out)
    return Segmentation(equal_spans(n_samples, beat_len), left_out, fallback=True)


def pad_spans(boundaries: Sequence[Sequence[Span]]) -> tuple[Tensor, Tensor, Tensor]:
    """Lists of spans as tensors padded to the batch's largest number of beats N.

    Returns:
        starts [B, N] and lengths [B, N] in samples (float32, padding repeats 0 and 1), mask [B, N] True = real beat.
    """
    most = max((len(spans) for spans in boundaries), default=0)
    table = torch.zeros(len(boundaries), most, 2)
    mask = torch.zeros(len(boundaries), most, dtype=torch.bool)
    for b, spans in enumerate(boundaries):
        if spans:
            table[b, : len(spans)] = torch.tensor(spans, dtype=torch.float32)
            mask[b, : len(spans)] = True
    lengths = torch.where(mask, table[..., 1] - table[..., 0], torch.ones(()))
    return table[..., 0], lengths, mask


def cut_beats(ecg: Tensor, starts: Tensor, lengths: Tensor, beat_len: int) -> Tensor:
    """Cut windows out of a record and bring each to `beat_len` samples by linear interpolation.

    Sample t of a beat is the signal at start + t * length / beat_len, so a window of `beat_len` samples comes out as it
    went in.

    Args:
        ecg: [B, L, T] mV.
        starts: [B, N] samples.
        lengths: [B, N] samples.
        beat_len: samples of a beat, T'.

    Returns:
        beats [B, L, N, T'] mV.
    """
    b, leads, t = ecg.shape
    n = starts.shape[1]
    assert starts.shape == lengths.shape == (b, n), f"starts, lengths: expected [{b}, N], got {tuple(starts.shape)}"
    grid = torch.arange(beat_len, device=ecg.device, dtype=torch.float32) / beat_len
    position = (starts.unsqueeze(-1) + lengths.unsqueeze(-1) * grid).reshape(b, 1, n * beat_len)
    left = position.floor().clamp(0, t - 1)
    share = (position - left).to(ecg.dtype)
    low = left.long().expand(b, leads, -1)
    high = (left.long() + 1).clamp(max=t - 1).expand(b, leads, -1)
    beats = torch.lerp(ecg.gather(2, low), ecg.gather(2, high), share.expand(b, leads, -1))
    return beats.reshape(b, leads, n, beat_len)
