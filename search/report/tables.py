"""Rows of the page's tables: leaderboard, all trials, what stopped or failed."""

import math
from dataclasses import dataclass

from search.report.cost import troubles
from search.report.facts import Facts
from search.report.wording import NONE, count, interval, number, short_names, value_text
from search.trialfile import REUSED, Trial
from search.verdict import run_names, shown_name, verdict_word

MANY = 24  # trials that a sentence names
STRIP = 120  # px in which the leaderboard draws intervals


@dataclass(frozen=True)
class Cell:
    """A table's cell: what is read, and what its column is sorted by where that is not the text itself."""

    text: str
    sort: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Column:
    """A column's heading; `title` says it in full."""

    text: str
    title: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class BoardRow:
    """A row of the leaderboard as text; `ends` are low end, zero and high end of its interval in pixels."""

    rank: int
    name: str
    figures: tuple[str, ...]
    difference: str
    against: str
    verdict: str
    steps: str
    ends: tuple[float, float, float] | None


def board_rows(facts: Facts) -> list[BoardRow]:
    """The leaderboard as the screen has it."""
    known = [one for one in facts.standings if math.isfinite(one.low) and math.isfinite(one.high)]
    low = min([0.0, *(one.low for one in known)])
    span = max([0.0, *(one.high for one in known)]) - low or 1.0

    def place(value: float) -> float:
        return round(STRIP * (value - low) / span, 1)

    rows = []
    for one, name in zip(facts.standings, run_names(facts.standings), strict=True):
        ends = (place(one.low), place(0.0), place(one.high)) if one in known else None
        difference = interval(one.low, one.high, sign=True)
        figures = (number(one.mean), number(one.sd), str(one.n))
        against = shown_name(one.against) if one.against else NONE
        rows.append(
            BoardRow(one.rank, shown_name(name), figures, difference, against, verdict_word(one), f"{one.step:,}", ends)
        )
    return rows


def trial_columns(facts: Facts) -> list[Column]:
    """Headings of the table of trials."""
    short = short_names(facts.entries)
    own = [Column(short[name], name) for name in facts.entries]
    figures = [Column("step", "of the budget", True), Column(facts.metric, "", True), Column("seconds", "", True)]
    return [Column("no.", "", True), Column("run id"), Column("state"), *figures, *own, Column("reason")]


def trial_rows(facts: Facts) -> list[tuple[Cell, ...]]:
    """All trials in the order of their numbers."""
    return [_trial_row(trial, facts) for trial in facts.ledger.trials]


def _trial_row(trial: Trial, facts: Facts) -> tuple[Cell, ...]:
    value = trial.metrics.get(facts.metric, math.nan)
    figure = Cell(number(value), repr(value) if math.isfinite(value) else "", True)
    seconds = Cell(NONE if trial.status == REUSED else f"{trial.seconds:,.0f}", f"{trial.seconds}", True)
    step = Cell(f"{trial.step:,} / {trial.steps:,}", str(trial.step), True)
    own = [_value(trial.params.get(name)) for name in facts.entries]
    state, reason = Cell(trial.status), Cell(trial.reason)
    return Cell(str(trial.number), "", True), Cell(trial.runid), state, step, figure, seconds, *own, reason


def _value(value: object) -> Cell:
    if value is None:
        return Cell(NONE)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(value_text(value), repr(value) if numeric else "", numeric)


def trouble_rows(facts: Facts) -> list[tuple[str, str, str]]:
    """Failed and stopped trials: state with their number, reason, which."""
    rows = []
    for state, reason, trials in troubles(facts):
        names = [_name(trial) for trial in trials[:MANY]]
        more = f" and {len(trials) - MANY} more" if len(trials) > MANY else ""
        rows.append((f"{count(len(trials), state, state)}", reason, ", ".join(names) + more))
    return rows


def _name(trial: Trial) -> str:
    seed = f" seed {trial.seed}" if trial.key.startswith("finalists/") else ""
    return f"{trial.runid}{seed}" if seed else f"{trial.number} ({trial.runid})"
