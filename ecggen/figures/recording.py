"""A recording as it lies on disk, on ECG paper, with what preprocessing makes of it drawn over and beside it.

One row a channel, in the order of the file. Raw is black, about its own median, for electrodes have offsets that are no
ECG. Above are the beats that were found; what is not used is hatched, and words say why.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from ecggen.examination import Defect, Examination, seconds
from ecggen.figures.channels import Row, rows_in_sight
from ecggen.figures.paper import (
    BIG_S,
    Sheet,
    calibration,
    gain_line,
    seconds_below,
    sheet,
    write_words,
)
from ecggen.figures.style import (
    HIDDEN,
    HIDDEN_WORDS,
    INK,
    QUIET,
    SHOWN,
    SHOWN_WORDS,
    SMALL,
    TITLE,
    house_style,
    legend_below,
    write,
)

LEAD_IN_S, PULSE_AT_S, LEAST_S = 0.6, -0.46, 10.0
HEAD_MM, FOOT_MM, LINE_MM = 21.0, 10.0, 4.2
# The band above the channels, in mV of paper: beat windows, R peaks, and what becomes of each window of the record.
BAND, BRACKETS, PEAKS, WORDS = (-0.1, 1.0), (0.0, 0.12), 0.3, 0.55
SMALL_LETTER_S = 0.062
HATCH = "////"
LEFT_OUT: dict[str, Any] = {"facecolor": (HIDDEN, 0.09), "edgecolor": (HIDDEN, 0.6), "linewidth": 0.8}


def recording_figure(examination: Examination, about: str = "") -> Figure:
    """The sheet of a stretch of a recording; `about` says where it comes from."""
    length = max(LEAST_S, np.ceil((examination.end - examination.start) / BIG_S - 1e-6) * BIG_S)
    with house_style():
        rows, extents = rows_in_sight(examination, float(length))
        described = f"Recording {examination.id} as it lies on disk. {examination.verdict()}"
        page = sheet([BAND, *extents], (-LEAD_IN_S, float(length)), HEAD_MM, FOOT_MM, described)
        for row, baseline in zip(rows, page.baselines[1:], strict=True):
            _draw_row(page.axes, row, baseline)
        _draw_beats(page, examination)
        for defect in examination.defects:
            _hatch(page, defect, examination.start, rows[defect.row].extent, page.baselines[1 + defect.row])
        _draw_windows(page, examination)
        _write_around(page, examination, about, all(row.smaller == 1 for row in rows))
    return page.figure


def _draw_row(axes: Axes, row: Row, baseline: float) -> None:
    if row.smaller == 1:
        calibration(axes, PULSE_AT_S, baseline)
    axes.plot(row.raw[0], row.raw[1] + baseline, color=INK, linewidth=0.7, zorder=2, gid=f"raw-{row.name}")
    for x, y in row.clean:
        axes.plot(x, y + baseline, color=SHOWN, linewidth=1.0, zorder=3, gid=f"clean-{row.name}")
    color = QUIET if row.smaller == 1 else HIDDEN_WORDS
    write_words(axes, 0.0, baseline + row.words_at, row.name, row.name_s, row.words, color)


def _draw_beats(page: Sheet, examination: Examination) -> None:
    """R peaks as triangles and lines through all channels, beat windows as brackets that may overlap."""
    axes, zero, length = page.axes, page.baselines[0], examination.end - examination.start
    for piece in examination.pieces:
        peaks = piece.peaks - examination.start
        peaks = peaks[(peaks >= 0) & (peaks <= length)]
        axes.plot(peaks, np.full(peaks.size, zero + PEAKS), "v", color=SHOWN, markersize=5, zorder=5, gid="peaks")
        axes.vlines(peaks, 0, zero + PEAKS, color=SHOWN, linewidth=0.5, alpha=0.45, linestyle=(0, (2, 3)), zorder=1.5)
        for number, (begin, end) in enumerate(piece.beats - examination.start):
            if begin >= 0 and end <= length:
                y = zero + BRACKETS[number % 2]
                x = [begin + 0.01, begin + 0.01, end - 0.01, end - 0.01]
                axes.plot(x, [y + 0.06, y, y, y + 0.06], color=QUIET, linewidth=0.8, zorder=4, gid="beat")


def _hatch(page: Sheet, defect: Defect, start: float, extent: tuple[float, float], baseline: float) -> None:
    color = SHOWN if defect.mended else HIDDEN
    low, high = baseline + extent[0], baseline + extent[1]
    corner, size = (defect.start - start, low), (max(defect.end - defect.start, 0.01), high - low)
    page.axes.add_patch(Rectangle(corner, *size, zorder=1, gid="defect", **_hatching(color, 0.12, 0.6)))


def _hatching(color: str, fill: float, lines: float) -> dict[str, Any]:
    return {"facecolor": (color, fill), "edgecolor": (color, lines), "linewidth": 0, "hatch": HATCH}


def _spans(examination: Examination) -> Iterator[tuple[float, float, bool, str]]:
    """What becomes of each part of the stretch: begin and end in s of the record, whether it is used, and in words."""
    begin, end = examination.start, examination.end
    if examination.reason is not None:
        yield begin, end, False, f"left out: {examination.reason}"
        return
    for piece in examination.pieces:
        if piece.start < end and piece.end > begin:
            name = f"window {seconds(piece.start)}-{seconds(piece.end)} s"
            said = f"{name}: used" if piece.reason is None else f"{name} left out: {piece.reason}"
            yield max(piece.start, begin), min(piece.end, end), piece.reason is None, said
    if examination.covered < end:
        yield max(examination.covered, begin), end, False, "left out: rest, shorter than a window"


def _draw_windows(page: Sheet, examination: Examination) -> None:
    """Each window's verdict in the band; those that are not used are hatched from top to bottom."""
    axes, top = page.axes, page.axes.get_ylim()[1]
    for begin, end, used, said in _spans(examination):
        left, length = begin - examination.start, end - begin
        if not used:
            axes.add_patch(Rectangle((left, 0), length, top, zorder=0.8, gid="left-out", **LEFT_OUT))
        if left > 0:
            axes.plot([left, left], [0, top], color=INK, linewidth=0.8, zorder=2)
        most = int((length - 0.1) / SMALL_LETTER_S)
        if most >= 12:
            said = said if len(said) <= most else f"{said[: most - 1]}…"
            axes.text(
                left + 0.06,
                page.baselines[0] + WORDS,
                said,
                fontsize=SMALL,
                color=SHOWN_WORDS if used else HIDDEN_WORDS,
                va="bottom",
                zorder=6,
            )


