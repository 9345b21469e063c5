"""The channels of a recording as rows of a sheet: their curves about their own zero, and what is said of each.

What goes beyond the paper now and then (an electrode that pops) is cut, above the R waves. What is beyond it most of
the time has a wrong unit or is no ECG: it is drawn as many powers of ten smaller as it takes, so that one can see
which, without the pulse that vouches for the gain. Words say both.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from ecggen.examination import Examination, Piece, seconds
from ecggen.figures.paper import BIG_MV, INDENT_S, MM_PER_MV, MM_PER_SECOND, NAME, Curve, extent_of, rows_of, words_at
from ecggen.figures.style import SMALL, shortened, width_of
from ecggen.leads import LEADS

MOST_NAME_MM, AFTER_NAME_MM = 60.0, 2.5  # of the bold name of a channel, and free behind it
# An ECG does not go further from its median. What does is cut a quarter above where it usually is, whole big squares
# and no less than the last of these, all in mV. All rows are cut lower down where the sheet grows longer than MOST_MM.
MOST_RAW_MV, USUALLY, HEADROOM, LEVELS_MV, MOST_MM = 5.0, (1.0, 99.0), 1.25, (5.0, 4.0, 3.0, 2.0), 600.0
BEYOND = 1 / 3  # share of samples that go further, from which on the whole channel is not to scale
MOST_SMALL_MV = 10**0.5  # of a channel that is not to scale, on paper
WHOLE_LEAD = "long gap or dead electrode, lead not used"  # as preprocessing says it of a window
OFFSET_MV = 0.1  # a smaller median is not worth saying


@dataclass(frozen=True)
class Row:
    """One channel: curves about its own zero, `smaller` times smaller than they are, and what is said of it."""

    name: str
    raw: Curve
    clean: list[Curve]
    words: str
    smaller: float = 1.0

    @property
    def name_s(self) -> float:
        """Room for the name, s."""
        return (width_of(self.name, NAME, bold=True) + AFTER_NAME_MM) / MM_PER_SECOND

    @property
    def words_at(self) -> float:
        """The lower edge of the words in mV."""
        return words_at((self.raw, *self.clean), 0.0, self.name_s, self.words)

    @property
    def extent(self) -> tuple[float, float]:
        """Lowest and highest mV, words included."""
        return extent_of((self.raw, *self.clean), self.words_at)


def rows_in_sight(examination: Examination, length: float) -> tuple[list[Row], list[tuple[float, float]]]:
    """All channels on a sheet of `length` s, and the lowest and highest mV of each row about its own zero.

    They are cut lower down until the sheet is no banner.
    """
    for most in LEVELS_MV:
        rows = [_row(examination, number, most) for number in range(len(examination.leads))]
        rows = [replace(row, words=_fitting(row, length)) for row in rows]
        extents = [(min(low, -0.3), max(high, 1.2)) for low, high in (row.extent for row in rows)]
        if rows_of(extents)[1] * MM_PER_MV <= MOST_MM:
            break
    return rows, extents


def _row(examination: Examination, number: int, most: float) -> Row:
    """One channel, cut where it goes beyond `most` mV."""
    signal = examination.raw[number].astype(float)
    finite = signal[np.isfinite(signal)]
    middle = float(np.median(finite)) if finite.size else 0.0
    lead = examination.used_as()[number]
    curves = [(np.arange(signal.size) / examination.fs, signal - middle), *_clean(examination, lead)]
    smaller, level = _scale([y for _, y in curves], most)
    drawn = [(x, np.clip(y / smaller, -level, level)) for x, y in curves]
    words = [_not_to_scale(smaller), _role(examination, number), *_remarks(examination, number)]
    if abs(middle) >= OFFSET_MV:
        words.append(f"offset of {middle:+.2f} mV taken off")
    if not finite.size:
        words.append("no sample")
    words.append(_beyond(finite - middle, [y for _, y in curves], smaller, level))
    name = shortened(examination.leads[number], MOST_NAME_MM, NAME, bold=True, middle=True)
    return Row(name, drawn[0], drawn[1:], ", ".join(filter(None, words)), smaller)


def _scale(curves: list[np.ndarray], most: float) -> tuple[float, float]:
    """How many times smaller than they are curves of mV are drawn, and the level at which they are then cut, mV."""
    every = np.concatenate([y[np.isfinite(y)] for y in curves])
    if not every.size or np.abs(every).max() <= most:
        return 1.0, np.inf
    beyond = np.abs(every) > MOST_RAW_MV
    smaller = 1.0
    if beyond.mean() > BEYOND:
        usual = float(np.abs(np.percentile(every, USUALLY)).max())
        smaller = 10.0 ** math.ceil(math.log10(usual / MOST_SMALL_MV))
        beyond[:] = False
    usual = float(np.abs(np.percentile(every[~beyond] / smaller, USUALLY)).max())
    level = math.ceil(HEADROOM * usual / BIG_MV) * BIG_MV
    return smaller, float(np.clip(level, LEVELS_MV[-1], most))


def _not_to_scale(smaller: float) -> str:
    return f"not to scale, drawn {smaller:g} times smaller" if smaller > 1 else ""


def _beyond(raw: np.ndarray, curves: list[np.ndarray], smaller: float, level: float) -> str:
    """Where a channel that goes beyond the paper is cut, and how far it goes about its zero; nothing of others."""
    farthest = max(float(np.abs(y[np.isfinite(y)]).max(initial=0.0)) for y in curves)
    if smaller == 1 and farthest <= level:
        return ""
    cut = f"cut at ±{smaller * level:g} mV, " if farthest > smaller * level else ""
    if raw.size and np.abs(raw).max() > min(smaller * level, MOST_RAW_MV):
        return f"{cut}goes from {_short(raw.min())} to {_short(raw.max())} mV"
    return f"{cut}preprocessed goes to {_short(farthest)} mV"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{round(value, 2) + 0.0:.3g}"  # no minus before zero


def _fitting(row: Row, length: float) -> str:
    return shortened(row.words, (length - row.name_s - 2 * INDENT_S) * MM_PER_SECOND, SMALL)


def _role(examination: Examination, number: int) -> str:
    """What a channel is to the model, where its name does not say it."""
    name, lead, second = examination.leads[number], examination.used_as()[number], examination.doubles()[number]
    if lead is None:
        return (second or "not a standard lead") + (", not used" if examination.reason is None else "")
    return "" if name.strip().upper() == lead.upper() else f"read as {lead}"


def _remarks(examination: Examination, number: int) -> list[str]:
    """What is wrong with a channel, each said once, and what is drawn in its place."""
    said = sorted({defect.what for defect in examination.defects if defect.row == number})
    if WHOLE_LEAD in said:
        said.remove(WHOLE_LEAD)
        broken = any(
            defect.row == number and not defect.mended for defect in examination.defects if defect.what in said
        )
        said.append("lead not used" if broken else WHOLE_LEAD)
    lead = examination.used_as()[number]
    drawn = [piece for piece in examination.pieces if _curve(examination, piece, lead)[0].size]
    derived = [piece for piece in drawn if lead in piece.derived]
    if derived:
        windows = ", ".join(f"{seconds(piece.start)}-{seconds(piece.end)}" for piece in derived)
        where = "" if len(derived) == len(drawn) else f" in {windows} s"
        said.append(f"derived from the other limb leads{where}")
    return said


def _clean(examination: Examination, lead: str | None) -> list[Curve]:
    """What preprocessing makes of a channel, window by window."""
    curves = [_curve(examination, piece, lead) for piece in examination.pieces]
    return [curve for curve in curves if curve[0].size]


def _curve(examination: Examination, piece: Piece, lead: str | None) -> Curve:
    """What preprocessing makes of a channel in one window, as far as it is on the sheet."""
    if lead is None or piece.ecg is None or not piece.lead_mask[LEADS.index(lead)]:
        return np.zeros(0), np.zeros(0)
    x = piece.start - examination.start + np.arange(piece.ecg.shape[1]) / examination.target_fs
    inside = (x >= 0) & (x <= examination.end - examination.start)
    return x[inside], piece.ecg[LEADS.index(lead)][inside]
