"""ECG paper: 25 mm a second and 10 mm a millivolt, in real millimetres, whatever is drawn on it.

The gain never adapts, or an eye that is used to paper reads a wrong voltage. Where a trace is taller the paper grows:
rows get as many big squares as their traces and words need. A small square is 1 mm, 0.04 s by 0.1 mV; a big one 5 mm,
0.2 s by 0.5 mV (Kligfield et al., Circulation 115:1306, 2007).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecggen.figures.style import INK, QUIET, SMALL, blank, place

MM_PER_SECOND, MM_PER_MV = 25.0, 10.0
SMALL_S, SMALL_MV = 0.04, 0.1
BIG_S, BIG_MV = 0.2, 0.5
CALIBRATION_S, CALIBRATION_MV = 0.2, 1.0
FINE, COARSE = "#FBE4E0", "#F3BEB5"
NAME = 9.0  # pt, of a lead's name
# Words above a trace: gap to it and height in mV, that is in units of 10 mm; name and letters in s, units of 25 mm.
WORDS_GAP_MV, WORDS_HEIGHT_MV, NAME_S, LETTER_S, INDENT_S = 0.15, 0.35, 0.35, 0.07, 0.06
# Beyond this no paper is long enough, and it is no ECG; the trace is cut there, and words say so.
MOST_MV = 20.0


Curve = tuple[np.ndarray, np.ndarray]  # s on the sheet, mV


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper. Its axes count seconds to the right and millivolts upwards, both in true size.

    Attributes:
        figure, axes: of matplotlib; `axes` covers the squares.
        baselines: height in mV at which each row has its zero, rows from top to bottom.
        left: distance of the squares from the figure's left edge, mm.
        foot: distance of the lower end of the squares from the figure's upper edge, mm.
    """

    figure: Figure
    axes: Axes
    baselines: tuple[float, ...]
    left: float
    foot: float


def rows_of(extents: Sequence[tuple[float, float]]) -> tuple[list[float], float]:
    """Baselines of rows that do not meet, and the height of all, in mV; both are whole big squares.

    Args:
        extents: lowest and highest mV of each row about its own zero, top row first, words included.
    """
    baselines, top = [], 0.0
    for low, high in extents:
        baselines.append(top - _whole_squares(high))
        top = baselines[-1] - _whole_squares(-low)
    return [baseline - top for baseline in baselines], -top


def _whole_squares(millivolts: float) -> float:
    return max(1, math.ceil(millivolts / BIG_MV - 1e-9)) * BIG_MV


def sheet(
    extents: Sequence[tuple[float, float]],
    seconds: tuple[float, float],
    head: float,
    foot: float,
    describes: str,
    side: float = 6.0,
) -> Sheet:
    """An empty sheet with room for rows of these extents.

    Args:
        extents: as for `rows_of`.
        seconds: where the squares begin and end on the time axis, multiples of BIG_S.
        head, foot, side: margins in mm, white, above, below, and on both sides of the squares.
        describes: the figure in words.
    """
    baselines, height = rows_of(extents)
    width_mm, height_mm = (seconds[1] - seconds[0]) * MM_PER_SECOND, height * MM_PER_MV
    figure = blank(width_mm + 2 * side, head + height_mm + foot, describes)
    axes = place(figure, side, head, width_mm, height_mm)
    axes.set_xlim(*seconds)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    _squares(axes, seconds, height)
    return Sheet(figure, axes, tuple(baselines), side, head + height_mm)


def _squares(axes: Axes, seconds: tuple[float, float], height: float) -> None:
    """All fine lines as one path and all coarse ones as another, so that a page with them stays small."""
    for step_s, step_mv, color, width in ((SMALL_S, SMALL_MV, FINE, 0.35), (BIG_S, BIG_MV, COARSE, 0.6)):
        across = seconds[0] + step_s * np.arange(round((seconds[1] - seconds[0]) / step_s) + 1)
        up = step_mv * np.arange(round(height / step_mv) + 1)
        gap = np.full(len(across) + len(up), np.nan)
        x = np.column_stack(
            [np.r_[across, np.full(len(up), seconds[0])], np.r_[across, np.full(len(up), seconds[1])], gap]
        )
        y = np.column_stack([np.r_[np.zeros(len(across)), up], np.r_[np.full(len(across), height), up], gap])
        axes.plot(x.ravel(), y.ravel(), color=color, linewidth=width, zorder=0.5, clip_on=False, gid="squares")


def calibration(axes: Axes, start: float, baseline: float) -> None:
    """The pulse of 1 mV and 0.2 s that says what the gain is, with feet of half a big square."""
    foot = CALIBRATION_S / 4
    x = np.cumsum([start, foot, 0, CALIBRATION_S, 0, foot])
    y = baseline + CALIBRATION_MV * np.array([0, 0, 1, 1, 0, 0])
    axes.plot(x, y, color=INK, linewidth=0.8, solid_joinstyle="miter", gid="calibration")


def words_at(curves: Sequence[Curve], begin: float, name_s: float, words: str) -> float:
    """The lower edge in mV of words that begin at `begin`: close above whatever is drawn beneath them."""
    reach = begin + INDENT_S + name_s + LETTER_S * len(words)
    under = [y[(x >= begin) & (x <= reach) & np.isfinite(y)] for x, y in curves]
    return max([0.0, *(float(y.max()) for y in under if y.size)]) + WORDS_GAP_MV


def write_words(axes: Axes, begin: float, height: float, name: str, name_s: float, words: str, color: str) -> None:
    """The name of a lead in bold, and beside it what there is to say of it."""
    under = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.4}  # so that words stand out of hatching
    look: dict[str, Any] = {"va": "bottom", "zorder": 6, "bbox": under}
    axes.text(begin + INDENT_S, height, name, fontsize=NAME, fontweight="bold", color=INK, **look)
    axes.text(begin + INDENT_S + name_s, height, words, fontsize=SMALL, color=color, **look)


def extent_of(curves: Sequence[Curve], words: float) -> tuple[float, float]:
    """Lowest and highest mV of what is drawn about one zero, words above `words` included."""
    every = np.concatenate([y[np.isfinite(y)] for _, y in curves] or [np.zeros(0)])
    return float(every.min(initial=0.0)), max(float(every.max(initial=0.0)), words + WORDS_HEIGHT_MV)


def seconds_below(axes: Axes, first: float, last: float, offset: float) -> None:
    """Whole seconds under the squares: `offset` is the time of the record at the axes' zero."""
    for tick in range(math.ceil(offset + first - 1e-9), math.floor(offset + last + 1e-9) + 1):
        unit = " s" if tick == math.ceil(offset + first - 1e-9) else ""
        axes.annotate(
            f"{tick}{unit}",
            (tick - offset, 0),
            xytext=(0, -3),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=SMALL,
            color=QUIET,
            annotation_clip=False,
        )


def gain_line(band: tuple[float, float] | None) -> str:
    """What a reader of paper looks for first; `band` in Hz, None for an unfiltered signal."""
    filtered = "not filtered" if band is None else f"{band[0]:g}-{band[1]:g} Hz"
    return f"{MM_PER_SECOND:g} mm/s, {MM_PER_MV:g} mm/mV, {filtered}"
