"""Made-up portraits and examinations whose numbers are known, for the tests of figures."""

from dataclasses import replace
from typing import Any

import numpy as np

from ecggen.examination import Examination, Piece
from ecggen.leads import LEADS, lead_indices
from ecggen.portrait import Portrait

FS, SECONDS, BEAT, CHUNKS, STATE, CURVES = 100, 10, 80, 6, 5, 4


def beat_wave() -> np.ndarray:
    """[80] mV: one beat of 0.8 s, R of 1 mV at sample 28, T of 0.3 mV."""
    at = np.arange(BEAT)
    return np.exp(-0.5 * ((at - 28) / 1.5) ** 2) + 0.3 * np.exp(-0.5 * ((at - 55) / 5.0) ** 2)


def portrait_of(visible: tuple[str, ...] = ("I", "II", "V2"), **changes: Any) -> Portrait:
    """Twelve beats of 0.8 s, two a chunk; every lead is the same beat times its own factor, rendered exactly."""
    factors = np.linspace(-1, 1.2, len(LEADS)) + 0.05
    beats = np.array([(20 + n * BEAT, 20 + (n + 1) * BEAT) for n in range(12)])
    ecg = np.zeros((len(LEADS), FS * SECONDS), np.float32)
    for start, end in beats:
        ecg[:, start:end] = factors[:, None] * beat_wave()
    rendered = np.tile((factors[:, None] * beat_wave())[None], (12, 1, 1)).astype(np.float32)
    shown = np.zeros(len(LEADS), bool)
    shown[lead_indices(visible)] = True
    rng = np.random.default_rng(0)
    axes = np.stack([beat_wave(), 0.5 * np.roll(beat_wave(), 2), -0.4 * np.roll(beat_wave(), 4)])
    given = Portrait(
        id="r1",
        fs=float(FS),
        ecg=ecg,
        present=np.ones(len(LEADS), bool),
        shown=shown,
        beats=beats,
        chunk=np.arange(12) // 2,
        rendered=rendered,
        v=np.tile(axes[None], (CHUNKS, 1, 1)).astype(np.float32),
        w=rng.normal(size=(CHUNKS, STATE)).astype(np.float32),
        basis=np.stack([np.roll(beat_wave(), 12 * k) for k in range(CURVES)]).astype(np.float32),
        peak=28 / BEAT,
    )
    return replace(given, **changes)


def examination_of(**changes: Any) -> Examination:
    """Ten seconds of two channels, 100 Hz, in one used window with a beat every 0.8 s."""
    raw = np.zeros((2, FS * SECONDS), np.float32)
    for start in range(20, FS * SECONDS - BEAT, BEAT):
        raw[:, start : start + BEAT] = beat_wave()
    clean = np.zeros((len(LEADS), raw.shape[1]), np.float32)
    clean[lead_indices(("II", "V1"))] = raw
    mask = clean.any(1)
    peaks = np.arange(0.48, 9.3, 0.8)
    windows = np.stack([peaks - 0.28, peaks + 0.52], axis=1)
    piece = Piece("r1", 0.0, 10.0, None, ecg=clean, lead_mask=mask, peaks=peaks, beats=windows)
    given = Examination(
        id="r1",
        fs=float(FS),
        leads=("MLII", "V1"),
        total=10.0,
        start=0.0,
        raw=raw,
        reason=None,
        absent="I III",
        pieces=(piece,),
        defects=(),
        target_fs=float(FS),
        band=(0.67, 40.0),
    )
    return replace(given, **changes)
