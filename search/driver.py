"""One search from its order to its leaderboard: the driver's process.

    trials (Ray Tune, ASHA) -> finalists with fresh seeds (Ray Tune) -> leaderboard, promoted folders, tables

What is known is on disk at every moment (`ledger`). A search that was left in any way is carried on by doing the same
again: what is whole is not trained twice.
"""

import gc
import importlib
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from ecggen.atomic import FULL, remove_leftovers, write_text
from ecggen.checkpoint import TRAINING_FILE
from ecggen.codetable import read_codes
from ecggen.errors import Interrupted, UserError
from ecggen.train import resolve_threads
from search import cluster
from search.asking import check_share
from search.events import EventFiles
from search.finals import Outcome, certain, conclude, finalists, kept_at_most, repeats
from search.keepers import Keepers
from search.ledger import Ledger, equal_runs
from search.order import (
    DONE,
    How,
    alike,
    read_order,
    write_order,
)
from search.promote import Job, forget_ahead, promote_ahead
from search.recorder import Clock, Recorder
from search.report import REPORT_FILE
from search.screen import Screen
from search.searcher import LedgerSearcher
from search.share import Resources, Share
from search.shareddata import offer
from search.space import Space, parse_space
from search.storage import Storage
from search.study import UNKEPT, Study, study_kept
from search.summary import Summary
from search.supply import InTurn, NewTrials, Places
from search.trial import Setup
from search.trialfile import LATE, RUNNING, Trial, is_finalist
from search.tuner import STATE, asha, forget_rounds, run_round, teach
from search.view import KEEPING, PROOF, REPORT, RUNNERS_UP, START

LAST = ("scipy.special", "scipy.optimize", "search.report.page", "optuna.importance")  # what nothing but the end needs
ROUNDS = 4  # Ray ends a whole round when its memory monitor kills a trial; then the next one goes on


