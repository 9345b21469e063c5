"""`Portrait`: all there is to see of one record, so that whoever draws it needs neither the model nor torch.

A portrait is made once (`observe`), kept as one npz file, and read by figures and pages.

Letters: T samples of the record, N beats, C chunks, D state size, K basis curves, T' samples of a rendered beat.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ecggen.atomic import whole_file
from ecggen.errors import UserError
from ecggen.leads import LEADS
from ecggen.npy import load_arrays

PORTRAIT_FILE = "record.npz"  # in the folder of a finished run
MAKE_IT = "make it with main.py --mode plot, on the run's own data"
FORMAT = "ecggen-portrait-1"
CONSTANT = 1e-6  # mV; a lead whose beats deviate less from their mean has no r
_OPTIONAL = ("source", "source_map")
_DTYPES = {"present": np.bool_, "shown": np.bool_, "beats": np.int64, "chunk": np.int64, "source_map": np.float64}
# What the arrays of another file, or altered ones, make us raise.
_DAMAGE = (AssertionError, AttributeError, IndexError, KeyError, OSError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class Portrait:
    """One record as it was measured, as the model renders it, and the state behind the rendering.

    Attributes:
        id: of the record.
        fs: sampling rate of `ecg`, Hz.
        ecg: [12, T] float32 mV, preprocessed, in the order of LEADS; zero where a lead is absent.
        present: [12] bool, True = measured or derived.
        shown: [12] bool, True = given to the model; present leads that are not shown are hidden.
        beats: [N, 2] int64 samples, start and end (one past the last) of each beat's window.
        chunk: [N] int64, the chunk that each beat belongs to, so the row of `w` and `v`.
        rendered: [N, 12, T'] float32 mV, each beat by its own chunk's W, residual included.
        v: [C, 3, T'] float32 mV, the latent source of each chunk.
        w: [C, D] float32, the state after each chunk.
        basis: [K, T'] float32, the curves that V is mixed of.
        peak: share of a beat's window in front of its R peak, 0..1.
        source: [N, 3, T'] float32 mV, the true source of each beat (X left, Y foot, Z back), None where not known.
        source_map: [3, 3] float64, the one fixed map from V to the true source's axes, None where none was fitted. V
            has no axes of its own: the lead vectors can undo any invertible map.
        band: of the band-pass, Hz.
    """

    id: str
    fs: float
    ecg: np.ndarray
    present: np.ndarray
    shown: np.ndarray
    beats: np.ndarray
    chunk: np.ndarray
    rendered: np.ndarray
    v: np.ndarray
    w: np.ndarray
    basis: np.ndarray
    peak: float
    source: np.ndarray | None = None
    source_map: np.ndarray | None = None
    band: tuple[float, float] = (0.67, 40.0)

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_values()

    def _check_shapes(self) -> None:
        leads = len(LEADS)
        assert self.ecg.ndim == 2, f"ecg: expected [{leads}, T], got {list(self.ecg.shape)}; give one record"
        samples, beats = self.ecg.shape[1], len(self.beats)
        assert self.w.ndim == 2 and self.basis.ndim == 2, (
            f"w, basis: expected [C, D] and [K, T'], got {list(self.w.shape)} and {list(self.basis.shape)}; "
            "give the path of W and the curves of one model"
        )
        chunks, beat_len = len(self.w), self.basis.shape[1]
        expected = {
            "ecg": (leads, samples),
            "present": (leads,),
            "shown": (leads,),
            "beats": (beats, 2),
            "chunk": (beats,),
            "rendered": (beats, leads, beat_len),
            "v": (chunks, 3, beat_len),
            "source": (beats, 3, beat_len),
            "source_map": (3, 3),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            assert value.shape == shape, f"{name}: expected {list(shape)}, got {list(value.shape)}; see Portrait"

    def _check_values(self) -> None:
        assert self.id and self.fs > 0 and 0 <= self.peak <= 1, (
            f"id, fs, peak: expected a name, Hz above 0 and a share 0..1, got {self.id!r}, {self.fs}, {self.peak}; "
            "correct them"
        )
        assert len(self.beats) and len(self.w), (
            "beats: expected at least one beat and chunk, got none; see ECGTokenizer"
        )
        assert not (self.shown & ~self.present).any(), "shown: expected present leads only, got absent ones; mask them"
        start, end = self.beats.T
        assert (start >= 0).all() and (start < end).all() and (end <= self.ecg.shape[1]).all(), (
            f"beats: expected 0 <= start < end <= {self.ecg.shape[1]}, got others; give samples of this record"
        )
        assert self.chunk.min() >= 0 and self.chunk.max() < len(self.w), (
            f"chunk: expected 0..{len(self.w) - 1}, got {self.chunk.min()}..{self.chunk.max()}; give rows of w"
        )
        for name in ("ecg", "rendered", "v", "w", "basis", *_OPTIONAL):
            value = getattr(self, name)
            assert value is None or np.isfinite(value).all(), (
                f"{name}: expected finite numbers, got others; leave it out"
            )

    @property
    def hidden(self) -> np.ndarray:
        """[12] bool, True = recorded but not given to the model."""
        return self.present & ~self.shown

    def measured(self) -> np.ndarray:
        """The measured beats at the rendering's sample times, [N, 12, T'] mV, by linear interpolation as in `beats`."""
        beat_len = self.basis.shape[1]
        start, end = self.beats.T.astype(float)
        at = start[:, None] + (end - start)[:, None] * np.arange(beat_len) / beat_len
        samples = np.arange(self.ecg.shape[1])
        return np.stack([np.interp(at, samples, lead) for lead in self.ecg], axis=1).astype(np.float32)

    def r(self) -> np.ndarray:
        """Pearson r between rendered and measured beats, lead by lead, [12]; NaN for absent and for constant leads."""
        ours, theirs = (beats.transpose(1, 0, 2).reshape(len(LEADS), -1) for beats in (self.rendered, self.measured()))
        ours, theirs = (x.astype(float) - x.mean(1, keepdims=True, dtype=float) for x in (ours, theirs))
        norms = np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1)
        floor = CONSTANT * np.sqrt(ours.shape[1])
        usable = self.present & (norms[0] > floor) & (norms[1] > floor)
        return np.divide((ours * theirs).sum(1), norms[0] * norms[1], out=np.full(len(LEADS), np.nan), where=usable)


def write_portrait(path: Path, portrait: Portrait) -> None:
    """Writes a portrait as npz; the file appears whole or not at all."""
    arrays = {name: value for name, value in vars(portrait).items() if value is not None}
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, format=FORMAT, **arrays)


def read_portrait(path: Path) -> Portrait:
    """A portrait as `write_portrait` wrote it. Raises UserError where the file is missing, damaged or another's."""
    if not path.is_file():
        raise UserError(f"{path}: expected a portrait, got no file; {MAKE_IT}")
    try:
        arrays = load_arrays(path)
        if str(arrays.pop("format")) != FORMAT:
            raise ValueError("of another format")
        return Portrait(**{field.name: _value(field.name, arrays) for field in fields(Portrait)})
    except _DAMAGE as fault:
        text = " ".join(f"{type(fault).__name__}: {fault}".split())[:120]
        raise UserError(f"{path}: expected a portrait, got a damaged or other file ({text}); {MAKE_IT}") from None


def _value(name: str, arrays: dict[str, np.ndarray]) -> Any:
    if name in _OPTIONAL and name not in arrays:
        return None
    value = arrays[name]
    if name == "id":
        return str(value)
    if name in ("fs", "peak"):
        return float(value)
    if name == "band":
        low, high = value.tolist()
        return float(low), float(high)
    return value.astype(_DTYPES.get(name, np.float32))
