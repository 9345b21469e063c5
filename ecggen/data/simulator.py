"""Simulated twelve-lead recordings whose source is known: the default data, so that nothing has to be downloaded.

Each record is one heart (`heart.py`) seen through the forward Dower matrix after a small rotation: leads = D . R . s.
Around it lies what a recording adds: heart rate and its variability, beat-to-beat jitter, slow drift, ectopic beats,
amplifier gain, electrode noise and lost leads. The truth (source, R peaks, drift, class) is given away in
`Recording.extra` so that estimation can be checked against it.

Quasi-static by construction: the heart does not move from beat to beat but for jitter and a drift that is slow against
the beat, and no beat depends on an earlier one. There is nothing to forecast.

The source is drawn at 400 Hz or more and brought down to the wanted rate through an anti-alias filter, as a recorder
does. Noise is drawn at the wanted rate; the mains tone is weighed by that same filter, so that at 100 Hz half of a
50 Hz tone remains, at the edge of the band, and nothing of a 60 Hz one.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache

import numpy as np
import scipy
from numpy.random import Generator

from ecggen.config import SimulatorConfig
from ecggen.data import heart
from ecggen.data.heart import Waves
from ecggen.data.recording import Recording
from ecggen.data.sources.contract import Entry
from ecggen.leads import LEADS, LIMB_IDENTITIES, PRECORDIALS, nominal_directions

VERSION = 1  # raise it whenever a change of this file or of `heart.py` changes a record
CLASS_SHARES = {"NORM": 0.36, "BBB": 0.16, "STDEV": 0.16, "INVT": 0.16, "LVH": 0.16}
SEVERITY = (0.25, 1.0)  # the mild ones look like normal hearts, so that the classes overlap

_DRAW_RATE = 400.0  # Hz at least; the narrowest wave has a standard deviation of 6.7 ms and so ends below 100 Hz
_BEFORE, _AFTER = 0.45, 1.1  # s around the R peak that hold a whole beat
_ROTATION = 0.17  # rad, standard deviation of each component of the rotation vector, some ten degrees
_JITTER = np.array([0.06, 0.02, 0.02, 0.02, 0.04])  # beat-to-beat, log amplitude of P, QRS, LATE, ST, T
_DRIFT_ST = 0.08  # mV, standard deviation over records of the ST level that drift reaches
_DRIFT_T = 2.5  # 1 / mV: T loses a quarter of its size when ST has drifted by 0.1 mV
_GAIN = 0.04  # standard deviation of an amplifier channel's log gain
_ELECTRODES = 9  # RA, LA, LL, V1..V6


@dataclass(frozen=True)
class Rhythm:
    """When beats come. n beats, some of them outside the record.

    Attributes:
        times: [n] s from the record's start, R peaks.
        rr: [n] s, the sinus RR interval at that time, to which T adapts; ectopic beats do not change it.
        ectopic: [n] bool, True = premature beat from a ventricular focus.
    """

    times: np.ndarray
    rr: np.ndarray
    ectopic: np.ndarray


class SimulatorSource:
    """A population of simulated hearts, one record a heart, one heart a patient.

    Record i depends on (cfg.seed, i) alone: reading order, number of records and workers do not matter.

    Args:
        cfg: size of the population and how unlike its hearts are.
        seconds: length of a record.
        fs: sampling rate in Hz.
    """

    def __init__(self, cfg: SimulatorConfig, seconds: float, fs: float) -> None:
        self.cfg, self.seconds, self.fs = cfg, seconds, fs

    def entries(self) -> list[Entry]:
        """All records; their class is drawn here, their signal is not."""
        return [self._entry(index) for index in range(self.cfg.records)]

    def _entry(self, index: int) -> Entry:
        name = f"sim{self.cfg.seed}_{index:06d}"
        return Entry(id=name, location=str(index), patient=name, labels=(self._class_of(index),))

    def _class_of(self, index: int) -> str:
        rng = np.random.default_rng([self.cfg.seed, index, 0])
        return str(rng.choice(list(CLASS_SHARES), p=list(CLASS_SHARES.values())))

    def fingerprint(self) -> str:
        """Settings, length, rate and version of the simulator; records are computed, so nothing else matters."""
        return f"simulator v{VERSION} {asdict(self.cfg)} {self.seconds} s {self.fs} Hz"

    def read(self, entry: Entry) -> Iterator[Recording]:
        """The record, in one piece.

        `extra` holds `source` [3, T] mV (R . s, unfiltered, at the record's rate), and for the n beats whose R peak
        lies in the record `r_peaks` [n] samples, `drift` [n] mV (ST level reached by slow drift; T shrinks with it)
        and `ectopic` [n] bool; for the record `rotation` [3, 3] and `severity` of its class, 0 to 1.
        """
        rng = np.random.default_rng([self.cfg.seed, int(entry.location), 1])
        name = self._class_of(int(entry.location))
        severity = float(rng.uniform(*SEVERITY)) if name != "NORM" else 0.0
        waves = heart.with_class(heart.vary(heart.average_heart(), rng), name, severity, rng)
        rotation = _small_rotation(rng)
        rhythm = _rhythm(self.seconds, self.cfg.ectopic, rng)
        drift = self.cfg.drift * _drift_path(rhythm.times / self.seconds, rng)
        source = rotation @ self._source(waves, rhythm, drift, rng)
        leads = _record_leads(source, self.fs, self.cfg, rng)
        samples = np.round(rhythm.times * self.fs).astype(np.int64)
        inside = (samples >= 0) & (samples < source.shape[1])
        truth = {"source": source, "r_peaks": samples[inside], "drift": drift[inside]}
        truth |= {"ectopic": rhythm.ectopic[inside], "rotation": rotation, "severity": severity}
        yield Recording(entry.id, self.fs, LEADS, leads, patient=entry.id, labels=(name,), extra=truth)

    def _source(self, waves: Waves, rhythm: Rhythm, drift: np.ndarray, rng: Generator) -> np.ndarray:
        """The unrotated source s of a whole record, [3, T] mV."""
        sinus = ~rhythm.ectopic
        beats = _beat_to_beat(waves, drift[sinus], rng)
        source = render_source(beats, rhythm.times[sinus], rhythm.rr[sinus], self.seconds, self.fs)
        focus = heart.ventricular_beat(rng)
        if rhythm.ectopic.any():
            premature = rhythm.times[rhythm.ectopic], rhythm.rr[rhythm.ectopic]
            source += render_source(focus, *premature, self.seconds, self.fs)
        return source


def render_source(waves: Waves, times: np.ndarray, rr: np.ndarray, seconds: float, fs: float) -> np.ndarray:
    """Beats at `times` [n] s with RR intervals `rr` [n] s, drawn finely and brought down to `fs`: [3, T] mV.

    ST and T waves scale in place and width with sqrt(RR / 1 s) (Bazett's rule for the QT interval); all others keep
    their milliseconds.
    """
    assert times.shape == rr.shape, f"rr: expected one interval a beat, {times.shape}, got {rr.shape}"
    factor = _oversampling(fs)
    rate = factor * fs
    total = round(seconds * fs) * factor
    before, after = round(_BEFORE * fs) * factor, round(_AFTER * fs) * factor
    canvas = np.zeros((3, total + before + after))
    first = np.floor(times * rate).astype(int)  # sample of the R peak, rounded down
    local = (np.arange(-before, after) / rate).astype(np.float32)
    adapts = (waves.kind == heart.ST) | (waves.kind == heart.T)
    amplitudes = np.broadcast_to(waves.amplitude, (len(times), len(waves.axis)))
    for beat in np.flatnonzero((first > -after) & (first < total + before)):
        scale = np.where(adapts, np.sqrt(rr[beat]), 1.0)
        centre = (waves.centre * scale + times[beat] - first[beat] / rate).astype(np.float32)
        precision = (1.0 / (waves.width * scale)).astype(np.float32)
        shapes = np.exp(-0.5 * ((local - centre[:, None]) * precision[:, None]) ** 2)
        by_axis = (np.arange(3)[:, None] == waves.axis) * amplitudes[beat]  # [3, w]
        start, end = max(first[beat], 0), min(first[beat] + before + after, canvas.shape[1])
        canvas[:, start:end] += by_axis @ shapes[:, start - first[beat] : end - first[beat]]
    if factor > 1:  # with the margins still on, so that the filter sees no edge inside the record
        canvas = scipy.signal.resample_poly(canvas, 1, factor, axis=1, window=_anti_alias(factor))
    start = before // factor
    return canvas[:, start : start + total // factor]


def _oversampling(fs: float) -> int:
    return max(1, int(np.ceil(_DRAW_RATE / fs)))


@cache
def _anti_alias(factor: int) -> np.ndarray:
    """Linear-phase low-pass at the lower rate's Nyquist frequency, for a rate `factor` times as high."""
    return scipy.signal.firwin(20 * factor + 1, 1.0 / factor, window=("kaiser", 5.0))


def _small_rotation(rng: Generator) -> np.ndarray:
    """A rotation of the heart in the chest, [3, 3]: by Rodrigues' formula from a random axis-angle vector."""
    vector = rng.normal(0.0, _ROTATION, 3)
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / max(angle, 1e-12)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def _rhythm(seconds: float, ectopic: float, rng: Generator) -> Rhythm:
    """Sinus rhythm with respiratory and slower variability; each beat is premature with probability `ectopic`.

    A premature beat leaves the sinus node's schedule alone, so that a full pause follows it; two never follow on.
    """
    rate = np.clip(rng.normal(72.0, 13.0), 45.0, 120.0)  # beats a minute
    n = int((seconds + 4.0) * rate / 60.0 * 1.5) + 4
    beat = np.arange(n) * 60.0 / rate
    breath, slow = rng.uniform(0.2, 0.33), rng.uniform(0.07, 0.12)  # Hz, the two bands of heart rate variability
    phase = rng.uniform(0.0, 2.0 * np.pi, 2)
    wave = np.sin(2 * np.pi * breath * beat + phase[0]) + np.sin(2 * np.pi * slow * beat + phase[1])
    rr = 60.0 / rate * np.exp(rng.uniform(0.005, 0.04) * (wave + 0.5 * rng.normal(size=n)))
    times = np.cumsum(rr) - rr[0] - 1.5 - rng.uniform(0.0, rr[0])
    premature = rng.random(n) < ectopic
    premature[0] = False
    for k in range(1, n):
        premature[k] &= not premature[k - 1]
    coupling = rng.uniform(0.55, 0.75, n)
    times = np.where(premature, times - (1.0 - coupling) * rr, times)
    keep = times < seconds + 1.0
    return Rhythm(times[keep], rr[keep], premature[keep])


def _drift_path(time: np.ndarray, rng: Generator) -> np.ndarray:
    """Slow drift of the ST level in mV at relative times 0..1: at most one turn within a record."""
    turns, phase = rng.uniform(0.3, 0.8), rng.uniform(0.0, 2.0 * np.pi)
    return rng.normal(0.0, _DRIFT_ST) * np.sin(2.0 * np.pi * turns * time + phase)


def _beat_to_beat(waves: Waves, drift: np.ndarray, rng: Generator) -> Waves:
    """The same heart n times, with jitter and with the drift of each beat: amplitude [n, w]."""
    jitter = np.exp(rng.normal(0.0, _JITTER, (len(drift), len(_JITTER))))
    amplitude = waves.amplitude * jitter[:, waves.kind]
    amplitude[:, waves.kind == heart.T] *= np.clip(1.0 - _DRIFT_T * drift, 0.2, 2.0)[:, None]
    direction = rng.normal(0.0, 1.0, 3)
    amplitude[:, waves.kind == heart.ST] += drift[:, None] * direction / np.linalg.norm(direction)
    return replace(waves, amplitude=amplitude)


def _record_leads(source: np.ndarray, fs: float, cfg: SimulatorConfig, rng: Generator) -> np.ndarray:
    """What a recorder stores, [12, T] mV.

    As in a recorder, eight channels are measured (I, II, V1..V6), each with its own amplifier gain, and the other four
    limb leads are computed from I and II. Noise enters at the electrodes, before the differences are taken. So the
    limb identities hold in the record, gains and noise included, until a lead is lost (NaN throughout).
    """
    measured = [LEADS.index(name) for name in ("I", "II", *PRECORDIALS)]
    gain = np.exp(rng.normal(0.0, _GAIN, len(measured)))
    noise = cfg.noise * _electrode_noise(source.shape[1], fs, rng)
    channels = gain[:, None] * (nominal_directions()[measured] @ source + _differences() @ noise)
    leads = np.empty((len(LEADS), source.shape[1]))
    leads[measured] = channels
    for name, (of_i, of_ii) in LIMB_IDENTITIES.items():
        leads[LEADS.index(name)] = of_i * channels[0] + of_ii * channels[1]
    leads[rng.random(len(LEADS)) < cfg.lost_leads] = np.nan
    return leads


def _differences() -> np.ndarray:
    """Electrodes (RA, LA, LL, V1..V6) to channels (I, II, V1..V6), [8, 9]; V leads against Wilson's terminal."""
    limb = np.array([[-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    return np.block([[limb, np.zeros((2, 6))], [np.full((6, 3), -1.0 / 3.0), np.eye(6)]])


def _electrode_noise(samples: int, fs: float, rng: Generator) -> np.ndarray:
    """Baseline wander, mains, muscle and white noise at each electrode, [9, T] mV; every record has its own levels."""
    time = np.arange(samples) / fs
    wander, mains, muscle, white = np.array([0.06, 0.008, 0.008, 0.004]) * np.exp(rng.normal(0.0, 0.6, 4))
    shape = (_ELECTRODES, 1)
    noise = white * rng.normal(size=(_ELECTRODES, samples))
    for frequency in (rng.uniform(0.15, 0.4), rng.uniform(0.03, 0.12)):  # breathing, and sweat or movement
        phase = rng.uniform(0.0, 2.0 * np.pi, shape)
        noise += wander * rng.normal(size=shape) * np.sin(2.0 * np.pi * frequency * time + phase)
    grid = float(rng.choice([50.0, 60.0])) + rng.normal(0.0, 0.02)
    level = mains * _passed(grid, fs)
    noise += level * rng.normal(size=shape) * np.sin(2.0 * np.pi * grid * time + rng.uniform(0.0, 2.0 * np.pi))
    activity = scipy.signal.butter(2, min(20.0, 0.4 * fs), "high", fs=fs, output="sos")  # muscle: 20 Hz and above
    return noise + muscle * scipy.signal.sosfilt(activity, rng.normal(size=(_ELECTRODES, samples)), axis=1)


def _passed(frequency: float, fs: float) -> float:
    """How much of a tone the anti-alias filter of the wanted rate lets through, 0 to 1."""
    factor = _oversampling(fs)
    if factor == 1:
        return 1.0
    _, response = scipy.signal.freqz(_anti_alias(factor), worN=[frequency], fs=factor * fs)
    return float(abs(response[0]))
