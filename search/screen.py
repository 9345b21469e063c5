"""What a search shows while it runs, one line an event, and the table at its end."""

import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ecggen.leaderboard import Standing
from ecggen.progress import redraws
from ecggen.runs import kept_folder
from search.finals import Outcome
from search.ledger import Ledger
from search.live import Redrawn, redrawn
from search.order import Order
from search.summary import kind_of
from search.trialfile import COMPLETED, FAILED, REUSED, WHOLE, Trial, is_finalist
from search.verdict import run_names, shown_name, verdict_word
from search.view import ENDED, START, TRIALS, View


class Screen:
    """Lines about trials; on a terminal those that are worth keeping, above a view that is drawn over and over.

    Args:
        order: what was asked for.
        quiet: show nothing.
    """

    def __init__(self, console: Console, ledger: Ledger, order: Order, quiet: bool) -> None:
        self.console, self.ledger, self.order, self.quiet = console, ledger, order, quiet
        self.start = time.monotonic()
        self.view: View | None = None
        self.drawn: Redrawn | None = None
        self.top = max(map(self._figure, ledger.whole()), default=(-math.inf, ""))  # of all whole trials so far

    @contextmanager
    def live(self, at_once: int, time_left: Callable[[], float | None]) -> Iterator[None]:
        """Within, a terminal shows the view. Other places get lines.

        Args:
            at_once: trainings side by side.
            time_left: seconds of the time budget that are left, None = no budget.
        """
        if self.quiet or not redraws(self.console):
            yield
            return
        self.view = View(self.ledger, self.order, at_once, time_left)
        try:
            with redrawn(self.console, self.view) as self.drawn:
                yield
                self.stage(ENDED)
        finally:
            self.view = self.drawn = None

    def stage(self, stage: str) -> None:
        """The search goes on to another stage, one of those that `view` names; no trial is under way then."""
        if self.view is not None:
            self.view.stage = stage
            self.view.table.live.clear()

    def began(self, trial: Trial) -> None:
        """A trial starts, or goes on."""
        if self.view is not None:
            self.view.table.live[trial.key] = self.view.now()

    def reported(self, trial: Trial) -> None:
        """A trial has a new row."""
        if self.view is not None and self.view.stage == START:
            self.view.stage = TRIALS

    def ended(self, trial: Trial) -> None:
        """A trial is over."""
        if trial.status in WHOLE and not is_finalist(trial):
            self.top = max(self.top, self._figure(trial))
        if self.view is not None:
            self.view.table.live.pop(trial.key, None)
            if trial.status != FAILED:
                return
        value = trial.metrics.get(self.order.metric, math.nan)
        what = f"{trial.status} at step {trial.step} of {trial.steps}"
        if trial.status == COMPLETED:
            what = f"completed {trial.steps} steps in {trial.seconds:.0f} s"
        elif trial.status == REUSED:
            what = f"reused, {trial.reason}"
        figure = f", {self.order.metric} {value:.4f}" if math.isfinite(value) else ""
        reason = f" ({trial.reason})" if trial.reason and trial.status != REUSED else ""
        self.say(f"[{time.monotonic() - self.start:5.0f} s] {self._name(trial)}: {what}{figure}{reason}{self._best()}")

    def say(self, text: str) -> None:
        """One line."""
        if self.drawn is not None:
            self.drawn.say(text)
        elif not self.quiet:
            self.console.print(text, highlight=False, markup=False, emoji=False)

    def _name(self, trial: Trial) -> str:
        if kind_of(trial) == "trial":
            return f"trial {trial.number}/{self.order.trials} {trial.runid}"
        return f"finalist {trial.runid} seed {trial.seed}"

    def _best(self) -> str:
        figure, runid = self.top
        return f"; best {figure:.4f} {runid}" if math.isfinite(figure) and self.view is None else ""

    def _figure(self, trial: Trial) -> tuple[float, str]:
        value = trial.metrics.get(self.order.metric, math.nan)
        return (value if math.isfinite(value) else -math.inf), trial.runid


def leaderboard_table(standings: tuple[Standing, ...], name: str) -> Table:
    """The final table."""
    metric = standings[0].metric
    title = f"Leaderboard of {name}: {metric}, all validation records"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for header in ("", "run id", "steps"):
        table.add_column(header)
    for header in ("mean", "sd", "n", "difference [95 %]", "verdict"):
        table.add_column(header, justify="right")
    for one, name in zip(standings, run_names(standings), strict=True):
        against = f" to {shown_name(one.against)}" if one.against else ""
        difference = "-" if math.isnan(one.low) else f"[{one.low:+.4f}, {one.high:+.4f}]{against}"
        cells = [str(one.rank), shown_name(name), str(one.step), f"{one.mean:.4f}", _number(one.sd), str(one.n)]
        table.add_row(*cells, difference, verdict_word(one), style="bold" if one.rank == 1 else "")
    return table


def lost_line(outcome: Outcome) -> str:
    """Which finalists could not be kept, in a line; empty where all were."""
    if not outcome.lost:
        return ""
    names = ", ".join(shown_name(name) for name in outcome.lost)
    return f"not promoted, so without a result folder: {names}; --rebuild tries again and says why it fails"


def next_command(standings: tuple[Standing, ...], results: Path, name: str = "") -> str:
    """How to see the winner; where it has no result folder, how to make it.

    Args:
        standings: best first.
        results: the results folder.
        name: of the search.
    """
    best = standings[0]
    if best.folder and kept_folder(results, best.runid, best.step, best.hash) == results / best.folder:
        words = ["python", "main.py", "--runid", best.folder]
    else:
        words = ["python", "run_search.py", *(["--rebuild", name] if name else ["--list"])]
    words += [] if results == Path("results") else ["--results", str(results)]
    return shlex.join(words)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
