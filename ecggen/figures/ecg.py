"""Twelve leads as a cardiologist reads them, and over them what the model drew from the leads that it was shown.

Three rows of four columns of 2.5 s, all of one run of time, and a rhythm strip of 10 s below. Measured is black.
Rendered is coloured, and every lead says in words whether the model saw it: colour alone would leave some readers out.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ecggen.figures.paper import (
    MOST_MV,
    NAME_S,
    Curve,
    Sheet,
    calibration,
    extent_of,
    gain_line,
    seconds_below,
    sheet,
    words_at,
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
    short_r,
    write,
)
from ecggen.leads import LEADS, follows_from, scored_leads
from ecggen.portrait import Portrait

ROWS, COLUMN_S, STRIP_S = 3, 2.5, 10.0
LEAD_IN_S, PULSE_AT_S = 0.6, -0.46  # paper in front of the traces, for the calibration pulse
HEAD_MM, FOOT_MM = 17.0, 10.0
RHYTHM = "II"


@dataclass(frozen=True)
class Strip:
    """One lead over one stretch of the sheet, `begin` to `end` seconds from its left."""

    lead: int
    begin: float
    end: float
    measured: Curve
    rendered: list[Curve]
    words: str

    @property
    def words_at(self) -> float:
        """The lower edge of the words in mV."""
        return words_at((self.measured, *self.rendered), self.begin, NAME_S, self.words)

    @property
    def extent(self) -> tuple[float, float]:
        """Lowest and highest mV, words included."""
        return extent_of((self.measured, *self.rendered), self.words_at)


def ecg_figure(portrait: Portrait, start: float = 0.0) -> Figure:
    """The standard sheet of a record, measured and rendered.

    Args:
        portrait: of the record.
        start: second of the record at which the sheet begins; what a shorter record lacks stays empty paper.
    """
    seconds = portrait.ecg.shape[1] / portrait.fs
    assert 0 <= start < seconds, f"start: expected 0 to below {seconds:g} s, got {start:g}; begin inside the record"
    with house_style():
        rows = [
            [_strip(portrait, at, start, column * COLUMN_S) for column, at in enumerate(leads)] for leads in _grid()
        ]
        rows.append([_strip(portrait, _rhythm_lead(portrait), start, 0.0, STRIP_S)])
        extents = [(min(s.extent[0] for s in row), max(s.extent[1] for s in row)) for row in rows]
        # Room for the pulse of 1 mV and for the millimetres around it.
        extents = [(low, max(high, 1.2)) for low, high in extents]
        page = sheet(extents, (-LEAD_IN_S, STRIP_S), HEAD_MM, FOOT_MM, _in_words(portrait))
        for row, baseline in zip(rows, page.baselines, strict=True):
            calibration(page.axes, PULSE_AT_S, baseline)
            for strip in row:
                _draw(page.axes, strip, baseline, portrait)
        _write_around(page, portrait, start)
    return page.figure


def _grid() -> list[list[int]]:
    """Leads by row: I aVR V1 V4, II aVL V2 V5, III aVF V3 V6."""
    return [list(range(row, len(LEADS), ROWS)) for row in range(ROWS)]


def _rhythm_lead(portrait: Portrait) -> int:
    wanted = LEADS.index(RHYTHM)
    return wanted if portrait.present[wanted] or not portrait.present.any() else int(np.argmax(portrait.present))


def _strip(portrait: Portrait, lead: int, start: float, begin: float, length: float = COLUMN_S) -> Strip:
    """Cuts one lead to the stretch of the sheet from `begin`, whose time in the record is start + begin."""
    times = np.arange(portrait.ecg.shape[1]) / portrait.fs - start
    measured = _within(times, portrait.ecg[lead], begin, length)
    if not portrait.present[lead]:
        measured = (measured[0][:0], measured[1][:0])
    share = np.arange(portrait.basis.shape[1]) / portrait.basis.shape[1]
    rendered = [
        _within((first + share * (last - first)) / portrait.fs - start, beat[lead], begin, length)
        for (first, last), beat in zip(portrait.beats, portrait.rendered, strict=True)
    ]
    rendered = [curve for curve in rendered if curve[0].size]
    cut = any(y.size and np.abs(y).max() >= MOST_MV for _, y in (measured, *rendered))
    words = _state(portrait, lead) + (f", cut at {MOST_MV:g} mV" if cut else "")
    return Strip(lead, begin, begin + length, measured, rendered, words)


def _within(x: np.ndarray, y: np.ndarray, begin: float, length: float) -> Curve:
    inside = (x >= begin) & (x < begin + length)
    return x[inside], np.clip(y[inside], -MOST_MV, MOST_MV)


def _state(portrait: Portrait, lead: int) -> str:
    if not portrait.present[lead]:
        return "not recorded"
    return f"{'shown' if portrait.shown[lead] else 'hidden'}, r {short_r(portrait.r()[lead])}"


def _draw(axes: Axes, strip: Strip, baseline: float, portrait: Portrait) -> None:
    shown = bool(portrait.shown[strip.lead])
    name = LEADS[strip.lead]
    x, y = strip.measured
    axes.plot(x, y + baseline, color=INK, linewidth=0.9, zorder=2, gid=f"measured-{name}")
    for x, y in strip.rendered:
        axes.plot(x, y + baseline, color=SHOWN if shown else HIDDEN, linewidth=1.1, zorder=3, gid=f"rendered-{name}")
    words = SHOWN_WORDS if shown else HIDDEN_WORDS
    write_words(axes, strip.begin, baseline + strip.words_at, name, NAME_S, strip.words, words)
    if strip.begin > 0:  # where the next column begins, between rows of words and not through them
        axes.plot([strip.begin] * 2, [baseline - 0.1, baseline + 0.1], color=INK, linewidth=0.8, zorder=2)


def _write_around(page: Sheet, portrait: Portrait, start: float) -> None:
    figure, left = page.figure, page.left
    write(figure, left, 3.5, f"Record {portrait.id}", TITLE, bold=True)
    write(figure, left, 10.0, _summary(portrait), color=QUIET)
    handles = [Line2D([], [], color=INK, linewidth=0.9, label="measured")]
    if portrait.shown.any():
        handles.append(Line2D([], [], color=SHOWN, linewidth=1.3, label="rendered, the model saw this lead"))
    if not portrait.shown.all():
        handles.append(Line2D([], [], color=HIDDEN, linewidth=1.3, label="rendered, the model did not see it"))
    legend_below(figure, handles, left)
    seconds_below(page.axes, 0.0, STRIP_S, start)
    caption = f"{gain_line(portrait.band)}; no coloured trace: outside a whole beat"
    write(figure, left, page.foot + 5.2, caption, SMALL, QUIET)


def _summary(portrait: Portrait) -> str:
    """Which leads the model saw and how well it drew those that do not follow from them."""
    shown = tuple(lead for lead, seen in zip(LEADS, portrait.shown, strict=True) if seen)
    scored = scored_leads(shown)
    r = portrait.r()[[LEADS.index(lead) for lead in scored]]
    judged = [lead for lead, value in zip(scored, r, strict=True) if np.isfinite(value)]
    text = "Leads shown to the model: " + ("all twelve" if len(shown) == len(LEADS) else ", ".join(shown))
    if judged:
        text += f". Mean r over {_listed(judged)}: {short_r(float(np.nanmean(r)))}"
    following = [lead for lead in LEADS if lead in follows_from(shown) and portrait.hidden[LEADS.index(lead)]]
    if judged and following:
        text += f" ({', '.join(following)} follow from the shown ones)"
    return text


def _listed(leads: list[str]) -> str:
    return "all twelve" if len(leads) == len(LEADS) else ", ".join(leads)


def _in_words(portrait: Portrait) -> str:
    return f"Twelve-lead ECG of record {portrait.id}, measured and rendered. {_summary(portrait)}"
