"""The table of a search's trials: those under way first, then the finalists' repeats, then what is over, best first."""

import math
import time
from collections.abc import Callable

from rich.table import Table
from rich.text import Text

from ecggen.progress import clock
from search.ledger import Ledger
from search.trialfile import COMPLETED, FAILED, REUSED, RUNNING, STOPPED, WHOLE, Trial, is_finalist

WAITING, RUNNER_UP = "waiting", "runner-up"
STYLES = {RUNNING: "cyan", RUNNER_UP: "cyan", COMPLETED: "green", REUSED: "green", FAILED: "red", STOPPED: "dim"}
PLACES = {RUNNING: 0, RUNNER_UP: 0, COMPLETED: 2, REUSED: 2, WAITING: 3, STOPPED: 4, FAILED: 5}
REPEATS = 1  # place of the repeats that are not under way
WIDE, NARROW = 100, 72  # columns from which there is room to spare, and below which there are no bars
LONG_BAR, SHORT_BAR = 20, 10
TAKEN = 84  # columns that a wide table takes without what a trial tries
MARKS, PLAIN_MARKS = ("━", "─"), ("#", "-")  # of what is done and what is not


class TrialTable:
    """The trials as rows.

    Args:
        metric: that the search ranks by.
        now: a clock, in seconds.

    Attributes:
        live: key of a trial under way -> when its present training began.
    """

    def __init__(self, ledger: Ledger, metric: str, now: Callable[[], float] = time.monotonic) -> None:
        self.ledger, self.metric, self.now = ledger, metric, now
        self.live: dict[str, float] = {}

    def draw(self, trials: list[Trial], width: int, ascii_only: bool = False) -> Table:
        """These trials as a table that needs at most so many columns."""
        seeds = any(is_finalist(trial) for trial in trials)
        bar = 0 if width < NARROW else LONG_BAR if width >= WIDE else SHORT_BAR
        steps = 2 * max(len(str(trial.steps)) for trial in trials) + 1
        table = Table(box=None, padding=(0, 2 if width >= WIDE else 1, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("", justify="right", no_wrap=True, min_width=2)
        table.add_column("run id", no_wrap=True)
        if seeds:
            table.add_column("seed", justify="right", no_wrap=True)
        table.add_column("state", no_wrap=True, min_width=len(COMPLETED))
        table.add_column("step", justify="right", no_wrap=True, min_width=steps)
        if bar:
            table.add_column("", no_wrap=True)
        for name, least in (("last", 6), ("best", 6), ("time", 5)):
            table.add_column(name, justify="right", no_wrap=True, min_width=least)
        if width >= WIDE:
            table.add_column("what it tries", no_wrap=True, max_width=width - TAKEN)
        for trial in trials:
            cells = self._cells(trial, seeds, bar, PLAIN_MARKS if ascii_only else MARKS)
            table.add_row(*cells, *([Text(tries(trial))] if width >= WIDE else []))
        return table

    def _cells(self, trial: Trial, seeds: bool, bar: int, marks: tuple[str, str]) -> list[Text]:
        state = self.state(trial)
        last = trial.curve[-1].get(self.metric, math.nan) if trial.curve else math.nan
        cells = [Text(f"f{trial.number}" if is_finalist(trial) else str(trial.number)), Text(trial.runid)]
        if seeds:
            cells.append(Text(str(trial.seed) if is_finalist(trial) else ""))
        cells += [Text(state, style=STYLES.get(state, "")), Text(f"{trial.step}/{trial.steps}")]
        if bar:
            done = min(bar, round(bar * trial.step / max(1, trial.steps)))
            cells.append(Text.assemble((marks[0] * done, STYLES.get(state, "")), (marks[1] * (bar - done), "dim")))
        return [*cells, *map(Text, (figure(last), figure(self.best_of(trial)), self._spent(trial)))]

    def in_order(self) -> list[Trial]:
        """All trials and repeats, as they stand in the table."""
        return sorted(self.ledger, key=self._place)

    def _place(self, trial: Trial) -> tuple[float, ...]:
        place = PLACES[self.state(trial)]
        if place == PLACES[RUNNING]:
            return place, trial.number
        if is_finalist(trial):
            return REPEATS, place, trial.number
        best = self.best_of(trial)
        came = -trial.step if trial.status == STOPPED else 0
        return place, came, -best if math.isfinite(best) else math.inf, trial.number

    def state(self, trial: Trial) -> str:
        """The state of a trial in a word."""
        if trial.status != RUNNING:
            return trial.status
        if trial.key not in self.live:
            return WAITING
        return RUNNER_UP if trial.full and not is_finalist(trial) else RUNNING

    def best_of(self, trial: Trial) -> float:
        """The figure of the kept checkpoint; of a trial that has none, the best one so far. NaN: there is none."""
        if trial.status in WHOLE:
            return trial.metrics.get(self.metric, math.nan)
        figures = [row.get(self.metric, math.nan) for row in trial.curve]
        return max((value for value in figures if math.isfinite(value)), default=math.nan)

    def _spent(self, trial: Trial) -> str:
        """Time under way; of one that is over, time of its training."""
        if trial.key in self.live:
            return clock(self.now() - self.live[trial.key])
        return clock(trial.seconds) if trial.seconds else "-"


def tries(trial: Trial) -> str:
    """What a trial turns, in short names: `m=1 lr=0.002`."""
    return " ".join(f"{name.rpartition('.')[2]}={value}" for name, value in trial.params.items())


def figure(value: float) -> str:
    """A figure for the eye."""
    return f"{value:.4f}" if math.isfinite(value) else "-"
