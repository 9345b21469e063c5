"""Processes that help to keep the best trials. They load what that takes while the last trials still train."""

import gc
import importlib
import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor
from types import TracebackType

from ecggen.worker import start_worker
from search.interrupt import held_back


class Keepers:
    """Some processes of one torch thread each, until the context ends; none where they would take turns.

    Args:
        workers: processes that may run side by side.
        trials: how many will be kept at most.

    Raises ValueError where there is no worker.
    """

    def __init__(self, workers: int, trials: int) -> None:
        if workers < 1:
            raise ValueError(f"workers: expected 1 or more, got {workers}")
        self.workers, self.count = workers, min(workers, trials)
        self._pool: ProcessPoolExecutor | None = None
        self._others: list[multiprocessing.process.BaseProcess] = []

    @property
    def pool(self) -> Executor | None:
        """The processes, started if they were not; None where there are none."""
        self.start()
        return self._pool

    def start(self) -> None:
        """Start all that were not started, and return at once."""
        if self.count > 1 and self._pool is None:
            self._others = multiprocessing.active_children()
            self._pool = ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), start_worker)
            with held_back():
                for _ in range(self.count):
                    self._pool.submit(_load)

    def finish(self) -> None:
        """Let them end, without waiting for it: nothing more is to be done."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> "Keepers":
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: object, trace: TracebackType | None) -> None:
        if kind is not None:  # Ctrl-C; what is half made is made anew when the search is carried on
            for process in multiprocessing.active_children():
                if process not in self._others:
                    process.kill()
        self.finish()


def _load() -> None:
    """All that keeping a run needs, without a look for garbage in between."""
    gc.disable()
    for name in ("ecggen.runs", "scipy.optimize"):
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
