"""One preprocessing for every source: a recording as it lies on disk -> windows of twelve leads in one band and order.

Leads are ordered by name, what can be repaired is repaired by rule, what cannot is left out with a reason: a model must
never learn a database's lead order, unit or defects. Limb leads are algebra (Einthoven, Goldberger), so missing ones
are computed wherever two others are there. All filtering is zero-phase, so that no wave is shifted against another.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import numpy as np
import scipy

from ecggen.config import SignalConfig
from ecggen.data.recording import Recording
from ecggen.data.sources.contract import Span, span_of
from ecggen.errors import UserError, one_line
from ecggen.leads import LEADS, LIMB_IDENTITIES, LIMB_LEADS, canonical_lead

# Second order each way: -6 dB at the corners, and an impulse response short enough not to ring into the ST segment.
# A zero-phase high-pass at 0.67 Hz keeps the ST level within limits (Kligfield et al., Circulation 115:1306, 2007).
FILTER_ORDER = 2
PAD_SECONDS = 2.0  # mirrored at both ends; the filter has forgotten its start after it
MAX_RATE = 20_000.0  # Hz; a faster "ECG" is a damaged header
MAX_GAP = 0.2  # s; missing samples up to here are interpolated, it is the length of a PR interval
DEAD_RUN = 1.0  # s of identical samples: no electrode; 6 of PTB-XL's 235,212 leads have such a run, all are defects
FLAT_RANGE = 0.02  # mV peak to peak after filtering; the least of PTB-XL's other leads has 0.1

# Limb leads as multiples of I and II, [6, 2].
LIMB_ROWS = np.array([{"I": (1.0, 0.0), "II": (0.0, 1.0), **LIMB_IDENTITIES}[name] for name in LIMB_LEADS])


@dataclass
class Window:
    """A preprocessed stretch of one recording.

    Attributes:
        id, record: of the window, and of the record it comes from.
        ecg: [12, T] float32 mV in the order of LEADS; zero where a lead is missing.
        lead_mask: [12] bool, True = measured or derived.
        repairs: what was repaired, in words; empty for a clean one.
        absent: names of the leads that the recording never had and that could not be derived.
        vectors: what else was filtered the same way: `source`, `frank`, each [3, T] float32 mV.
        truth: `true_r_peaks` [n] int64 samples of this window, `drift` and `ectopic` [n]; simulated records only.
    """

    id: str
    record: str
    ecg: np.ndarray
    lead_mask: np.ndarray
    patient: str | None = None
    fold: int | None = None
    labels: tuple[str, ...] | None = None
    repairs: tuple[str, ...] = ()
    absent: str = ""
    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    truth: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """A record or window that is not used, and why."""

    id: str
    reason: str


@dataclass
class _Band:
    """A recording after filtering, with what is needed to judge its windows.

    ecg [12, T'] at the new rate; present [12]; broken and filled [12, T] at the old one; vectors [3, T'] by name.
    """

    ecg: np.ndarray
    present: np.ndarray
    broken: np.ndarray
    filled: np.ndarray
    vectors: dict[str, np.ndarray]


def preprocess(
    recording: Recording, signal: SignalConfig, seconds: float, max_amplitude: float
) -> list[Window | LeftOut]:
    """Windows of `seconds` from one recording (or block of a long one), each used or left out with a reason."""
    reason = _unusable(recording, signal, seconds)
    if reason is not None:
        return [LeftOut(recording.id, reason)]
    with np.errstate(over="ignore", invalid="ignore"):  # of absurd voltages, which `_refused` refuses
        return _windows(recording, signal, seconds, max_amplitude)


def _windows(
    recording: Recording, signal: SignalConfig, seconds: float, max_amplitude: float
) -> list[Window | LeftOut]:
    band = _to_band(recording, signal)
    span = span_of(recording, seconds)
    results: list[Window | LeftOut] = []
    for index in range(span.first, span.last):
        start = round(index * seconds * recording.fs) - span.start
        stop = round((index + 1) * seconds * recording.fs) - span.start
        at = round(index * seconds * signal.fs - span.start / recording.fs * signal.fs)
        length = round(seconds * signal.fs)
        at = max(0, min(at, band.ecg.shape[1] - length))
        window = _window(recording, band, slice(start, stop), slice(at, at + length))
        if span.windows > 1:
            window.id = f"{recording.id}@{index * seconds:g}"
        reason = _refused(window, max_amplitude)
        results.append(window if reason is None else LeftOut(window.id, reason))
        if reason is None:
            window.truth = _truth(recording, span, signal, index * seconds, length)
    return results


def filter_signal(signal: np.ndarray, fs: float, target: SignalConfig) -> np.ndarray:
    """[L, T] at `fs` Hz -> [L, T'] at `target.fs`, zero-phase band-passed. NaN is not allowed.

    Resampling comes first: its anti-aliasing filter is flat to above the band, and the band-pass then costs less.
    """
    ratio = Fraction(target.fs / fs).limit_denominator(1000)
    if ratio != 1:
        signal = scipy.signal.resample_poly(signal, ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    sections = _band_pass(target)
    # An even mirror: the usual odd one pulls both ends to zero, wherever in a beat they lie. Against the same stretch
    # filtered within its context (MIT-BIH), it leaves a third of the odd one's error in the first and last 0.3 s.
    pad = min(round(PAD_SECONDS * target.fs), signal.shape[-1] - 1)
    return scipy.signal.sosfiltfilt(sections, signal, axis=-1, padtype="even", padlen=pad).astype(np.float32)


@lru_cache(maxsize=8)
def _band_pass(target: SignalConfig) -> np.ndarray:
    if not 0 < target.band_low < target.band_high < target.fs / 2:
        got = f"{target.band_low:g}, {target.band_high:g} and {target.fs:g} Hz"
        raise UserError(f"model.signal: expected 0 < band_low < band_high < fs / 2, got {got}; correct the settings")
    band = (target.band_low, target.band_high)
    return scipy.signal.butter(FILTER_ORDER, band, "bandpass", fs=target.fs, output="sos")


def _unusable(recording: Recording, signal: SignalConfig, seconds: float) -> str | None:
    """Why nothing at all can be made of a recording, or None."""
    shape = recording.signal.shape
    if len(shape) != 2 or shape[0] != len(recording.leads):
        return f"lead count: {len(recording.leads)} names for a signal of shape {list(shape)}"
    if not 2 * signal.band_high <= recording.fs <= MAX_RATE:  # also catches NaN
        return f"sampling rate: {recording.fs:g} Hz, outside {2 * signal.band_high:g}-{MAX_RATE:g} Hz"
    span = span_of(recording, seconds)
    if span.windows == 0:
        return f"too short: {span.total / recording.fs:.2f} s, shorter than {seconds:g} s"
    if not any(canonical_lead(name) for name in recording.leads):
        return f"unknown lead names: {one_line(' '.join(recording.leads))[:80] or 'none'}"
    return None


def _to_band(recording: Recording, signal: SignalConfig) -> _Band:
    """Order by name, mend short gaps, resample and filter the leads that are there."""
    rows: dict[int, int] = {}
    for row, name in enumerate(recording.leads):
        lead = canonical_lead(name)
        if lead is not None:
            rows.setdefault(LEADS.index(lead), row)  # of two channels with one name the first counts
    order = sorted(rows)
    raw = np.asarray(recording.signal)[[rows[lead] for lead in order]]
    mended, broken, filled = mend(raw, recording.fs)
    filtered = filter_signal(mended, recording.fs, signal)
    band = _Band(
        ecg=np.zeros((len(LEADS), filtered.shape[1]), np.float32),
        present=np.zeros(len(LEADS), bool),
        broken=np.zeros((len(LEADS), raw.shape[1]), bool),
        filled=np.zeros((len(LEADS), raw.shape[1]), bool),
        vectors={},
    )
    band.ecg[order], band.present[order], band.broken[order], band.filled[order] = filtered, True, broken, filled
    for name in ("source", "frank"):
        if name in recording.extra:
            vector, bad, _ = mend(np.asarray(recording.extra[name]), recording.fs)
            band.vectors[name] = filter_signal(vector, recording.fs, signal)
            if bad.any():
                band.vectors[name][:] = np.nan
    return band


def mend(raw: np.ndarray, fs: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interpolates what is missing in [L, T], and tells what cannot be trusted.

    Returns:
        signal [L, T] without NaN or inf; broken [L, T] bool, True in long gaps and where a lead is dead; filled
        [L, T] bool, True in short gaps. A stretch that is broken is interpolated too, so that it cannot ring.
    """
    finite = np.isfinite(raw)
    broken, filled = np.zeros(raw.shape, bool), np.zeros(raw.shape, bool)
    held = raw[:, 1:] == raw[:, :-1]
    shortest = max(2, round(DEAD_RUN * fs))  # samples of a dead run
    suspect = ~finite.all(1) | _may_hold_run(held, shortest - 1)
    mended = raw
    for lead in np.flatnonzero(suspect):
        dead = [(start, stop + 1) for start, stop in _runs(held[lead]) if stop + 1 - start >= shortest]
        for start, stop in _runs(~finite[lead]):
            (broken if stop - start > MAX_GAP * fs else filled)[lead, start:stop] = True
        for start, stop in dead:
            broken[lead, start:stop] = True
        if mended is raw:
            mended = raw.copy()
        mended[lead] = _interpolated(raw[lead], finite[lead] & ~broken[lead])
    return mended, broken, filled


def _may_hold_run(flags: np.ndarray, length: int) -> np.ndarray:
    """Which rows of [L, T] may hold `length` times True in a row: such a run covers one aligned block of half of it."""
    half = (length + 1) // 2
    blocks = flags[:, : flags.shape[1] // half * half]
    return np.any(np.all(blocks.reshape(len(flags), -1, half), axis=2), axis=1)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(start, end exclusive) of every stretch of True in [T]."""
    padded = np.zeros(len(flags) + 2, np.int8)
    padded[1:-1] = flags
    edges = np.flatnonzero(np.diff(padded))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _interpolated(row: np.ndarray, good: np.ndarray) -> np.ndarray:
    if not good.any():
        return np.zeros_like(row)
    at = np.arange(len(row))
    return np.interp(at, at[good], row[good]).astype(row.dtype)


def _window(recording: Recording, band: _Band, raw: slice, at: slice) -> Window:
    """Cuts one window and decides lead by lead what it holds."""
    ecg = band.ecg[:, at].copy()
    broken = band.present & band.broken[:, raw].any(1)
    flat = band.present & ~broken & (np.ptp(ecg, axis=1) < FLAT_RANGE)
    mask = band.present & ~broken & ~flat
    derived = derive_limb_leads(ecg, mask)
    ecg[~mask] = 0
    repairs = {
        "short gaps interpolated": band.filled[:, raw].any(1) & mask,
        "long gap or dead electrode, lead not used": broken & ~derived,
        "flat lead not used": flat & ~derived,
        "limb lead derived": derived,
    }
    return Window(
        id=recording.id,
        record=recording.id,
        ecg=ecg,
        lead_mask=mask,
        patient=recording.patient,
        fold=recording.fold,
        labels=recording.labels,
        repairs=tuple(f"{what}: {_names(leads)}" for what, leads in repairs.items() if leads.any()),
        absent=_names(~band.present & ~derived),
        vectors={name: vector[:, at] for name, vector in band.vectors.items()},
    )


def _names(leads: np.ndarray) -> str:
    return " ".join(LEADS[index] for index in np.flatnonzero(leads))


def derive_limb_leads(ecg: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fills missing limb leads of [12, T] from the others, in place, and sets their mask; returns which, [12] bool.

    Any two limb leads determine I and II, hence all six; from more than two, I and II are their least-squares answer.
    A lead that comes out flat (I where II and III are equal) stays missing.
    """
    derived = np.zeros(len(LEADS), bool)
    known = mask[: len(LIMB_LEADS)].copy()
    if known.all() or known.sum() < 2:
        return derived
    to_all = LIMB_ROWS[~known] @ np.linalg.pinv(LIMB_ROWS[known])
    limbs = ecg[: len(LIMB_LEADS)]
    answer = to_all @ limbs[known]
    usable = np.ptp(answer, axis=1) >= FLAT_RANGE
    places = np.flatnonzero(~known)[usable]
    limbs[places] = answer[usable]
    derived[places] = mask[places] = True
    return derived


def _refused(window: Window, max_amplitude: float) -> str | None:
    """Why a window is left out, or None."""
    if not window.lead_mask.any():
        return "no usable lead: " + "; ".join(window.repairs)
    peak = float(np.abs(window.ecg).max())
    if not peak <= max_amplitude:
        return f"amplitude: {peak:.3g} mV after filtering, beyond {max_amplitude:g} mV (unit or artefact?)"
    return None


def _truth(recording: Recording, span: Span, signal: SignalConfig, begin: float, length: int) -> dict[str, np.ndarray]:
    """True R peaks of a simulated record on the window's own time axis, and what else is known of these beats."""
    if "r_peaks" not in recording.extra:
        return {}
    times = (np.asarray(recording.extra["r_peaks"]) + span.start) / recording.fs - begin
    peaks = np.round(times * signal.fs).astype(np.int64)
    inside = (peaks >= 0) & (peaks < length)
    truth = {"true_r_peaks": peaks[inside]}
    for name in {"drift", "ectopic"} & recording.extra.keys():
        truth[name] = np.asarray(recording.extra[name])[inside]
    return truth
