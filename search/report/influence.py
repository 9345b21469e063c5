"""Which settings matter: parallel coordinates and importance, by Optuna, of trials that reached the full budget.

A trial that ASHA stopped has a figure too, that of an early step; it would teach the wrong thing. So would results fed
from other searches, and the copies that the study keeps of trials that went on or were suggested twice. Hence Optuna is
given a study of its own, in memory, made from the ledger: one trial each.
"""

import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna
import plotly.graph_objects as go
from optuna.exceptions import ExperimentalWarning
from optuna.trial import create_trial

from search.report.facts import Facts
from search.report.theme import ACCENT, GROUND, INK, RAMP, RULE, SOFT, Chart, axis, finished, plain
from search.report.wording import count, number, short_names, value_text
from search.study import distributions
from search.trialfile import Trial

FEW = 20  # trials; with fewer, importance is a hint
TICKS = 6  # an axis with so many values at most shows each of them
AXIS_WIDTH = 92  # px that the name and figures of one axis need


def full_trials(facts: Facts) -> list[Trial]:
    """Trials that reached the budget with a figure, at points that the space holds, in the order of their numbers."""
    known = [trial for trial in facts.ledger.whole() if math.isfinite(trial.metrics.get(facts.metric, math.nan))]
    entries = {} if facts.space is None else {entry.name: entry for entry in facts.space.entries}
    return [trial for trial in known if all(e.holds(trial.params[n]) for n, e in entries.items() if n in trial.params)]


def study_of(facts: Facts, without: Collection[str] = ()) -> optuna.Study:
    """Trials of the full budget as a study in memory, without some of their settings."""
    assert facts.space is not None, "space: expected one that can be read, got none; see Facts.why"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for trial in full_trials(facts):
        given = {name: value for name, value in trial.params.items() if name not in without}
        known = distributions(given, facts.space.entries)
        params = {name: value for name, value in given.items() if name in known}
        study.add_trial(create_trial(params=params, distributions=known, value=trial.metrics[facts.metric]))
    return study


def influence_charts(facts: Facts) -> tuple[Chart, Chart]:
    """Parallel coordinates and importance."""
    names = ("parallel", "importance")
    trials = full_trials(facts)
    if facts.space is None:
        charts = [Chart(name, reason=f"No chart: {facts.why['space']}.") for name in names]
    elif len(trials) < 2:
        there = f"there {'is' if len(trials) == 1 else 'are'} {count(len(trials), 'trial')} of the full budget"
        charts = [Chart(name, reason=f"No chart: {there}, and comparing takes two.") for name in names]
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study = study_of(facts)
                charts = [_parallel(study, facts), _importance(study, facts)]
        except (ValueError, RuntimeError, TypeError) as fault:  # values that the space no longer holds, for instance
            charts = [Chart(name, reason=f"No chart: Optuna cannot read these trials ({fault}).") for name in names]
    return charts[0], charts[1]


def _parallel(study: optuna.Study, facts: Facts) -> Chart:
    """Optuna's parallel coordinates in the page's colours, lines of about equal figures as one trace."""
    drawn = optuna.visualization.plot_parallel_coordinate(study, target_name=facts.metric)
    lines = [trace for trace in drawn.data if trace.type == "scatter" and trace.customdata is not None]
    if not lines:
        return Chart("parallel", reason="No chart: this version of Optuna draws it by WebGL only; version 5 does not.")
    params = sorted({name for trial in study.trials for name in trial.params})
    short = short_names(params)
    labels = [facts.metric, *(short[name] for name in params)]
    figure = go.Figure()
    heights = sorted(line.y[0] for line in lines)
    for step, colour in enumerate(RAMP):
        members = [line for line in lines if _class_of(line.y[0], heights) == step]
        if members:
            figure.add_trace(_bundle(members, labels, colour, 1.4))
    figure.add_trace(_bundle([max(lines, key=lambda line: line.y[0])], labels, ACCENT, 3.0))
    ticks = _ticks(lines, drawn, len(labels))
    ticks[0] = _own_ticks([trial.value for trial in study.trials if trial.value is not None])
    _draw_axes(figure, labels, ticks)
    legend = (("line accent", "best trial"), ("ramp", "worse to better"))
    label = f"Each line is one of {count(len(lines), 'trial')}, through its {', '.join(labels)}."
    wide = AXIS_WIDTH * len(labels) + 40
    return Chart("parallel", finished(figure, 420, left=60, top=52), label, legend=legend, wide=wide)


