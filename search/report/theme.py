"""How charts look: colours by the names of the page's CSS variables, so that they follow light and dark.

Plotly takes `var(--ink)` for a colour; the page's script puts the variable's value there before it draws, and again
when the reader's theme changes.
"""

import html
import json
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

INK, SOFT, RULE, ACCENT = (f"var(--{name})" for name in ("ink", "soft", "rule", "accent"))
GROUND, RAISED, QUIET, FAULT = (f"var(--{name})" for name in ("ground", "raised", "quiet", "fault"))
RAMP = tuple(f"var(--ramp-{step})" for step in range(6))  # worst to best
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Chart:
    """A chart, or the reason why there is none.

    Attributes:
        name: of its place on the page.
        figure: as plotly's script takes it, None where there is only a reason.
        label: what is seen, for who does not see it.
        reason: why there is no chart, a sentence.
        legend: kind of mark -> words, written below the chart.
        wide: width in pixels below which it scrolls in its frame.
    """

    name: str
    figure: dict[str, Any] | None = None
    label: str = ""
    reason: str = ""
    legend: tuple[tuple[str, str], ...] = ()
    wide: int = 0


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis of the house: thin rules, no box."""
    line = {"gridcolor": RULE, "linecolor": RULE, "zeroline": False, "ticks": "", "automargin": True}
    return {**line, "title": {"text": plain(title), "font": {"color": SOFT}, "standoff": 8}, **more}


def finished(figure: go.Figure, height: int, left: int = 52, top: int = 24) -> dict[str, Any]:
    """A figure with the house's layout, as plain data for the page."""
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": left, "r": 12, "t": top, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13, "color": SOFT},
        showlegend=False,
        hovermode="closest",
        hoverlabel={"bgcolor": GROUND, "bordercolor": SOFT, "font": {"family": FONT, "size": 13, "color": INK}},
    )
    plain_data: dict[str, Any] = json.loads(figure.to_json())
    return plain_data


def packed(figure: dict[str, Any]) -> dict[str, Any]:
    """A figure in which each text of a trace is said once; the page's script spreads them out again.

    Every point has the text of its whole line, and a thousand lines would make the page too large to send.
    """
    traces = [dict(trace) for trace in figure["data"]]
    for trace in traces:
        if isinstance(trace.get("text"), list):
            words = list(dict.fromkeys(trace["text"]))
            place = {word: at for at, word in enumerate(words)}
            trace["text"] = {"words": words, "of": [place[word] for word in trace["text"]]}
    return {**figure, "data": traces}


def plain(text: str) -> str:
    """Text for a chart, where plotly would read tags; names and reasons come from strangers' files."""
    return html.escape(text, quote=False)
