"""While trials run: who is told what happens, and when the search has to leave off."""

import statistics
import time
from collections.abc import Callable

from search.events import EventFiles
from search.screen import Screen
from search.space import Params
from search.study import Study
from search.summary import Summary
from search.trialfile import REUSED, WHOLE, Trial

RESERVE = 0.5  # share of a time budget that is kept for finalists at most
MARGIN = 1.25  # half of all trainings take longer than the median one
BESIDE = 4.0  # s until trials that are to end have reported, and repeats have begun and are judged


class Clock:
    """The time budget: when the search has to leave off, so that its finalists can still be trained."""

    def __init__(self, budget: float | None) -> None:
        self.start, self.budget = time.monotonic(), budget
        self.reserve = 0.0

    def over(self) -> bool:
        """Whether everything has to end."""
        return self.budget is not None and time.monotonic() - self.start > self.budget

    def search_over(self) -> bool:
        """Whether the search for new trials has to end."""
        if self.budget is None:
            return False
        kept = min(self.reserve, RESERVE * self.budget)
        return time.monotonic() - self.start > self.budget - kept

    def left(self) -> float | None:
        """Seconds until everything has to end; None = no budget."""
        return None if self.budget is None else self.start + self.budget - time.monotonic()


class Recorder:
    """Told by the searcher; tells the study, the tables, the event files, the clock and the screen.

    Args:
        repeats: of finalists, how many are wanted.
        at_once: trials side by side.
        while_idle: done when so many workers have nothing to do, while the last trials train.

    Attributes:
        last_stage: whether nothing is to be trained after what trains now.
    """

    def __init__(
        self,
        study: Study,
        summary: Summary,
        events: EventFiles,
        screen: Screen,
        clock: Clock,
        repeats: int,
        at_once: int,
        while_idle: Callable[[int], None],
    ) -> None:
        self.study, self.summary, self.events, self.screen, self.clock = study, summary, events, screen, clock
        self.learned: Callable[[Trial], None] = lambda trial: None  # told of whole trials that Ray never sees
        self.repeats, self.at_once, self.while_idle = repeats, at_once, while_idle
        self.last_stage = repeats == 0

    def began(self, trial: Trial) -> None:
        """A trial starts."""
        self.events.began(trial)
        self.screen.began(trial)
        self.summary.refresh()

    def reported(self, trial: Trial) -> None:
        """A trial has a new row."""
        self.study.report(trial)
        self.events.reported(trial)
        self.screen.reported(trial)
        self.summary.refresh()

    def ended(self, trial: Trial) -> None:
        """A trial is over."""
        self.study.end(trial)
        self.events.ended(trial)
        if trial.status == REUSED:
            self.learned(trial)
        self.summary.refresh()
        self.screen.ended(trial)
        if self.clock.budget is None:
            return
        whole = [one.seconds for one in self.summary.ledger if one.status in WHOLE]
        if whole:
            self.clock.reserve = BESIDE + MARGIN * statistics.median(whole) * -(-self.repeats // self.at_once)

    def idle(self, workers: int) -> None:
        """Some workers have nothing to do."""
        if self.last_stage:
            self.while_idle(workers)

    def refused(self, params: Params, reason: str) -> None:
        """A point of the space cannot be trained."""
        point = ", ".join(f"{name}={value}" for name, value in params.items())
        self.screen.say(f"left out: {point}: {reason}")
