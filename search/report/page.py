"""The page as one file: everything inlined, nothing fetched."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ecggen.atomic import write_text
from search.report import REPORT_FILE, commands, making, rivals, tables
from search.report.cost import cost_line, cost_rows
from search.report.curves import curves_chart
from search.report.facts import Facts, gather
from search.report.heart import Heart, heart_of
from search.report.influence import FEW, full_trials, influence_charts
from search.report.theme import Chart, packed
from search.report.wording import METRICS, count, interval, number
from search.verdict import nothing_line, run_names, shown_name, verdict_line

TABLES = ("leaderboard.csv", "trials.csv", "steps.csv")  # linked where they lie beside the page
# What a damaged file of ours makes its readers raise; the page says so in the place of what it would have shown.
Part = TypeVar("Part")
DAMAGE = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)


def write_report(folder: Path, out: Path | None = None, finished: datetime | None = None) -> Path:
    """Write the page of a search, whole or not at all.

    Args:
        folder: of the search, finished or not.
        out: the page; by default `report.html` in the folder.
        finished: when the search is over, for a page that is written before the folder says so.

    Returns:
        where it is.

    Raises:
        UserError: the folder holds no search, or the page cannot be written.
    """
    path = folder / REPORT_FILE if out is None else out
    facts = gather(folder)
    facts.finished = finished or facts.finished
    text = page_text(facts, path)
    write_text(path, text)
    return path


def page_text(facts: Facts, path: Path) -> str:
    """The page.

    Args:
        facts: what there is to show.
        path: where the page will lie, for links to what lies beside it.
    """
    heart = _unless_damaged(facts, "portrait", heart_of)
    card = _unless_damaged(facts, "card", _card)
    charts = _charts(facts, heart)
    context = {
        "facts": facts,
        "headline": headline(facts),
        "standfirst": standfirst(facts),
        "metric_words": METRICS.get(facts.metric, ""),
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "cost_line": cost_line(facts),
        "cost": cost_rows(facts),
        "heart": heart,
        "card": card,
        "charts": charts,
        "figures": {chart.name: packed(chart.figure) for chart in charts.values() if chart.figure is not None},
        "full": len(full_trials(facts)),
        "few": FEW,
        "links": [name for name in TABLES if (facts.folder / name).is_file() and _beside(facts.folder, path)],
        "assets": {name: _asset(name) for name in ("style.css", "page.js", "loop.js")},
        "plotly": _plotly(),
        "making": making,
        "commands": commands,
        "tables": tables,
        "rivals": rivals,
    }
    return _environment().get_template("page.html.j2").render(context)


def headline(facts: Facts) -> str:
    """The verdict, in a sentence."""
    if facts.standings:
        return verdict_line(facts.standings)
    best = next((trial for trial in facts.ranked() if trial.metrics.get(facts.metric) is not None), None)
    if best is not None:
        return f"{best.runid} is best so far, one training of it; nothing is proved yet"
    over = sum(trial.status != "running" for trial in facts.ledger.trials)
    if facts.finished is None:
        return f"No trial has reached its budget yet; {over} of {facts.order.trials} are over"
    return f"Nothing to rank: {nothing_line(facts.ledger.trials, facts.metric)}"


def standfirst(facts: Facts) -> str:
    """By how much: the figures behind the headline."""
    if not facts.standings:
        best = next(iter(facts.ranked()), None)
        value = None if best is None else best.metrics.get(facts.metric)
        return "" if value is None else f"{facts.metric} {number(value)} in the search itself."
    first, name = facts.standings[0], shown_name(run_names(facts.standings)[0])
    spread = f" ± {number(first.sd)}" if first.n > 1 else ""
    over = f"mean over {count(first.repeats, 'fresh seed')}" if first.repeats else "of the trial itself"
    text = f"{name}: {facts.metric} {number(first.mean)}{spread}, {over}, on the whole validation split."
    if first.against:
        ends = interval(first.low, first.high, sign=True)
        text += f" Its difference to {shown_name(first.against)} lies in {ends} (95 % interval)."
    return text


def _charts(facts: Facts, heart: Heart | None) -> dict[str, Chart]:
    parallel, importance = influence_charts(facts)
    beside = _unless_damaged(facts, "card", rivals.rivals_chart) or Chart("rivals", reason=_none(facts, "card"))
    path = heart.path if heart is not None else Chart("path", reason=_none(facts, "portrait"))
    return {chart.name: chart for chart in (path, beside, curves_chart(facts), parallel, importance)}


def _none(facts: Facts, part: str) -> str:
    return f"No chart: {facts.why.get(part, 'there are no figures')}."


def _card(facts: Facts) -> dict[str, Any] | None:
    """Tables of the best run's card."""
    if facts.card is None:
        return None
    return {"sets": rivals.set_tables(facts.card), "state": rivals.state_rows(facts.card)}


def _unless_damaged(facts: Facts, part: str, make: Callable[[Facts], Part | None]) -> Part | None:
    """A part of the page; where its file turns out to be damaged, none, with the reason."""
    try:
        return make(facts)
    except DAMAGE as fault:
        facts.why[part] = (
            f"the best run's {part} cannot be read ({type(fault).__name__}: {' '.join(str(fault).split())[:120]})"
        )
        setattr(facts, part, None)
        return None


def _beside(folder: Path, path: Path) -> bool:
    return path.resolve().parent == folder.resolve()


@cache
def _environment() -> Environment:
    """Names and reasons come from strangers' files: everything is escaped but what this package made itself."""
    environment = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "count": count, "ours": Markup}
    return environment


def _asset(name: str) -> str:
    return files("search.report").joinpath("assets", name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Plotly's script, which must not end the element that it is put into."""
    script = str(get_plotlyjs())
    return script.replace("</script", "<\\/script")
