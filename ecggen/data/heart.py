"""The simulated heart: which waves a beat of the source is made of, and how one heart differs from another.

A beat of the source (X, Y, Z; left, feet, back) is a sum of Gaussian waves in time, counted from the R peak. The table
is the one of Sameni et al. 2007 ("Multichannel ECG and noise modeling", EURASIP J. Adv. Signal Process.), given there
in phase. It is read here at 60 beats a minute, with P widened and QRS stretched by `WIDTH_SCALE`, which brings the QRS
to about 90 ms (stretched as a whole, so that its millivolts stay: widened parts would overlap and add up). From there
P and QRS keep their milliseconds at every rate, and only ST and T scale, with the square root of RR. In plain phase a
fast heart would lose its R wave to the 40 Hz filter, and rate would become morphology.

Diagnostic classes are changes of these waves, with a severity that reaches down to what a normal heart may show.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

# normal; wide QRS as in bundle branch block (left or right); ST deviation; T inversion; high voltage as in left
# ventricular hypertrophy
CLASSES = ("NORM", "BBB", "STDEV", "INVT", "LVH")

P, QRS, LATE, ST, T = range(5)  # kinds of wave; LATE is the terminal QRS of a right bundle branch block

WIDTH_SCALE = 1.4
_SECONDS_A_RADIAN = 1.0 / (2.0 * np.pi)  # the table's beat lasts one second

# Per axis: theta (rad), amplitude (mV), width (rad).
_TABLE: tuple[tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]], ...] = (
    (
        (-1.09, -0.83, -0.19, -0.07, 0.0, 0.06, 0.22, 1.2, 1.42, 1.68, 2.9),
        (0.03, 0.08, -0.13, 0.85, 1.11, 0.75, 0.06, 0.1, 0.17, 0.39, 0.03),
        (0.0906, 0.1057, 0.0453, 0.0378, 0.0332, 0.0302, 0.0378, 0.604, 0.302, 0.1812, 0.5),
    ),
    (
        (-1.1, -0.9, -0.76, -0.11, -0.01, 0.065, 0.8, 1.58, 2.9),
        (0.035, 0.015, -0.019, 0.32, 0.51, -0.32, 0.04, 0.08, 0.014),
        (0.07, 0.07, 0.04, 0.055, 0.037, 0.0604, 0.45, 0.3, 0.5),
    ),
    (
        (-1.1, -0.93, -0.7, -0.4, -0.15, 0.095, 1.05, 1.25, 1.55, 2.8),
        (-0.03, -0.14, -0.035, 0.045, -0.4, 0.46, -0.12, -0.2, -0.35, -0.035),
        (0.03, 0.12, 0.04, 0.4, 0.045, 0.05, 0.8, 0.4, 0.2, 0.4),
    ),
)
_QRS_HALF = 0.3  # rad; waves of the table nearer to the R peak belong to the QRS, earlier ones to P, later ones to T

# Waves that a healthy heart lacks stand in the list with amplitude 0, so that all hearts have the same list.
_LATE_CENTRE, _LATE_WIDTH = 0.058, 0.016  # s, terminal slow forces once the left ventricle has been excited
_ST_CENTRE, _ST_WIDTH = 0.13, 0.045  # s at 60 a minute, between J point and T

# Directions of an ST vector (X, Y, Z) of mean size 1: anterior and inferior elevation, subendocardial depression.
_ST_TERRITORIES = np.array([[0.35, 0.05, -0.93], [-0.15, 0.95, 0.25], [-0.8, -0.55, 0.2]])


@dataclass(frozen=True)
class Waves:
    """Gaussian waves of the source; w waves.

    Attributes:
        axis: [w] int, 0 = X, 1 = Y, 2 = Z.
        kind: [w] int, one of P, QRS, LATE, ST, T.
        amplitude: [w] mV, or [n, w] where beats differ.
        centre: [w] s after the R peak at 60 beats a minute.
        width: [w] s, standard deviation of the Gaussian at 60 beats a minute.
    """

    axis: np.ndarray
    kind: np.ndarray
    amplitude: np.ndarray
    centre: np.ndarray
    width: np.ndarray


def average_heart() -> Waves:
    """The heart of the table, 30 waves, and after them six of amplitude 0 (LATE and ST on each axis)."""
    rows = [
        (axis, theta * _SECONDS_A_RADIAN, amplitude, width * _SECONDS_A_RADIAN, _kind(theta))
        for axis, (thetas, amplitudes, widths) in enumerate(_TABLE)
        for theta, amplitude, width in zip(thetas, amplitudes, widths, strict=True)
    ]
    rows += [(axis, _LATE_CENTRE, 0.0, _LATE_WIDTH, LATE) for axis in range(3)]
    rows += [(axis, _ST_CENTRE, 0.0, _ST_WIDTH, ST) for axis in range(3)]
    axis, centre, amplitude, width, kind = (np.array(column) for column in zip(*rows, strict=True))
    width[(kind == P) | (kind == QRS)] *= WIDTH_SCALE
    centre[kind == QRS] *= WIDTH_SCALE
    return Waves(axis, kind, amplitude, centre, width)


def _kind(theta: float) -> int:
    if abs(theta) < _QRS_HALF:
        return QRS
    return P if theta < 0 else T


def vary(waves: Waves, rng: Generator) -> Waves:
    """A heart like `waves`, but another person's: sizes, widths and places of its waves differ."""
    n = len(waves.axis)
    size = np.exp(rng.normal(0.0, [0.25, 0.15, 0.2, 0.2, 0.22]))  # whole waves: P, QRS, LATE, ST, T
    amplitude = waves.amplitude * size[waves.kind] * np.exp(rng.normal(0.0, 0.2, n))  # and their parts
    width = waves.width * np.exp(rng.normal(0.0, [0.1, 0.07, 0.1, 0.1, 0.1]))[waves.kind]
    shift = rng.normal(0.0, [0.012, 0.0, 0.0, 0.0, 0.0])  # PR interval, s
    stretch = np.exp(rng.normal(0.0, [0.0, 0.0, 0.0, 0.06, 0.06]))  # QT interval
    centre = (waves.centre + shift[waves.kind]) * stretch[waves.kind]
    return replace(waves, amplitude=amplitude, centre=centre, width=width)