def _class_of(value: float, ordered: Sequence[float]) -> int:
    """Which sixth of the trials a figure belongs to."""
    below = sum(other < value for other in ordered)
    return min(len(RAMP) - 1, below * len(RAMP) // len(ordered))


def _bundle(lines: Sequence[go.Scatter], labels: Sequence[str], colour: str, width: float) -> go.Scatter:
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for line in lines:
        x += [*range(len(labels)), None]
        y += [*(round(float(value), 4) for value in line.y), None]
        said = "<br>".join(
            f"{plain(name)}: {plain(_known(cell[1]))}" for name, cell in zip(labels, line.customdata, strict=True)
        )
        text += [said] * len(labels) + [""]
    return go.Scatter(
        x=x, y=y, text=text, mode="lines", hoverinfo="text", line={"color": colour, "width": width}, opacity=0.85
    )


def _ticks(lines: Sequence[go.Scatter], drawn: go.Figure, axes: int) -> list[list[tuple[float, str]]]:
    """Height and text of each axis's ticks: every value where there are few, else Optuna's."""
    found = []
    for at in range(axes):
        values = {float(line.y[at]): _known(line.customdata[at][1]) for line in lines}
        own = [(float(note.y), _known(note.text)) for note in drawn.layout.annotations if note.x == at]
        found.append(sorted(values.items()) if at and len(values) <= TICKS else own)
    return found


def _known(text: object) -> str:
    """Optuna says None for an entry whose condition does not hold."""
    return "not used" if text == "None" else str(text)


def _own_ticks(values: Sequence[float]) -> list[tuple[float, str]]:
    """Ticks of the figure that is ranked by: Optuna's three digits would not tell good trials apart."""
    low, high = min(values), max(values)
    if low == high:
        return [(0.5, number(low))]
    return [(at / 4, number(low + (high - low) * at / 4)) for at in range(5)]


def _draw_axes(figure: go.Figure, labels: Sequence[str], ticks: Sequence[Sequence[tuple[float, str]]]) -> None:
    for at, label in enumerate(labels):
        figure.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, layer="below", line={"color": RULE, "width": 1})
        words = {"showarrow": False, "x": at, "xref": "x", "font": {"size": 12, "color": INK}}
        figure.add_annotation(y=1.0, yref="paper", yanchor="bottom", text=_broken(label), **words)
        for height, text in ticks[at]:
            style = {
                "xanchor": "right",
                "xshift": -5,
                "font": {"size": 11, "color": SOFT},
                "bgcolor": GROUND,
                "borderpad": 1,
            }
            figure.add_annotation(y=height, text=plain(text), **{**words, **style})
    span = {"range": [-0.62, len(labels) - 0.5], "visible": False, "fixedrange": True}
    figure.update_layout(xaxis=span, yaxis={"range": [-0.06, 1.06], "visible": False, "fixedrange": True})


def _broken(label: str) -> str:
    """A long name on two lines, broken at a dot or an underscore."""
    if len(label) < 13:
        return plain(label)
    cuts = [at + 1 for at, sign in enumerate(label) if sign in "._"]
    cut = min(cuts, key=lambda at: abs(at - len(label) / 2), default=0)
    return f"{plain(label[:cut])}<br>{plain(label[cut:])}" if cut else plain(label)


def _importance(study: optuna.Study, facts: Facts) -> Chart:
    """Optuna's importance as bars, of settings that had more than one value: to any other it would give some too."""
    tried = _tried(study)
    short, fixed = short_names(list(tried)), [name for name, values in tried.items() if len(values) < 2]
    only = "".join(f" {short[name]}: only {', '.join(tried[name].values())} reached the full budget." for name in fixed)
    if len(tried) - len(fixed) < 2:
        turns = "the space turns one setting" if len(tried) < 2 else "fewer than two settings differ in these trials"
        return Chart("importance", reason=f"No chart: {turns}, and no other can share its weight.{only}")
    if len({trial.value for trial in study.trials}) < 2:
        return Chart("importance", reason="No chart: all trials reached the same figure.")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        drawn = optuna.visualization.plot_param_importances(study_of(facts, fixed), target_name=facts.metric)
    if not drawn.data:
        return Chart("importance", reason="No chart: Optuna finds no importance in these trials.")
    bars = drawn.data[0]
    values = {str(name): float(value) for name, value in zip(bars.y, bars.x, strict=True)}
    label = ", ".join(f"{short[name]} {number(value, 2)}" for name, value in reversed(values.items()))
    unsure = any(not issubclass(one.category, ExperimentalWarning) for one in warned)
    rare = " Optuna warns that some settings were tried too rarely for sure figures." if unsure else ""
    return Chart("importance", _bars(values, short), f"Shares of importance: {label}.{only}{rare}")


def _tried(study: optuna.Study) -> dict[str, dict[str, str]]:
    """The different values that each setting had, with their text."""
    found: dict[str, dict[str, str]] = {}
    for trial in study.trials:
        for name, value in trial.params.items():
            found.setdefault(name, {})[repr(value)] = value_text(value)
    return found


def _bars(values: Mapping[str, float], short: Mapping[str, str]) -> dict[str, Any]:
    """Importance by setting, the largest on top."""
    figure = go.Figure(
        go.Bar(
            x=list(values.values()),
            y=[plain(short[name]) for name in values],
            text=[f"{value:.2f}" for value in values.values()],
            textposition="outside",
            cliponaxis=False,
            orientation="h",
            hovertext=[plain(name) for name in values],
            hoverinfo="text+x",
            marker={"color": ACCENT},
            textfont={"color": INK},
        )
    )
    top = max([*values.values(), 0.01])
    figure.update_layout(xaxis=axis("share of importance", range=[0, top * 1.18]), yaxis=axis(showgrid=False))
    return finished(figure, 90 + 30 * len(values))
