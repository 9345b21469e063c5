"""What a search shows while it runs, one line an event, and the table at its end."""

import math
import shlex
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ecggen.leaderboard import Standing
from search.ledger import COMPLETED, REUSED, Ledger, Trial
from search.summary import kind_of

WORDS = {"wins": "wins", "tie": "tie", "loses": "behind", "alone": "alone"}


class Screen:
    """Lines about trials.

    Args:
        asked: trials of the whole search.
        metric: whose best value is shown.
        quiet: show nothing.
    """

    def __init__(self, console: Console, ledger: Ledger, asked: int, metric: str, quiet: bool) -> None:
        self.console, self.ledger, self.asked, self.metric, self.quiet = console, ledger, asked, metric, quiet
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False)

    def ended(self, trial: Trial) -> None:
        """A trial is over."""
        value = trial.metrics.get(self.metric, math.nan)
        what = f"{trial.status} at step {trial.step} of {trial.steps}"
        if trial.status == COMPLETED:
            what = f"completed {trial.steps} steps in {trial.seconds:.0f} s"
        elif trial.status == REUSED:
            what = f"reused, {trial.reason}"
        figure = f", {self.metric} {value:.4f}" if math.isfinite(value) else ""
        reason = f" ({trial.reason})" if trial.reason and trial.status != REUSED else ""
        self.say(f"[{time.monotonic() - self.start:5.0f} s] {self._name(trial)}: {what}{figure}{reason}{self._best()}")

    def _name(self, trial: Trial) -> str:
        if kind_of(trial) == "trial":
            return f"trial {trial.number}/{self.asked} {trial.runid}"
        return f"finalist {trial.runid} seed {trial.seed}"

    def _best(self) -> str:
        figures = [(trial.metrics.get(self.metric, math.nan), trial.runid) for trial in self.ledger.whole()]
        known = [figure for figure in figures if math.isfinite(figure[0])]
        return f"; best {max(known)[0]:.4f} {max(known)[1]}" if known else ""


def leaderboard_table(standings: tuple[Standing, ...], name: str) -> Table:
    """The final table."""
    metric = standings[0].metric
    table = Table(title=f"Leaderboard of {name}: {metric} on the whole validation split", title_justify="left")
    for header in ("", "run id", "steps"):
        table.add_column(header)
    for header in ("mean over seeds", "sd", "n", "difference [95 %]", "verdict"):
        table.add_column(header, justify="right")
    for one in standings:
        against = f" to {one.against}" if one.against else ""
        difference = "-" if math.isnan(one.low) else f"[{one.low:+.4f}, {one.high:+.4f}]{against}"
        verdict = WORDS[one.verdict] + ("" if one.proved else ", not proved")
        cells = [str(one.rank), one.runid, str(one.step), f"{one.mean:.4f}", _number(one.sd), str(one.n)]
        table.add_row(*cells, difference, verdict, style="bold" if one.rank == 1 else "")
    return table


def verdict_line(standings: tuple[Standing, ...]) -> str:
    """What the table comes to, in a sentence."""
    best = standings[0]
    if not best.proved:
        return f"{best.runid} is best so far; not proved, since no repeat with another seed was trained"
    if best.verdict == "wins":
        return f"{best.runid} wins: better than {best.against} by more than chance over seeds and records explains"
    if best.verdict == "tie":
        return f"{best.runid} is ahead, but not by more than chance explains: a tie with {best.against}"
    return f"{best.runid} stands alone: there is no other to compare it with"


def next_command(standings: tuple[Standing, ...], results: Path) -> str:
    """How to see the winner."""
    words = ["python", "main.py", "--runid", standings[0].folder or "best"]
    words += [] if results == Path("results") else ["--results", str(results)]
    return shlex.join(words)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
