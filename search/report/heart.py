"""The best run seen: the paper sheet, the loop that the page's script turns, and the path of W.

The loop's axes are X to the patient's left, Y to the foot, Z to the back. V is brought there by the run's one fixed
map where the data have a true source. Elsewhere V is shown as it is: the lead vectors start at Dower's and pay for
leaving them, so that its axes are near those names, and the page says that nothing calibrates them.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ecggen.figures.ecg import ecg_figure
from ecggen.figures.files import svg_text
from ecggen.figures.states import components, last_beats, moves
from ecggen.figures.vcg import vcg_figure
from ecggen.leads import LEADS
from ecggen.portrait import Portrait
from search.report.facts import Facts
from search.report.theme import ACCENT, FAULT, INK, Chart, axis, finished
from search.report.wording import count, number

LOOP_DIGITS = 4  # 0.1 microvolt: nobody sees less
MOST_BEATS = 200  # in the loop: a record of minutes has hundreds, all of which lie over each other
LOOKS = ((ACCENT, "solid", "circle"), (FAULT, "dash", "square"), (INK, "dot", "triangle-up"))  # of W's components
PLACES = ("accent", "fault", "ink")


@dataclass(frozen=True)
class Heart:
    """What the page shows of one record.

    Attributes:
        sheet, planes: inline SVG, the paper and the three planes.
        loop: what `loop.js` draws.
        said: the loop in words.
        calibrated: whether the loop's axes are those of a true source.
        turned: how many of the beats the loop has.
        path: the chart of W.
    """

    id: str
    shown: str
    beats: int
    sheet: str
    planes: str
    loop: dict[str, Any]
    said: str
    calibrated: bool
    turned: int
    path: Chart


def heart_of(facts: Facts) -> Heart | None:
    """The best run's portrait as the page shows it, None where there is none."""
    portrait = facts.portrait
    if portrait is None:
        return None
    names = [lead for lead, seen in zip(LEADS, portrait.shown, strict=True) if seen]
    source = turned_source(portrait)
    return Heart(
        id=portrait.id,
        shown="all twelve" if len(names) == len(LEADS) else ", ".join(names),
        beats=len(portrait.beats),
        sheet=svg_text(ecg_figure(portrait)),
        planes=svg_text(vcg_figure(portrait)),
        loop=loop_data(portrait, source),
        said=_in_words(portrait, source),
        calibrated=portrait.source_map is not None,
        turned=min(MOST_BEATS, len(portrait.beats)),
        path=path_chart(portrait),
    )


def turned_source(portrait: Portrait) -> np.ndarray:
    """V of each chunk, on the true source's axes where they are known, [C, 3, T'] mV."""
    if portrait.source_map is None:
        return portrait.v.astype(float)
    v = portrait.source_map @ portrait.v.astype(float)
    if portrait.source is None:
        return v
    # The map is of deviations from the mean, so the means are made equal, as in `figures.vcg`.
    shift = portrait.source.astype(float).mean((0, 2)) - v[portrait.chunk].mean((0, 2))
    return v + shift[:, None]


def loop_data(portrait: Portrait, source: np.ndarray) -> dict[str, Any]:
    """Loops for the script: one a chunk, for each beat its chunk and duration, and the true loop where it is known.

    Of a long record these are the first beats.
    """
    comparable = portrait.source is not None and portrait.source_map is not None
    beats = portrait.beats[:MOST_BEATS] / portrait.fs
    chunks, chunk = np.unique(portrait.chunk[:MOST_BEATS], return_inverse=True)
    return {
        "loops": _rounded(source[chunks]),
        "true": _rounded(portrait.source[:MOST_BEATS]) if portrait.source is not None and comparable else None,
        "chunk": chunk.tolist(),
        "seconds": np.diff(beats, axis=1)[:, 0].round(3).tolist(),
        "begin": beats[:, 0].round(2).tolist(),
        "peak": round(portrait.peak * source.shape[2], 2),
    }


def _rounded(loops: np.ndarray) -> list[Any]:
    rounded: list[Any] = np.round(loops.astype(float), LOOP_DIGITS).tolist()
    return rounded


def _in_words(portrait: Portrait, source: np.ndarray) -> str:
    """The mean loop's largest vector: how large, where to, and the electrical axis."""
    mean = source[portrait.chunk].mean(0)
    length = np.linalg.norm(mean, axis=0)
    x, y, z = mean[:, int(length.argmax())]
    ways = [_way(x, "left", "right"), _way(y, "foot", "head"), _way(z, "back", "front")]
    axis_angle = math.degrees(math.atan2(float(y), float(x)))
    return (
        f"The largest vector of the mean loop is {number(float(length.max()), 2)} mV: {', '.join(ways)}. "
        f"Its axis in the frontal plane is {number(axis_angle, 0)}°."
    )


def _way(value: float, forth: str, back: str) -> str:
    return f"{number(abs(float(value)), 2)} mV to the {forth if value >= 0 else back}"


def path_chart(portrait: Portrait) -> Chart:
    """The principal components of W over the beats, as `figures.states` has them."""
    w = portrait.w
    if len(w) < 2:
        return Chart("path", reason="No chart: W was estimated once, and one state makes no path.")
    beats = last_beats(portrait.chunk)
    scores, shares = components(w)
    distance, step = moves(w)
    figure, legend = go.Figure(), []
    for at, (colour, dash, symbol) in enumerate(LOOKS[: scores.shape[1]]):
        name = f"component {at + 1}, {100 * shares[at]:.0f} % of the variance"
        said = [
            f"beat {beat}, component {at + 1}: {number(value, 1)} %"
            for beat, value in zip(beats, scores[:, at], strict=True)
        ]
        figure.add_trace(
            go.Scatter(
                x=beats.tolist(), y=scores[:, at].round(3).tolist(), text=said, hoverinfo="text", mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 2 - 0.3 * at}, marker={"symbol": symbol, "size": 7},
            )
        )  # fmt: skip
        legend.append((f"mark {symbol} {PLACES[at]}", name))
    whole = {"dtick": max(1, len(portrait.beats) // 12), "range": [0.5, len(portrait.beats) + 0.5]}
    figure.update_layout(xaxis=axis("beat", showgrid=False, **whole), yaxis=axis("% of the length of W"))
    most = int(step.argmax())
    away = f"on average {number(float(distance.mean()), 1)} % of its length away from its mean"
    label = (
        f"Path of W, {w.shape[1]} numbers, over {count(len(w), 'state')}: {away}. "
        f"The largest step is {number(float(step[most]), 1)} %, to beat {beats[most + 1]}."
    )
    return Chart("path", finished(figure, 340, left=60), label, legend=tuple(legend))