def with_class(waves: Waves, name: str, severity: float, rng: Generator) -> Waves:
    """The same heart with the changes of a diagnostic class; severity 0 = none, 1 = marked."""
    return _CHANGES[name](waves, severity, rng)


def _normal(waves: Waves, severity: float, rng: Generator) -> Waves:
    return waves


def _bundle_branch_block(waves: Waves, severity: float, rng: Generator) -> Waves:
    return (_left_block if rng.random() < 0.5 else _right_block)(waves, severity)


def _left_block(waves: Waves, severity: float) -> Waves:
    """Left: the whole QRS is slow, the septal force to the front is lost, ST and T point against the QRS."""
    qrs, st, t = waves.kind == QRS, waves.kind == ST, waves.kind == T
    stretch = np.where(qrs, 1.0 + 0.9 * severity, 1.0)
    septal = qrs & (waves.axis == 2) & (waves.centre < 0)
    amplitude = waves.amplitude * np.where(septal, 1.0 - 0.8 * severity, 1.0) * np.where(t, 1.0 - 1.7 * severity, 1.0)
    discordant = np.array([-0.12, 0.0, -0.15])  # mV, against a QRS that points to the left and back
    amplitude[st] += severity * discordant
    return replace(waves, amplitude=amplitude, centre=waves.centre * stretch, width=waves.width * stretch)


def _right_block(waves: Waves, severity: float) -> Waves:
    """Right: the QRS begins as usual and ends in a slow force to the right and front (R' in V1, broad S in I, V6)."""
    amplitude = waves.amplitude.copy()
    amplitude[waves.kind == LATE] += severity * np.array([-0.6, 0.0, -0.6])
    secondary = (waves.kind == T) & (waves.axis == 2)  # T turns over in V1 and V2
    amplitude[secondary] *= 1.0 - 1.3 * severity
    delay = np.where(waves.kind == LATE, 1.0 + 0.3 * severity, 1.0)
    return replace(waves, amplitude=amplitude, centre=waves.centre * delay, width=waves.width * delay)


def _st_deviation(waves: Waves, severity: float, rng: Generator) -> Waves:
    direction = _ST_TERRITORIES[rng.integers(len(_ST_TERRITORIES))] + rng.normal(0.0, 0.15, 3)
    amplitude = waves.amplitude.copy()
    amplitude[waves.kind == ST] += 0.4 * severity * direction
    return replace(waves, amplitude=amplitude)


def _t_inversion(waves: Waves, severity: float, rng: Generator) -> Waves:
    by_axis = 1.0 - severity * rng.uniform(1.2, 1.9, 3)
    factor = np.where(waves.kind == T, by_axis[waves.axis], 1.0)
    return replace(waves, amplitude=waves.amplitude * factor)


def _high_voltage(waves: Waves, severity: float, rng: Generator) -> Waves:
    """More muscle, to the left and back; its strain (ST and T against the QRS) comes with the severe ones only."""
    qrs, st, t = waves.kind == QRS, waves.kind == ST, waves.kind == T
    growth = 1.0 + severity * np.array([0.9, 0.4, 1.1])[waves.axis]
    strain = max(0.0, severity - rng.uniform(0.4, 1.0))
    amplitude = waves.amplitude * np.where(qrs, growth, 1.0)
    amplitude *= np.where(t & (waves.axis == 0), 1.0 - 2.5 * strain, 1.0)
    amplitude[st] += strain * np.array([-0.3, -0.1, 0.0])
    return replace(waves, amplitude=amplitude)


_CHANGES = {
    "NORM": _normal,
    "BBB": _bundle_branch_block,
    "STDEV": _st_deviation,
    "INVT": _t_inversion,
    "LVH": _high_voltage,
}


def ventricular_beat(rng: Generator) -> Waves:
    """A beat from a ventricular focus: no P, a broad two-sided QRS in the direction of its focus, T against it."""
    focus = rng.normal(0.0, 1.0, 3)
    focus /= np.linalg.norm(focus)
    size = rng.uniform(0.9, 1.6)  # mV
    axis = np.tile(np.arange(3), 3)
    kind = np.repeat([QRS, QRS, T], 3)
    amplitude = np.concatenate([size * focus, -0.4 * size * focus, -0.35 * size * focus])
    centre = np.repeat([0.0, 0.075, 0.3], 3)
    width = np.repeat([0.028, 0.026, 0.06], 3)
    return Waves(axis, kind, amplitude, centre, width)
