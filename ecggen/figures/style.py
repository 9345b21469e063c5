"""One look for all figures: colours, sizes, and figures laid out in millimetres.

Everything is drawn with matplotlib's object interface on a canvas of its own, so that no global state of pyplot is read
or left behind, and whatever a user's matplotlibrc says changes nothing.
"""

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

INCH = 25.4  # mm
DPI = 150
# Okabe and Ito's palette: told apart with any kind of colour vision, and in grey by lightness.
INK, SHOWN, HIDDEN, TRUTH = "#000000", "#0072B2", "#D55E00", "#000000"
# The same hues, dark enough for words: at least 4.5:1 against white (WCAG 2.1, 1.4.3); so is QUIET.
SHOWN_WORDS, HIDDEN_WORDS, QUIET = "#00598A", "#9A4300", "#595959"
EDGE = 3.0  # mm kept free at the right
RULE = "#D0D0D0"  # lines that only guide the eye
TEXT, SMALL, TITLE = 8.5, 7.5, 12.0  # pt
STYLE: dict[Any, Any] = {"text.parse_math": False, "font.size": TEXT, "axes.linewidth": 0.6, "axes.unicode_minus": True}


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's own defaults and ours over them, whatever was set; `$` in an id is a sign, not a formula."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def blank(width: float, height: float, describes: str) -> Figure:
    """A white figure of this size in mm; `describes` says in words what it shows, for those who do not see it."""
    figure = Figure(figsize=(width / INCH, height / INCH), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_label(describes)
    return figure


def size_of(figure: Figure) -> tuple[float, float]:
    """Width and height in mm."""
    width, height = figure.get_size_inches()
    return float(width * INCH), float(height * INCH)


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at this distance from the figure's left and upper edge and of this size, all in mm."""
    total_width, total_height = size_of(figure)
    bottom = total_height - top - height
    return figure.add_axes((left / total_width, bottom / total_height, width / total_width, height / total_height))


def write(
    figure: Figure, left: float, top: float, text: str, size: float = TEXT, color: str = INK, bold: bool = False
) -> None:
    """Lines of text, their upper left corner at this distance in mm from the figure's; too long ones are shortened.

    What is bold is a title, and it is an id that makes it long, so that it is shortened in its middle.
    """
    width, height = size_of(figure)
    room = width - left - EDGE
    text = "\n".join(shortened(line, room, size, bold, middle=bold) for line in text.split("\n"))
    weight = "bold" if bold else "normal"
    figure.text(left / width, 1 - top / height, text, fontsize=size, color=color, fontweight=weight, va="top")


def width_of(text: str, size: float = TEXT, bold: bool = False) -> float:
    """Width in mm of one line of text, as it is set in a PNG; without a PNG's hinting it is a little less."""
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # an id in a script that the font does not have
        width, _, _ = RendererAgg(1, 1, DPI).get_text_width_height_descent(text, font, ismath=False)
    return float(width) / DPI * INCH


def shortened(text: str, room: float, size: float = TEXT, bold: bool = False, middle: bool = False) -> str:
    """The line as it is where it fits into `room` mm, else with `…` at its end or, of ids, in its middle."""
    if width_of(text, size, bold) <= room:
        return text

    def keeping(letters: int) -> str:
        head = (letters + 1) // 2 if middle else letters
        return f"{text[:head]}…{text[len(text) - (letters - head) :]}"

    fitting = bisect_right(range(len(text)), room, key=lambda letters: width_of(keeping(letters), size, bold))
    return keeping(max(fitting - 1, 0))


def plain_axes(axes: Axes) -> None:
    """Only the lower and left line, quiet ticks, a light grid behind the curves."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2.5, width=0.6, labelsize=SMALL)
    axes.grid(color=RULE, linewidth=0.4)
    axes.set_axisbelow(True)


def short_r(value: float) -> str:
    """A correlation as the field writes it, .87, -.02, 1.00; a dash for none."""
    return "-" if math.isnan(value) else f"{value:.2f}".replace("0.", ".", 1)


def legend_below(figure: Figure, handles: Sequence[Artist], side: float, bottom: float = 1.8) -> None:
    """A legend in one line, its lower right corner at these distances in mm from the figure's right and lower edge."""
    width, height = size_of(figure)
    figure.legend(
        handles=list(handles),
        loc="lower right",
        bbox_to_anchor=(1 - side / width, bottom / height),
        ncols=len(handles),
        frameon=False,
        fontsize=8,
        borderaxespad=0,
        handlelength=1.6,
        columnspacing=1.4,
    )
