"""What is trained next: the points of a space, then the runners-up, then the repeats of the finalists.

No setting is trained twice. A suggestion that equals a trial of this search is dropped, and the whole training of an
equal run of an earlier search is taken over.
"""

import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from ecggen.checkpoint import MODEL_FILE
from ecggen.codetable import read_codes
from ecggen.config import RunConfig
from ecggen.errors import UserError
from ecggen.runid import ensure_runid, run_hash, runid_of
from search.ledger import Ledger
from search.order import Order
from search.space import Params, Space
from search.study import RandomDraw, Study
from search.trialfile import JUDGED_FILE, RESULT_FILE, REUSED, RUNNING, Trial

DUPLICATES = 20  # equal suggestions in a row, then a point that is not there yet is looked for
DRAWS = 500  # tries to find one by chance in a space that cannot be listed
LISTED = 10_000  # points up to which a space is listed


class Wait(Enum):
    """No trial now, perhaps one later."""

    WAIT = "wait"


WAIT = Wait.WAIT


class Watcher(Protocol):
    """Who is told what happens."""

    def began(self, trial: Trial) -> None:
        """A trial starts, or goes on."""

    def reported(self, trial: Trial) -> None:
        """A trial has a new row in its learning curve."""

    def ended(self, trial: Trial) -> None:
        """A trial is over."""

    def refused(self, params: Params, reason: str) -> None:
        """A point of the space cannot be trained."""

    def idle(self, workers: int) -> None:
        """So many workers have nothing to do while others train; said again and again."""


class Supply(Protocol):
    """Where trials come from."""

    def next(self) -> Trial | Wait | None:
        """The next trial to train; None when there are no more, WAIT while that depends on trials that run."""


@dataclass(frozen=True)
class Places:
    """Where run ids and earlier results are looked up.

    Attributes:
        config, results: the train configuration and the results folder, whose run-id tables are used.
        elsewhere: hash -> folder of whole runs of earlier searches.
    """

    config: Path
    results: Path
    elsewhere: Mapping[str, Path]