class Search:
    """A search in its folder.

    Args:
        folder: `results/searches/<name>`, with its order in it.
        config: the train configuration with the run-id table.
        results: the results folder.
    """

    def __init__(self, folder: Path, results: Path, how: How, console: Console) -> None:
        self.folder, self.results, self.console = folder, results, console
        self.order = replace(read_order(folder), name=folder.name)  # a folder may have been renamed since
        self.how = how if how.storage else replace(how, storage=self.order.storage)
        self.config = Path(self.order.config)
        self.table = read_codes(self.config, results)
        where = f"{folder.name}/space.yaml"
        self.space: Space = parse_space(self.order.space, self.order.content, self.table, self.order.base, where)
        self.ledger = Ledger(folder)
        self.screen = Screen(console, self.ledger, self.order, how.quiet)
        self.summary = Summary(self.ledger, [entry.name for entry in self.space.entries])
        self.events = EventFiles(self.ledger, self.order.metric)
        self.loading = threading.Thread(target=_load_last)
        self.certain: list[Job] = []  # will be promoted, however the last trainings come out

    def run(self, resources: Resources) -> Outcome:
        """Everything that is still to do, with a Ray that runs. Raises UserError, and Interrupted after Ctrl-C."""
        clock = Clock(self.how.time_budget)
        share = self.check(resources)
        setup = Setup(self._storage(), offer(self.order.base, resources.nodes > 1), self.how.time_limit)
        self._remember_storage()
        self._reopen()
        with (
            self.screen.live(share.concurrency, clock.left),
            study_kept(self.folder),
            Keepers(share.concurrency, kept_at_most(self.order)) as keepers,
        ):
            try:
                self._train(setup, share, clock, partial(self._prepare_end, keepers))
            finally:
                self._free_rays_objects()  # Ray ends next
            return self._end(keepers)

    def _reopen(self) -> None:
        """A finished search goes on: neither its mark nor its page is true any more."""
        if (self.folder / DONE).exists():
            self._remove_page()
            (self.folder / DONE).unlink()

    def _train(self, setup: Setup, share: Share, clock: Clock, while_idle: Callable[[int], None]) -> None:
        """Trials and repeats, all that are left."""
        try:
            for trial in self.ledger.late():  # now there is more time
                self.ledger.revive(trial, trial.full)
            self.ledger.forget_unbegun()
            study = Study(self.folder, self.order.algorithm, self.order.metric, self.order.base.train.seed)
            study.reconcile(self.ledger, self.space.entries)
            elsewhere = equal_runs(alike(self.folder, self.order))
            self._warm(study)
            repeated, tables = self.order.finalists * self.order.seeds, (self.summary, self.events)
            watcher = Recorder(study, *tables, self.screen, clock, repeated, share.concurrency, while_idle)
            self._drain(setup, share, self._supply(study, watcher, clock, elsewhere), watcher, clock)
        finally:
            self.events.close()
            self.summary.write()

    def _end(self, keepers: Keepers) -> Outcome:
        """What follows from the trials, made while Ray ends."""
        ending = threading.Thread(target=cluster.stop)  # takes more than a second, and nobody needs to wait for it
        ending.start()
        self._load_last()
        try:
            return self.close(keepers)
        finally:
            ending.join()
            self.loading.join()

    def _prepare_end(self, keepers: Keepers, idle: int) -> None:
        """Do what comes last as far as it can be done beside the last trainings, while workers are idle."""
        keepers.start()
        promote_ahead(self.certain, keepers, idle)
        self._load_last()

    def _load_last(self) -> None:
        if self.loading.ident is None:
            self.loading.start()

    def _free_rays_objects(self) -> None:
        """What is left of Tune is freed now: an object of Ray's that is freed while Ray ends takes the process with it.

        Whoever imports frees what he finds, so that must be over.
        """
        if self.loading.is_alive():
            self.loading.join()
        gc.collect()

    def close(self, keepers: Keepers, over: bool = True) -> Outcome:
        """Leaderboard, promoted folders, tables, page: made from the trials' folders, as often as one likes.

        Args:
            keepers: processes that promote side by side.
            over: whether the search is finished with this.
        """
        self.screen.stage(KEEPING)
        self.summary.write()
        outcome = conclude(self.order, self.ledger, self.results, keepers, self.screen.say)
        keepers.finish()
        forget_rounds(self.folder)
        remove_leftovers(self.folder, below=True)
        for trial in self.ledger.trials:
            forget_ahead(self.folder / trial.key)
            if trial.status != RUNNING and trial not in self.ledger.late():  # nobody will go on from it
                (self.folder / trial.key / TRAINING_FILE).unlink(missing_ok=True)
        self.screen.stage(REPORT)
        now = datetime.now().astimezone()
        self._write_page(now if over else None)
        if over:
            write_text(self.folder / DONE, f"{now:%Y-%m-%dT%H:%M:%S%z}\n")
        return outcome

    def _write_page(self, finished: datetime | None) -> None:
        """The search as a page. Where that fails, the search is as whole as without, and no old page is left.

        Args:
            finished: when the search is over, None where that is as its folder says.
        """
        try:
            from search.report.page import write_report  # plotly and matplotlib, which nobody else needs here

            write_report(self.folder, finished=finished)
        except Exception as fault:
            self._remove_page()
            said = " ".join(f"{type(fault).__name__}: {fault}".split())[:200]
            self.screen.say(f"no page of the search ({said}); python -m search.report {self.folder} tries again")

    def _remove_page(self) -> None:
        with suppress(OSError):
            (self.folder / REPORT_FILE).unlink(missing_ok=True)

    def rebuild(self) -> Outcome:
        """Tables, study, event files, leaderboard and promoted folders, from the trials alone."""
        with study_kept(self.folder):
            study = Study(self.folder, self.order.algorithm, self.order.metric, self.order.base.train.seed)
            study.reconcile(self.ledger, self.space.entries)
        self.events.rebuild()
        with Keepers(self.how.concurrency or resolve_threads(0), kept_at_most(self.order)) as keepers:
            outcome = self.close(keepers, over=False)  # no more than it was before
        if not (self.folder / DONE).exists():
            self.screen.say(f"{self.order.name} is unfinished; carry it on with --resume {self.order.name}")
        return outcome

    def check(self, resources: Resources) -> Share:
        """How Ray is cut into trials; all that can fail for want of it fails here, before anything is changed.

        Raises UserError.
        """
        share = check_share(self.how, resources)
        self._storage().check()
        return share

    def _storage(self) -> Storage:
        return Storage(self.how.storage or str(self.folder.parent.resolve()))

    def _remember_storage(self) -> None:
        """Whoever carries the search on finds the states of its trials where they were."""
        storage = self._storage().root if self.how.storage else None
        if storage != self.order.storage:
            if self.ledger.unfinished():
                self.screen.say(
                    f"trials go on in {storage}; their states in {self.order.storage or self.folder} are left"
                )
            self.order = replace(self.order, storage=storage)
            write_order(self.folder, self.order)

    def _supply(
        self, study: Study, watcher: Recorder, clock: Clock, elsewhere: dict[str, Path]
    ) -> Callable[[], InTurn]:
        """Makes what a round hands out: new trials until as many are there as were asked for, then the proof."""
        order = self.order
        seed = order.base.train.seed
        points = self.space.points(order.base, self.table, order.trials, seed) if order.algorithm == "grid" else None
        places = Places(self.config, self.results, elsewhere)

        def runners_up(first: NewTrials) -> list[Trial]:
            """ASHA lets few to the end; the best that it stopped go on, so that there are enough to compare."""
            if first.exhausted:
                self.screen.say(f"the space has no more than {len(self.ledger.trials)} different settings")
            if clock.search_over():
                return []
            whole = finalists(self.ledger, order.metric, order.finalists)
            found = self.ledger.runners_up(order.metric, order.finalists - len(whole))
            self.screen.stage(RUNNERS_UP)
            for trial in found:
                self.screen.say(f"runner-up, goes on to its end: {trial.runid}, stopped at step {trial.step}")
                self.ledger.revive(trial)
                study.again(trial, self.ledger, self.space.entries)
            return found

        def finals() -> list[Trial]:
            chosen = finalists(self.ledger, order.metric, order.finalists)
            wanted = repeats(self.ledger, chosen, order.seeds, elsewhere)
            self.screen.stage(PROOF)
            watcher.last_stage, self.certain = True, certain(self.ledger, chosen, self.results)
            if wanted:
                self.screen.say(f"{len(chosen)} finalists, {order.seeds} fresh seeds each: {len(wanted)} trainings")
            return wanted

        def make() -> InTurn:
            first = NewTrials(self.ledger, study, self.space, order, places, points, watcher)
            return InTurn(self.ledger, first, clock.search_over, [lambda: runners_up(first), finals])

        return make

    def _drain(self, setup: Setup, share: Share, make: Callable[[], InTurn], watcher: Recorder, clock: Clock) -> None:
        """Rounds of Ray Tune until the supply is dry. Raises Interrupted where the user ended one."""
        order, fault = self.order, ""

        def why(trial: Trial) -> str:
            late = clock.over() if is_finalist(trial) else clock.search_over()
            return LATE if late else f"ASHA, at step {trial.step}"

        for _ in range(ROUNDS):
            self.screen.stage(START)
            searcher = LedgerSearcher(
                make(), self.ledger, setup.storage, order.name, share.concurrency, clock.over, why, watcher
            )
            known = [trial for trial in self.ledger.trials if trial.status != RUNNING]
            budget = order.base.train.steps
            scheduler = asha(budget, order.grace, order.reduction, order.metric, known) if order.asha else None
            if scheduler is not None:
                watcher.learned = partial(teach, scheduler, budget=budget, metric=order.metric)
            name = f"round-{time.time_ns()}"
            try:
                run_round(searcher, scheduler, setup, share, clock.search_over, self._ray_root(), name)
                if searcher.fault is not None:
                    raise searcher.fault
            except Exception as raised:
                fault = _fault(raised)
                self.screen.say(f"Ray ended this round ({fault}); the search goes on")
                continue
            if clock.over():
                searcher.leave()
            if clock.over() or (searcher.drained and not searcher.live):
                return
            raise Interrupted(f"interrupted, {self._standing()}")
        raise UserError(f"search {order.name}: expected Ray to go on, it ended {ROUNDS} rounds ({fault}); resume later")

    def _ray_root(self) -> str:
        root = self.how.storage
        if root is None:
            return str((self.folder / STATE).resolve())
        place, mark, query = root.partition("?")
        return f"{place.rstrip('/')}/{self.order.name}/{STATE}{mark}{query}"

    def _standing(self) -> str:
        over = sum(trial.status != RUNNING for trial in self.ledger.trials)
        return f"{over} of {self.order.trials} trials are over and kept"

    def _warm(self, study: Study) -> None:
        """Give the sampler what earlier searches learned about points of this space."""
        fed, entries = study.fed(), self.space.entries
        for name in self.order.warm_start:
            other = Ledger(self.folder.parent / name)
            count = 0
            for trial in other.whole():
                source = f"{name}/{trial.key}"
                params = self.space.params_of(other.run_of(trial), self.order.base, self.table)
                value = trial.metrics.get(self.order.metric, math.nan)
                if params is not None and source not in fed and math.isfinite(value):
                    study.feed(params, value, source, entries)
                    count += 1
            self.screen.say(f"warm start: {count} results of {name} fit this space")


def _load_last() -> None:
    """Load what the end of a search needs, the page most of all; where that fails, so does the page, and says why."""
    with suppress(Exception):
        for name in LAST:
            importlib.import_module(name)


def _fault(raised: BaseException) -> str:
    """Ray's fault in one line. Raises what is at its bottom where that is the user's or the disk's, not Ray's."""
    at: BaseException | None = raised
    while at is not None:
        if isinstance(at, (UserError, *UNKEPT)) or getattr(at, "errno", None) in FULL:
            raise at
        raised, at = at, at.__cause__
    lines = str(raised).strip().splitlines() or [""]
    return f"{type(raised).__name__}: {lines[-1][:200]}"
