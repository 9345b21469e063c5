"""`ECGTokenizer`: a record becomes beat tokens, one a beat and lead.

Tokens are indexed by beat, not by time: the model never asks what comes next, only what each picture says about the one
heart behind all of them. No phase map and no warp; a beat is cut, brought to a common length and flattened.

Letters: B records, L leads, T samples, N beats, T' = beat_len, d token width.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ecggen.config import TokenizerConfig
from ecggen.data.beats import BeatWindows, Segmentation, Span, cut_beats, pad_spans, peak_table, segment
from ecggen.data.rpeaks import detect_r_peaks

# Band-passed ECG has a standard deviation near 0.2 mV; tokens see it in that unit so that they start at order one.
AMPLITUDE_UNIT = 0.2
TYPICAL_INTERVAL = 0.8  # s, a heart at 75 a minute
PACE_WIDTH = 16
CONV_CHANNELS = 16
CONV_KERNEL = 7
CONV_STRIDE = 2

Boundaries = Sequence[Sequence[Span]] | BeatWindows  # of a batch


class ConvToken(nn.Module):
    """A small Conv1d encoder of one beat of one lead: [M, T'] -> [M, d]."""

    def __init__(self, beat_len: int, width: int) -> None:
        super().__init__()
        pad = CONV_KERNEL // 2
        self.body = nn.Sequential(
            nn.Conv1d(1, CONV_CHANNELS, CONV_KERNEL, stride=CONV_STRIDE, padding=pad),
            nn.GELU(),
            nn.Conv1d(CONV_CHANNELS, CONV_CHANNELS, CONV_KERNEL, stride=CONV_STRIDE, padding=pad),
            nn.GELU(),
            nn.Flatten(),
        )
        samples = math.ceil(math.ceil(beat_len / CONV_STRIDE) / CONV_STRIDE)
        self.out = nn.Linear(CONV_CHANNELS * samples, width)

    def forward(self, beats: Tensor) -> Tensor:
        """beats [M, T'] -> tokens [M, d]."""
        assert beats.ndim == 2, f"beats: expected [M, T'], got {tuple(beats.shape)}"
        out: Tensor = self.out(self.body(beats.unsqueeze(1)))
        return out


class Pace(nn.Module):
    """What the length of a beat's window adds to its tokens: [B, N] s -> [B, N, d].

    All beats are brought to one length, so that a waveform alone no longer says whether its QRS lasts 80 or 120 ms.

    Role: tokenizer, the part of a beat that interpolation takes from it.
    Input: intervals [B, N] s, 0 where padded.
    Output: [B, N, d], the same for all leads.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, PACE_WIDTH), nn.GELU(), nn.Linear(PACE_WIDTH, width))

    def forward(self, intervals: Tensor) -> Tensor:
        """intervals [B, N] s, 0 where padded -> [B, N, d]."""
        known = torch.where(intervals > 0, intervals, TYPICAL_INTERVAL)
        pace = (known / TYPICAL_INTERVAL).log()[..., None]
        out: Tensor = self.body(pace.to(next(self.parameters()).dtype))
        return out


class ECGTokenizer(nn.Module):
    """Beat-wise tokenizer.

    Role: first step of estimation; says what one picture of the heart is (a beat of a lead) and nothing about order.
    Input: `ecg` [B, L, T] in mV at `fs`; `lead_mask` [B, L] bool, True = shown; optional `boundaries`.
    Output: `X` [B, L, N, d] tokens (zero for hidden leads and padded beats) and `meta`, see `cut`.
    """

    def __init__(self, cfg: TokenizerConfig, fs: float) -> None:
        super().__init__()
        self.cfg = cfg
        self.fs = fs
        self.embed: nn.Module = (
            nn.Linear(cfg.beat_len, cfg.width) if cfg.token == "linear" else ConvToken(cfg.beat_len, cfg.width)
        )
        self.pace = Pace(cfg.width) if cfg.pace else None

    def boundaries_from_peaks(self, peaks: Sequence[Tensor], n_samples: int) -> BeatWindows:
        """Beat windows from R peaks known beforehand (`rr`), or equidistant ones (`equal`). Errors as of `segment`."""
        return self.segment(*peak_table(peaks), n_samples).windows

    def segment(self, peaks: np.ndarray, counts: np.ndarray, n_samples: int) -> Segmentation:
        """Beat windows from peaks [B, P] in samples, of which each record has counts [B], and what became of the rest.

        Raises AssertionError for a record in which there is no window.
        """
        given = peaks if self.cfg.segmentation == "rr" else None
        found = segment(given, counts, n_samples, self.cfg.beat_len, self.cfg.before)
        self._check_beats(found.windows.mask.sum(1), n_samples)
        return found

    def _check_beats(self, windows: Tensor, n_samples: int) -> None:
        assert bool((windows > 0).all()), (
            f"boundaries: expected at least one window in each of {len(windows)} records of {n_samples} samples, "
            f"got {windows.tolist()[:8]}; a record needs {self.cfg.beat_len} samples or two beats"
        )

    def find_boundaries(self, ecg: Tensor, lead_mask: Tensor) -> Segmentation:
        """Beat windows from the shown leads alone, so that a hidden lead leaks nothing, not even where its beats are.

        Errors as of `segment`.
        """
        peaks = [torch.zeros(0, dtype=torch.int64)] * len(ecg)
        if self.cfg.segmentation == "rr":
            with torch.autocast(ecg.device.type, enabled=False):  # where the beats are is not a question of precision
                peaks = detect_r_peaks(ecg, lead_mask, self.fs)
        return self.segment(*peak_table(peaks), ecg.shape[-1])

    def forward(
        self,
        ecg: Tensor,
        lead_mask: Tensor | None = None,
        boundaries: Boundaries | None = None,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Cut, interpolate and embed the beats of a batch: X [B, L, N, d] and meta. Arguments and meta as in `cut`."""
        meta = self.cut(ecg, lead_mask, boundaries)
        shown = meta["lead_mask"][:, :, None] & meta["beat_mask"][:, None, :]
        tokens = self._embed(meta["beats"], shown)
        if self.pace is not None:
            tokens = tokens + self.pace(meta["beat_intervals"])[:, None]
        return tokens * shown[..., None], meta

    def cut(
        self,
        ecg: Tensor,
        lead_mask: Tensor | None = None,
        boundaries: Boundaries | None = None,
    ) -> dict[str, Any]:
        """Find the beats of a batch, or take those given, and bring each to `beat_len` samples.

        Args:
            ecg: [B, L, T] mV; what hidden leads hold is never looked at.
            lead_mask: [B, L] bool, True = shown; None = all shown.
            boundaries: beat windows known beforehand, as lists or as tensors; None finds them on the shown leads.

        Returns:
            meta with `beats` [B, L, N, T'] mV of *all* leads on the same windows (the targets), `beat_mask` [B, N]
            bool, `beat_intervals` [B, N] s (0 where padded), `beat_len`, `lead_mask` [B, L]; unless windows were
            given as tensors, of which nothing is read back, `beat_boundaries` and `coverage` [B] share of the record
            inside windows; and, where beats were looked for, `left_out` [B] and `fallback` [B].

        Raises:
            AssertionError: for shapes that do not fit, or a record too short for a single window.
        """
        assert ecg.ndim == 3, f"ecg: expected [B, L, T], got {tuple(ecg.shape)}"
        b, leads, _ = ecg.shape
        if lead_mask is None:
            lead_mask = torch.ones(b, leads, dtype=torch.bool, device=ecg.device)
        assert lead_mask.shape == (b, leads) and lead_mask.dtype == torch.bool, (
            f"lead_mask: expected [{b}, {leads}] bool, got {tuple(lead_mask.shape)} {lead_mask.dtype}"
        )
        found, windows = self._windows(ecg, lead_mask, boundaries)
        shapes = {tuple(part.shape) for part in windows}
        assert len(shapes) == 1 and windows.mask.shape[:1] == (b,), (
            f"boundaries: expected starts, lengths and mask of one shape [{b}, N], got {sorted(shapes)}"
        )
        starts, lengths, beat_mask = windows.to(ecg.device)
        return {
            **found,
            "beats": cut_beats(ecg, starts, lengths, self.cfg.beat_len),
            "beat_mask": beat_mask,
            "beat_intervals": torch.where(beat_mask, lengths / self.fs, torch.zeros((), device=ecg.device)),
            "beat_len": self.cfg.beat_len,
            "lead_mask": lead_mask,
        }

    def _windows(
        self, ecg: Tensor, lead_mask: Tensor, boundaries: Boundaries | None
    ) -> tuple[dict[str, Any], BeatWindows]:
        """The beat windows, and what meta says of them where they were not given as tensors."""
        if isinstance(boundaries, BeatWindows):
            return {}, boundaries
        assert bool(lead_mask.any(1).all()), "lead_mask: expected at least one shown lead in every record, got none"
        found: dict[str, Any] = {}
        if boundaries is None:
            parts = self.find_boundaries(ecg, lead_mask)
            windows, found = parts.windows, {"left_out": parts.left_out, "fallback": parts.fallback}
        else:
            assert len(boundaries) == len(ecg), (
                f"boundaries: expected windows of {len(ecg)} records, got {len(boundaries)}"
            )
            windows = pad_spans(boundaries)
            self._check_beats(windows.mask.sum(1), ecg.shape[-1])
        found["beat_boundaries"] = windows.spans()
        found["coverage"] = torch.tensor([_covered(spans) / ecg.shape[-1] for spans in found["beat_boundaries"]])
        return found, windows

    def _embed(self, beats: Tensor, shown: Tensor) -> Tensor:
        # `where`, not a product: a hidden lead may hold NaN, and 0 * NaN is NaN.
        clean = torch.where(shown[..., None], beats, torch.zeros((), device=beats.device)) / AMPLITUDE_UNIT
        tokens: Tensor = self.embed(clean.reshape(-1, self.cfg.beat_len)).reshape(*shown.shape, self.cfg.width)
        return tokens


def _covered(spans: Sequence[Span]) -> int:
    """Samples that lie in at least one window; windows of an irregular rhythm may overlap."""
    covered, reach = 0, 0
    for start, end in spans:
        covered += max(0, end - max(start, reach))
        reach = max(reach, end)
    return covered
