"""What a terminal shows of a search while it runs: how it stands, and one table of its trials.

Everything is read from the ledger at every drawing. What colour says, a word or a figure says too.
"""

import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ecggen.progress import about, clock
from search.interrupt import asked
from search.ledger import Ledger
from search.order import Order
from search.remaining import seconds_left
from search.rungs import rungs
from search.trialfile import COMPLETED, FAILED, LATE, REUSED, RUNNING, STOPPED, WHOLE, Trial, is_finalist
from search.trialtable import RUNNER_UP, WAITING, TrialTable

START, TRIALS, RUNNERS_UP = "Ray starts its workers", "trials", "runners-up go on to their end"
PROOF, KEEPING, REPORT = "finalists: proof with fresh seeds", "keeping the best: heads, cards, figures", "report"
ENDED = "done"
SEARCHING = (START, TRIALS)  # while new trials may begin
TRAINING = (*SEARCHING, RUNNERS_UP, PROOF)
LEAVING = "Ctrl-C: trials are left as they are; once more ends at once"

BESIDE = 6  # rows that are neither heading nor trials: three empty ones, the header, what is left out, the last line
LEAST = 3  # trials shown at least
STILL = 10  # trials in the picture that stays


class View:
    """How a search stands.

    Args:
        order: what was asked for.
        at_once: trainings side by side.
        time_left: seconds of the time budget that are left, None = no budget.
        now: a clock, in seconds.

    Attributes:
        stage: what the search is doing.
        table: of its trials.
    """

    def __init__(
        self,
        ledger: Ledger,
        order: Order,
        at_once: int,
        time_left: Callable[[], float | None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger, self.order, self.at_once, self.time_left, self.now = ledger, order, at_once, time_left, now
        self.table = TrialTable(ledger, order.metric, now)
        self.start, self.stage = now(), START

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heading = console.render_lines(self.heading(), options, pad=False)
        yield ""
        for line in heading:
            yield from line
            yield Segment.line()
        yield ""
        trials = self.table.in_order()
        room = max(LEAST, options.size.height - len(heading) - BESIDE)
        if self.stage == ENDED:  # the leaderboard that follows tells of the repeats
            trials, room = [one for one in trials if not is_finalist(one)], STILL
        if trials:
            yield self.table.draw(trials[:room], options.max_width, options.ascii_only)
        more = len(trials) - room
        yield Text(f"... and {more} more" if more > 0 else "", style="dim")
        if self.stage != ENDED:
            yield Text(f"Ctrl-C leaves it, --resume {self.order.name} carries it on", style="dim")

    def heading(self) -> Table:
        """The lines above the table."""
        grid, order = Table.grid(padding=(0, 2, 0, 0)), self.order
        grid.add_column(style="dim", no_wrap=True, min_width=len("repeats"))
        grid.add_column()
        what = f": {order.space} on {order.base.data.source}, by {order.metric}"
        grid.add_row("search", Text.assemble((order.name, "bold"), what))
        grid.add_row("now", Text.assemble((LEAVING if asked() else self.stage, "bold"), f", {self._time()}"))
        grid.add_row("trials", Text(self._counts()))
        if self.ledger.finalists:
            states = Counter(self.table.state(one) for one in self.ledger.finalists)
            grid.add_row("repeats", Text(f"{len(self.ledger.finalists)}: {_in_words(states)}"))
        grid.add_row("best", self._best())
        if order.asha:
            grid.add_row("rungs", Text(self._rungs()))
        return grid

    def _time(self) -> str:
        """What has passed, and a guess at what is left of the trainings."""
        past = clock(self.now() - self.start)
        if self.stage not in TRAINING or asked():
            return past
        left = seconds_left(self.ledger, self.order, self.at_once, self._to_come(), self.stage == PROOF)
        limit = self.time_left()
        if limit is not None:
            left = max(0.0, limit if left is None else min(left, limit))
        return f"{past} so far" + ("" if left is None else f", {about(left)} left")

    def _to_come(self) -> int:
        return max(0, self.order.trials - len(self.ledger.trials)) if self.stage in SEARCHING else 0

    def _counts(self) -> str:
        """Trials by state, of the asked number."""
        trials = self.ledger.trials
        late = sum(one.status == STOPPED and one.reason.startswith(LATE) for one in trials)
        states = Counter(self.table.state(one) for one in trials)
        counts = {
            "running": states[RUNNING] + states[RUNNER_UP],
            "waiting": states[WAITING],
            "completed": states[COMPLETED],
            "reused": states[REUSED],
            "stopped by ASHA": states[STOPPED] - late,
            "stopped by the time budget": late,
            "failed": states[FAILED],
            "to come": self._to_come(),
        }
        return f"{max(self.order.trials, len(trials))}: {_in_words(counts)}"

    def _best(self) -> Text:
        """The best trial of the full budget; before there is one, the best figure so far."""
        trials = self.ledger.trials
        whole = [one for one in trials if one.status in WHOLE]
        known = [(value, one) for one in whole or trials if math.isfinite(value := self.table.best_of(one))]
        if not known:
            return Text("-")
        value, best = max(known, key=lambda pair: pair[0])
        place = f"kept at step {best.best_step}" if whole else f"by step {best.step} of {best.steps}"
        return Text.assemble((f"{value:.4f} {best.runid}", "bold"), f", trial {best.number}, {place}")

    def _rungs(self) -> str:
        """ASHA's rungs: how many trials came so far, and the best figure there."""
        parts = []
        for rung in rungs(self.order):
            rows = [row for one in self.ledger.trials if (row := row_at(one, rung)) is not None]
            figures = [value for row in rows if math.isfinite(value := row.get(self.order.metric, math.nan))]
            trials = "1 trial" if len(rows) == 1 else f"{len(rows)} trials"
            parts.append(f"step {rung}: {trials}" + (f", best {max(figures):.4f}" if figures else ""))
        return "; ".join(parts)


def row_at(trial: Trial, step: float) -> dict[str, float] | None:
    """The first row of a learning curve from a step on; None where the trial did not come so far."""
    at = bisect_left(trial.curve, step, key=lambda row: row["step"])
    return trial.curve[at] if at < len(trial.curve) else None


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none yet"
