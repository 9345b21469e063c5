"""Ray Tune's searcher: hands out the ledger's trials and notes what becomes of them.

Ray decides where and when a trial runs; what is run, and whether it has to be, is decided by the supply.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.search import Searcher

from ecggen.checkpoint import TRAINING_FILE
from ecggen.config import RunConfig
from ecggen.configfile import to_dict
from ecggen.errors import OutOfReach, UserError
from search.ledger import Ledger
from search.storage import Storage
from search.supply import Supply, Wait, Watcher
from search.trialfile import COMPLETED, FAILED, LATE, STOPPED, Trial, forget_damaged, is_finalist


class InDriver:
    """Lives in the driver alone: Ray copies and pickles what it is given, for a restore that is never done here."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "InDriver":
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {}


class LedgerSearcher(InDriver, Searcher):
    """Between Ray Tune and the ledger.

    Args:
        supply: where trials come from.
        storage: where they keep their state.
        search: name of the search, the first part of every key.
        concurrency: trials at a time.
        over: whether time is up.
        why: says why a trial was stopped.
        watcher: is told what happens.

    Attributes:
        fault: what went wrong here, such as a full disk. Ray would take it for a fault of the trial that it was about;
            so it is kept, the round ends, and whoever began the round raises it.
    """

    def __init__(
        self,
        supply: Supply,
        ledger: Ledger,
        storage: Storage,
        search: str,
        concurrency: int,
        over: Callable[[], bool],
        why: Callable[[Trial], str],
        watcher: Watcher,
    ) -> None:
        super().__init__()
        self.supply, self.ledger, self.storage, self.search = supply, ledger, storage, search
        self.concurrency, self.over, self.why, self.watcher = concurrency, over, why, watcher
        self.live: dict[str, Trial] = {}
        self.drained = False
        self.fault: Exception | None = None

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Everything is known already."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """The configuration of the next trial; None = not now."""
        if len(self.live) >= self.concurrency:
            return None
        found = None if self.over() or self.fault is not None else self._next()
        if found is None:
            self.drained = True
            return Searcher.FINISHED
        if isinstance(found, Wait):
            self.watcher.idle(self.concurrency - len(self.live))
            return None
        trial, run = found
        forget_damaged(self.ledger.folder / trial.key)
        self.live[trial_id] = trial
        self.watcher.began(trial)
        settings = json.dumps(to_dict(run))
        return {"key": f"{self.search}/{trial.key}", "run": settings, "judge": is_finalist(trial), "full": trial.full}

    def _next(self) -> tuple[Trial, RunConfig] | Wait | None:
        """The next trial and its settings; one whose settings are damaged fails, and the search goes on."""
        while True:
            trial = self.supply.next()
            if trial is None or isinstance(trial, Wait):
                return trial
            try:
                return trial, self.ledger.run_of(trial)
            except UserError as fault:
                self.ledger.end(trial, FAILED, str(fault))
                self.watcher.ended(trial)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A report."""
        trial = self.live.get(trial_id)
        if trial is not None and not (result["failed"] or result.get("unkept")) and trial.add_row(_row(result)):
            with self._noticed():
                self.watcher.reported(trial)

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except Exception as fault:
            self.fault = self.fault or fault

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The end: whole, failed, or stopped.

        One that could not be kept ends the search, for the next trial would fare no better; all that were under way go
        on when it is carried on.
        """
        trial = self.live.pop(trial_id, None)
        if trial is not None:
            with self._noticed():
                self._end(trial, result, error)

    def _end(self, trial: Trial, result: dict[str, Any] | None, error: bool) -> None:
        if error:
            self.ledger.end(trial, FAILED, "its worker was lost three times, perhaps for want of memory")
        elif result is None or "failed" not in result:
            self.ledger.end(trial, STOPPED, LATE if trial.curve else f"{LATE}, before its first report")
        elif result.get("unkept"):
            raise OutOfReach(result["unkept"])
        elif result["failed"]:
            self.ledger.end(trial, FAILED, result["failed"])
        elif result["complete"]:
            self._whole(trial)
        else:
            trial.add_row(_row(result))
            self.ledger.end(trial, STOPPED, self.why(trial))
        if trial.status == FAILED:  # nobody will go on from it
            (self.ledger.folder / trial.key / TRAINING_FILE).unlink(missing_ok=True)
        self.watcher.ended(trial)

    def leave(self) -> None:
        """Time is up: the end of the trials that Ray let fall, which it does without a word."""
        for trial_id in tuple(self.live):
            self.on_trial_complete(trial_id)

    def _whole(self, trial: Trial) -> None:
        try:
            self.storage.pull(f"{self.search}/{trial.key}", self.ledger.folder / trial.key)
            self.ledger.end(trial, COMPLETED)
        except OutOfReach:
            raise
        except UserError as fault:
            self.ledger.end(trial, FAILED, str(fault))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is on disk already."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is read instead."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the ledger is on disk already."""


def _row(result: dict[str, Any]) -> dict[str, float]:
    """A report as a row of a learning curve, without what Ray adds."""
    names = [name for name in result if name in ("step", "seconds", "train_loss") or name.startswith("val_")]
    return {name: float(result[name]) for name in names}