class NewTrials:
    """Trials of a search: first those that were under way when it was left, then new points of the space.

    Args:
        grid: the space's points in order, None to ask the study's sampler.
        watcher: is told of trials that need no training.
    """

    def __init__(
        self,
        ledger: Ledger,
        study: Study,
        space: Space,
        order: Order,
        places: Places,
        grid: list[Params] | None,
        watcher: Watcher,
    ) -> None:
        self.ledger, self.study, self.space, self.places, self.watcher = ledger, study, space, places, watcher
        self.base, self.asked = order.base, order.trials
        self.table = read_codes(places.config, places.results)
        self.left = ledger.unfinished()
        self.points = iter(grid) if grid is not None else None
        self.rng = random.Random(f"{order.base.train.seed}-{len(ledger.trials)}")
        self.exhausted = False
        self.faulty: list[Params] = []

    def next(self) -> Trial | None:
        """An unfinished trial, else a new one; None when as many as asked for are there or no other point is left."""
        if self.left:
            return self.left.pop(0)
        while len(self.ledger.trials) < self.asked and not self.exhausted:
            trial = self._new()
            if trial is not None and trial.status == RUNNING:
                return trial
        return None

    def _new(self) -> Trial | None:
        """One new point in the ledger; None where there is none left."""
        suggestion = self._unused()
        if suggestion is None:
            self.exhausted = True
            return None
        number, params, run = suggestion
        runid = runid_of(run, self.table) or self._new_row(run)
        trial = self.ledger.begin(run, runid, params, number)
        self.study.name(number, trial)
        place = self.places.elsewhere.get(trial.hash)
        if place is not None and reuse(trial, self.ledger, place):
            self.watcher.ended(trial)
        return trial

    def _new_row(self, run: RunConfig) -> str:
        """A run id with codes that no table had until now."""
        runid = ensure_runid(run, self.places.config, self.places.results)
        self.table = read_codes(self.places.config, self.places.results)
        return runid

    def _unused(self) -> tuple[int, Params, RunConfig] | None:
        """A suggestion that is no trial of this search yet."""
        for _ in range(DUPLICATES if self.points is None else LISTED):
            fixed = None if self.points is None else next(self.points, None)
            if self.points is not None and fixed is None:
                return None
            found = self._try(fixed)
            if found is not None:
                return found
        point = self._unlisted()
        return None if point is None else self._try(point)

    def _try(self, fixed: Params | None) -> tuple[int, Params, RunConfig] | None:
        """Ask for a point, or for this one; None where it is known or cannot be trained."""
        if fixed is not None and self._known(fixed):
            return None
        number, params = self.study.ask(lambda live: self.space.suggest(live, self.base, self.table), fixed)
        try:
            run = self.space.run(params, self.base, self.table)
        except UserError as fault:  # a point whose settings contradict each other
            self.study.fail(number, str(fault))
            self.watcher.refused(params, str(fault))
            return None
        twin = self.ledger.equal(run_hash(run))
        if twin is not None:
            self.study.drop(number, twin)
            return None
        return number, params, run

    def _known(self, params: Params) -> bool:
        """Whether a point is a trial already, or was found to contradict itself."""
        try:
            return self.ledger.equal(run_hash(self.space.run(params, self.base, self.table))) is not None
        except UserError as fault:
            if params not in self.faulty:
                self.faulty.append(params)
                self.watcher.refused(params, str(fault))
            return True

    def _unlisted(self) -> Params | None:
        """A point that is not in the ledger: from the list of all where there is one, else by chance."""
        size = self.space.grid_size(self.base, self.table)
        if size is not None and size <= LISTED:
            points = [point for point in self.space.grid(self.base, self.table) if not self._known(point)]
            return self.rng.choice(points) if points else None
        draws = (self.space.suggest(RandomDraw(self.rng), self.base, self.table) for _ in range(DRAWS))
        return next((point for point in draws if not self._known(point)), None)


class InTurn:
    """The search's trials, and once these are over, further stages: runners-up, repeats. One round of Ray for all.

    Args:
        first: the search's trials.
        over: whether no more of these are to begin.
        stages: each makes a list of trials to train, when all trials before it are over.
    """

    def __init__(
        self, ledger: Ledger, first: NewTrials, over: Callable[[], bool], stages: list[Callable[[], list[Trial]]]
    ) -> None:
        self.ledger, self.first, self.over = ledger, first, over
        self.stages = list(stages)
        self.now: list[Trial] = []
        self.out: list[Trial] = []
        self.searching = True

    def next(self) -> Trial | Wait | None:
        """A trial of the present stage; WAIT until the last one of it is over; then the next stage."""
        while True:
            trial = self._of_this_stage()
            if trial is not None:
                self.out.append(trial)
                return trial
            if any(one.status == RUNNING for one in self.out):
                return WAIT
            if not self.stages:
                return None
            self.searching, self.now = False, self.stages.pop(0)()

    def _of_this_stage(self) -> Trial | None:
        if self.searching:
            return None if self.over() else self.first.next()
        return self.now.pop(0) if self.now else None


def reuse(trial: Trial, ledger: Ledger, place: Path) -> bool:
    """Take the whole training of an equal run from its folder; False where it is not there any more."""
    target = ledger.folder / trial.key
    try:
        for name in (MODEL_FILE, JUDGED_FILE, RESULT_FILE):  # the result last: it says that the rest is there
            if name != JUDGED_FILE or (place / name).is_file():
                shutil.copyfile(place / name, target / name)
        ledger.end(trial, REUSED, f"equal to {place.relative_to(ledger.folder.parent)}")
    except (OSError, UserError):
        (target / RESULT_FILE).unlink(missing_ok=True)
        return False
    return True
