"""Processes that help to keep the best trials, and begin with it while the last trainings still run."""

import gc
import importlib
import multiprocessing
import os
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any

from ecggen.worker import start_worker
from search.interrupt import held_back


class Keepers:
    """Some processes of one torch thread each, until the context ends; none where they would take turns.

    Args:
        workers: processes that may run side by side.
        trials: how many will be kept at most.

    Attributes:
        begun: what was begun ahead, by its name, and what will come of it.

    Raises ValueError where there is no worker.
    """

    def __init__(self, workers: int, trials: int) -> None:
        if workers < 1:
            raise ValueError(f"workers: expected 1 or more, got {workers}")
        self.workers, self.count = workers, min(workers, trials)
        self._pool: ProcessPoolExecutor | None = None
        self._tried = False
        self.begun: dict[Hashable, Future[Any]] = {}
        self._own: list[multiprocessing.process.BaseProcess] = []

    @property
    def pool(self) -> Executor | None:
        """The processes, started if they were not; None where there are none, or none could be started."""
        self.start()
        return self._pool

    def start(self) -> None:
        """Start them, once, and return at once. Where that fails they are done without."""
        if self.count < 2 or self._tried:
            return
        self._tried = True
        before = multiprocessing.active_children()
        try:
            _quiet_tracker()  # before all else: its start lets Ctrl-C through again
            with held_back():
                self._pool = ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), start_worker)
                for _ in range(self.count):
                    self._pool.submit(_load)
        except (OSError, RuntimeError):  # no memory, no process, no thread
            self.finish()
            self._pool = None
        self._own += [process for process in multiprocessing.active_children() if process not in before]

    @property
    def busy(self) -> int:
        """How much of what was begun ahead is still being done."""
        return sum(not outcome.done() for outcome in self.begun.values())

    def begin(self, name: Hashable, work: Callable[[], Any]) -> None:
        """Do something ahead, once, in a process; where there is none it is left for later."""
        if self.pool is not None and name not in self.begun:
            with suppress(OSError, RuntimeError):  # a process was killed, or none can be started
                self.begun[name] = self.pool.submit(work)

    def finish(self) -> None:
        """Let them end, without waiting for it: nothing more is to be done."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> "Keepers":
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: object, trace: TracebackType | None) -> None:
        if kind is not None:  # Ctrl-C; what is half made is made anew when the search is carried on
            for process in self._own:
                process.kill()
        self.finish()


def _quiet_tracker() -> None:
    """Python starts one more process, which cleans up after this one, and would say so after the last words."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning:multiprocessing.resource_tracker"
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _load() -> None:
    """All that keeping a run needs, without a look for garbage in between."""
    gc.disable()
    for name in ("ecggen.runs", "scipy.optimize"):
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
