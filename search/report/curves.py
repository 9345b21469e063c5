"""Learning curves of all trials, with ASHA's rungs."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from search.report.facts import Facts
from search.report.theme import ACCENT, FAULT, INK, QUIET, SOFT, Chart, axis, finished, plain
from search.report.wording import count, listed, number
from search.rungs import rungs
from search.trialfile import COMPLETED, FAILED, REUSED, RUNNING, STOPPED, Trial

# State -> colour, width, opacity: what counts stands out, and two hundred lines remain readable.
LOOKS = {
    STOPPED: (QUIET, 1.0, 0.55),
    FAILED: (FAULT, 1.2, 0.8),
    RUNNING: (SOFT, 1.2, 0.8),
    REUSED: (INK, 1.2, 0.55),
    COMPLETED: (INK, 1.2, 0.55),
}
MARKS = {STOPPED: "line quiet", FAILED: "line fault", RUNNING: "line soft", REUSED: "line ink", COMPLETED: "line ink"}
BEST, MOST_POINTS = 20, 40  # so many of the best have whole curves, and the others so many points at most

Points = list[tuple[int, float]]  # step and figure
Drawn = dict[str, Points]  # by the trial's key
HOVER = "%{text}, step %{x:,}: %{y:.4f}<extra></extra>"


def curves_chart(facts: Facts) -> Chart:
    """All learning curves, one trace a state; the best trial on top."""
    name, trials = "curves", [trial for trial in facts.ledger.trials if _points(trial, facts.metric)]
    if not trials:
        return Chart(name, reason=f"No trial has reported a figure of {facts.metric} yet.")
    best = next((trial for trial in facts.ranked() if trial in trials), None)
    drawn = _drawn(trials, facts)
    figure, legend = go.Figure(), []
    for state, look in LOOKS.items():
        members = [trial for trial in trials if trial.status == state and trial is not best]
        if members:
            figure.add_trace(_trace(members, drawn, *look))
            legend.append((MARKS[state], f"{state} ({len(members)})"))
    if best is not None:
        figure.add_trace(_trace([best], drawn, ACCENT, 3.0, 1.0))
        legend.append(("line accent", f"best trial: {best.number}, {best.runid}"))
    for step in rungs(facts.order):
        figure.add_vline(x=step, line={"color": SOFT, "width": 1, "dash": "dot"})
        figure.add_annotation(x=step, y=1, yref="paper", yanchor="bottom", text=f"{step:,}", showarrow=False)
    if rungs(facts.order):
        legend.append(("rung", "rungs, where ASHA compares"))
    figure.update_layout(xaxis=axis("optimizer steps", rangemode="tozero", showgrid=False), yaxis=axis())
    label = _label(facts, trials, best) + _thin_label(trials, drawn, facts.metric)
    return Chart(name, finished(figure, 420), label, legend=tuple(legend))


def _points(trial: Trial, metric: str) -> Points:
    rows = [(int(row["step"]), row.get(metric, math.nan)) for row in trial.curve]
    return [(step, value) for step, value in rows if math.isfinite(value)]


def _drawn(trials: Sequence[Trial], facts: Facts) -> Drawn:
    """Points of every curve: all of the best trials, enough of the others for a look at them."""
    best = {trial.key for trial in facts.ranked()[:BEST]}
    found = {trial.key: _points(trial, facts.metric) for trial in trials}
    return {key: points if key in best else _thinned(points) for key, points in found.items()}


def _thinned(points: Points) -> Points:
    """At most MOST_POINTS of them, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return points
    stride = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(at * stride)] for at in range(MOST_POINTS)]


def _trace(trials: Sequence[Trial], drawn: Drawn, colour: str, width: float, opacity: float) -> go.Scatter:
    """Lines of several trials as one trace, with gaps between them."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    sizes: list[int] = []
    for trial in trials:
        points = drawn[trial.key]
        x += [*(step for step, _ in points), None]
        y += [*(round(value, 5) for _, value in points), None]
        text += [*[f"trial {trial.number} {plain(trial.runid)}"] * len(points), ""]
        sizes += [*([3] * (len(points) - 1)), 7, 0]  # the end of a line says how far a trial came
    line = {"color": colour, "width": width}
    marker = {"color": colour, "size": sizes, "line": {"width": 0}, "opacity": 1}
    return go.Scatter(
        x=x, y=y, text=text, mode="lines+markers", hovertemplate=HOVER, line=line, marker=marker, opacity=opacity
    )


def _label(facts: Facts, trials: Sequence[Trial], best: Trial | None) -> str:
    states = [f"{sum(trial.status == state for trial in trials)} {state}" for state in LOOKS]
    known = [words for words in states if not words.startswith("0 ")]
    text = f"{facts.metric} over optimizer steps of {count(len(trials), 'trial')}, {listed(known)}."
    if best is not None:
        text += f" The best, {best.runid}, reaches {number(best.metrics.get(facts.metric))}."
    return text


def _thin_label(trials: Sequence[Trial], drawn: Drawn, metric: str) -> str:
    thinned = any(len(drawn[trial.key]) < len(_points(trial, metric)) for trial in trials)
    return f" Of trials that are not among the best {BEST}, at most {MOST_POINTS} points are drawn." if thinned else ""
