"""Beat windows: from R peaks to the spans of a record that become tokens, and from spans to beats of equal length.

A beat is the unit of observation: one more picture of the same heart. All windows of a record have the same length (its
median RR interval), so that the R peak stands at the same place in each of them and beats differ in shape, not in cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ecggen.data.transfer import sent

Span = tuple[int, int]
MIN_BEATS = 2
ENDLESS = 2**31  # samples, longer than any record


class BeatWindows(NamedTuple):
    """Windows of the beats of a batch, real ones first.

    starts [B, N] and lengths [B, N] samples (float32, padding is 0 and 1), mask [B, N] bool, True = real beat.
    """

    starts: Tensor
    lengths: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> "BeatWindows":
        """The same windows on another device."""
        return BeatWindows(*(sent(part, device) for part in self))

    def padded(self, beats: int) -> "BeatWindows":
        """The same windows with padding up to so many beats."""
        room = (0, beats - self.mask.shape[1])
        assert room[1] >= 0, f"beats: expected at least {self.mask.shape[1]}, got {beats}"
        pad = nn.functional.pad
        return BeatWindows(pad(self.starts, room), pad(self.lengths, room, value=1.0), pad(self.mask, room))

    def neighbours(self, first: Tensor, most: int) -> "BeatWindows":
        """`most` windows of each record from the one at `first` [B] on, or all of a record that has no more."""
        counts = self.mask.sum(1)
        taken = counts.clamp(max=most)
        assert bool((first + taken <= counts).all()), f"first: expected room for {most} windows, got {first.tolist()}"
        beats = torch.arange(min(most, self.mask.shape[1]))
        mask = beats < taken[:, None]
        at = first[:, None] + beats
        starts, lengths = self.starts.gather(1, at), self.lengths.gather(1, at)
        return BeatWindows(torch.where(mask, starts, 0.0), torch.where(mask, lengths, 1.0), mask)

    def spans(self) -> list[list[Span]]:
        """(start, end) of the real beats of each record."""
        starts, ends = self.starts.long().tolist(), (self.starts + self.lengths).long().tolist()
        counts = self.mask.sum(1).tolist()
        return [list(zip(a[:n], b[:n], strict=True)) for a, b, n in zip(starts, ends, counts, strict=True)]


@dataclass(frozen=True)
class Segmentation:
    """Windows of a batch and what became of the rest.

    Attributes:
        windows: of each record, in order.
        left_out: [B] beats found whose window did not lie inside the record.
        fallback: [B] bool, True where `rr` found too few beats and equidistant windows were taken instead.
    """

    windows: BeatWindows
    left_out: Tensor
    fallback: Tensor


def peak_table(peaks: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Lists of unlike length as [B, P] int64, padded with zeros, and how many each record has [B] int64."""
    counts = np.array([len(own) for own in peaks], np.int64)
    real = np.arange(counts.max(initial=0)) < counts[:, None]
    table = np.zeros(real.shape, np.int64)
    if real.any():
        table[real] = torch.cat(list(peaks)).cpu().numpy()
    return table, counts


def segment(peaks: np.ndarray | None, counts: np.ndarray, n_samples: int, beat_len: int, before: float) -> Segmentation:
    """Windows of each record: around its R peaks, or side by side where there are none (`peaks` None) or too few.

    Args:
        peaks: [B, P] ascending sample indices of R peaks, padded; None = all records in equidistant windows of
            `beat_len` samples: no beats are looked for, nothing is interpolated.
        counts: [B] R peaks of each record.
        n_samples: length of the records.
        beat_len: samples of an equidistant window.
        before: share of a window in front of the R peak, 0..1.
    """
    if peaks is None:
        found = segment(np.zeros((len(counts), 0), np.int64), np.zeros_like(counts), n_samples, beat_len, before)
        return replace(found, fallback=torch.zeros_like(found.fallback))
    assert peaks.ndim == 2 and counts.shape == (len(peaks),), (
        f"peaks, counts: expected [B, P] and [B], got {peaks.shape} and {counts.shape}"
    )
    starts, length, inside = _around(peaks, counts, n_samples, before)
    within = inside.sum(1)
    few = within < MIN_BEATS
    if few.any():
        equal = np.arange(0, n_samples - beat_len + 1, beat_len)
        room = ((0, 0), (0, max(0, len(equal) - starts.shape[1])))
        starts, inside = np.pad(starts, room), np.pad(inside, room)
        starts[few, : len(equal)], length[few] = equal, beat_len
        inside[few] = np.arange(starts.shape[1]) < len(equal)
    left_out = torch.from_numpy(counts - within)
    return Segmentation(_packed(starts, length, inside), left_out, torch.from_numpy(few))


def _around(
    peaks: np.ndarray, counts: np.ndarray, n_samples: int, before: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows [R - before * RR, R + (1 - before) * RR), RR being the record's median interval.

    Returns:
        starts [B, P], lengths [B] and which of the windows are real and lie inside the record [B, P]; that of a single
        peak is endless, and does not.
    """
    peaks = np.pad(peaks, ((0, 0), (0, max(0, MIN_BEATS - peaks.shape[1]))))
    real = np.arange(peaks.shape[1]) < counts[:, None]
    intervals = np.sort(np.where(real[:, 1:], np.diff(peaks, axis=1), ENDLESS), axis=1)
    every, last = np.arange(len(peaks)), np.maximum(counts - 2, 0)
    median = (intervals[every, last // 2] + intervals[every, (last + 1) // 2]) / 2
    length = np.maximum(np.rint(median), 2).astype(np.int64)
    starts = peaks - np.rint(before * length).astype(np.int64)[:, None]
    return starts, length, real & (starts >= 0) & (starts + length[:, None] <= n_samples)


def _packed(starts: np.ndarray, length: np.ndarray, inside: np.ndarray) -> BeatWindows:
    """Those of the windows that lie inside, which are neighbours: starts [B, P], lengths [B], inside [B, P]."""
    many = inside.sum(1)
    beats = np.arange(many.max(initial=0))
    mask = beats < many[:, None]
    at = np.minimum(inside.argmax(1)[:, None] + beats, inside.shape[1] - 1)
    begin = np.where(mask, np.take_along_axis(starts, at, 1), 0).astype(np.float32)
    lengths = np.where(mask, length[:, None], 1).astype(np.float32)
    return BeatWindows(torch.from_numpy(begin), torch.from_numpy(lengths), torch.from_numpy(mask))


def pad_spans(boundaries: Sequence[Sequence[Span]]) -> BeatWindows:
    """Lists of spans as tensors, padded to the batch's largest number of beats N."""
    counts = torch.tensor([len(spans) for spans in boundaries], dtype=torch.int64)
    mask = torch.arange(int(counts.max()) if len(counts) else 0) < counts[:, None]
    table = torch.zeros(*mask.shape, 2)
    table[mask] = torch.tensor(list(chain.from_iterable(boundaries)), dtype=torch.float32).reshape(-1, 2)
    lengths = torch.where(mask, table[..., 1] - table[..., 0], torch.ones(()))
    return BeatWindows(table[..., 0], lengths, mask)


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