def _write_around(page: Sheet, examination: Examination, about: str, to_scale: bool) -> None:
    figure, left = page.figure, page.left
    write(figure, left, 3.5, f"Recording {examination.id}, as it lies on disk", TITLE, bold=True)
    facts = f"{about + ', ' if about else ''}{examination.fs:g} Hz, {seconds(examination.total)} s"
    facts += f", {seconds(examination.start)}-{seconds(examination.end)} s shown"
    if examination.absent:
        facts += f"; never recorded: {examination.absent.replace(' ', ', ')}"
    write(figure, left, 10.0, facts, color=QUIET)
    verdict = examination.verdict()
    color = SHOWN_WORDS if verdict.startswith("used") else HIDDEN_WORDS
    write(figure, left, 10.0 + LINE_MM, verdict[0].upper() + verdict[1:], color=color)
    legend_below(figure, _handles(examination), left)
    seconds_below(page.axes, 0.0, page.axes.get_xlim()[1], examination.start)
    gain = gain_line(None).replace("not filtered", "raw not filtered")
    gain += "" if to_scale else "; no gain holds for what is not to scale"
    write(figure, left, page.foot + 5.2, gain, SMALL, QUIET)


def _handles(examination: Examination) -> Sequence[Line2D | Patch]:
    low, high = examination.band
    handles: list[Line2D | Patch] = [Line2D([], [], color=INK, linewidth=0.8, label="raw")]
    if any(piece.ecg is not None for piece in examination.pieces):
        handles.append(Line2D([], [], color=SHOWN, linewidth=1.2, label=f"preprocessed, {low:g}-{high:g} Hz"))
    if any(piece.reason is None for piece in examination.pieces):
        handles.append(Line2D([], [], color=SHOWN, marker="v", markersize=5, linestyle="", label="R peak"))
        handles.append(Line2D([], [], color=QUIET, linewidth=0.8, label="beat window"))
    if any(not defect.mended for defect in examination.defects):
        handles.append(Patch(label="not used", **_hatching(HIDDEN, 0.12, 0.6)))
    if any(defect.mended for defect in examination.defects):
        handles.append(Patch(label="mended", **_hatching(SHOWN, 0.12, 0.6)))
    if any(not used for _, _, used, _ in _spans(examination)):
        handles.append(Patch(label="left out", **LEFT_OUT))
    return handles
