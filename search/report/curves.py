"""Learning curves of all trials, with ASHA's rungs."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from search.ledger import COMPLETED, FAILED, REUSED, RUNNING, STOPPED, Trial
from search.report.facts import Facts
from search.report.theme import ACCENT, FAULT, INK, QUIET, SOFT, Chart, axis, finished, plain
from search.report.wording import count, listed, number

# State -> colour, width, opacity: what counts stands out, and two hundred lines remain readable.
LOOKS = {
    STOPPED: (QUIET, 1.0, 0.55),
    FAILED: (FAULT, 1.2, 0.8),
    RUNNING: (SOFT, 1.2, 0.8),
    REUSED: (INK, 1.2, 0.55),
    COMPLETED: (INK, 1.2, 0.55),
}
MARKS = {STOPPED: "line quiet", FAILED: "line fault", RUNNING: "line soft", REUSED: "line ink", COMPLETED: "line ink"}


def rungs(facts: Facts) -> list[int]:
    """Steps before the budget at which ASHA compares."""
    order, found = facts.order, []
    step = order.grace
    while order.asha and order.reduction > 1 and 0 < step < order.base.train.steps:
        found.append(step)
        step *= order.reduction
    return found


def curves_chart(facts: Facts) -> Chart:
    """All learning curves, one trace a state; the best trial on top."""
    name, trials = "curves", [trial for trial in facts.ledger.trials if _points(trial, facts.metric)]
    if not trials:
        return Chart(name, reason=f"No trial has reported a figure of {facts.metric} yet.")
    best = next((trial for trial in facts.ranked() if trial in trials), None)
    figure, legend = go.Figure(), []
    for state, look in LOOKS.items():
        members = [trial for trial in trials if trial.status == state and trial is not best]
        if members:
            figure.add_trace(_trace(members, facts.metric, *look))
            legend.append((MARKS[state], f"{state} ({len(members)})"))
    if best is not None:
        figure.add_trace(_trace([best], facts.metric, ACCENT, 3.0, 1.0))
        legend.append(("line accent", f"best trial: {best.number}, {best.runid}"))
    for step in rungs(facts):
        figure.add_vline(x=step, line={"color": SOFT, "width": 1, "dash": "dot"})
        figure.add_annotation(x=step, y=1, yref="paper", yanchor="bottom", text=f"{step:,}", showarrow=False)
    if rungs(facts):
        legend.append(("rung", "rungs, where ASHA compares"))
    figure.update_layout(xaxis=axis("optimizer steps", rangemode="tozero", showgrid=False), yaxis=axis())
    return Chart(name, finished(figure, 420), _label(facts, trials, best), legend=tuple(legend))


def _points(trial: Trial, metric: str) -> list[tuple[int, float]]:
    rows = [(int(row["step"]), row.get(metric, math.nan)) for row in trial.curve]
    return [(step, value) for step, value in rows if math.isfinite(value)]


def _trace(trials: Sequence[Trial], metric: str, colour: str, width: float, opacity: float) -> go.Scatter:
    """Lines of several trials as one trace, with gaps between them."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    sizes: list[int] = []
    for trial in trials:
        points = _points(trial, metric)
        x += [*(step for step, _ in points), None]
        y += [*(round(value, 5) for _, value in points), None]
        named = f"trial {trial.number} {plain(trial.runid)}"
        text += [*(f"{named}, step {step:,}: {number(value)}" for step, value in points), ""]
        sizes += [*([3] * (len(points) - 1)), 7, 0]  # the end of a line says how far a trial came
    line = {"color": colour, "width": width}
    marker = {"color": colour, "size": sizes, "line": {"width": 0}, "opacity": 1}
    return go.Scatter(
        x=x, y=y, text=text, mode="lines+markers", hoverinfo="text", line=line, marker=marker, opacity=opacity
    )


def _label(facts: Facts, trials: Sequence[Trial], best: Trial | None) -> str:
    states = [f"{sum(trial.status == state for trial in trials)} {state}" for state in LOOKS]
    known = [words for words in states if not words.startswith("0 ")]
    text = f"{facts.metric} over optimizer steps of {count(len(trials), 'trial')}, {listed(known)}."
    if best is not None:
        text += f" The best, {best.runid}, reaches {number(best.metrics.get(facts.metric))}."
    return text
