"""One round of Ray Tune over a supply of trials: resources, ASHA, retries, deadline.

A round begins with nothing but the ledger. ASHA is told the learning curves that are known, so that its rungs stand
where they stood; Ray's own state of an earlier round is never read.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.execution.class_cache import DEFAULT_ENV_VARS
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.stopper import Stopper

from search.interrupt import ray_listens
from search.ledger import Ledger
from search.searcher import InDriver, LedgerSearcher
from search.share import Share
from search.trial import Setup, run_trial
from search.trialfile import FAILED, Trial, is_finalist

RETRIES = 2  # of a trial whose worker or node is lost
STATE = "tune"  # Ray's own files, below the storage's root


class Deadline(InDriver, Stopper):
    """Ends trials of the search when `search_over` says so, and the whole round when `over` does."""

    def __init__(self, searcher: LedgerSearcher, search_over: Callable[[], bool]) -> None:
        self.searcher, self.over, self.search_over = searcher, searcher.over, search_over

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial ends with this report; one that is whole ends by itself."""
        trial = self.searcher.live.get(trial_id)
        searching = trial is not None and not is_finalist(trial)
        return searching and not result["complete"] and self.search_over()

    def stop_all(self) -> bool:
        """Whether time is up, or nothing can be noted any more."""
        return self.over() or self.searcher.fault is not None


class Losses(InDriver, tune.Callback):
    """Says why a trial was given up: Ray knows it only after the searcher was told."""

    def __init__(self, searcher: LedgerSearcher, ledger: Ledger) -> None:
        self.keys: dict[str, Trial] = {}
        self.searcher, self.ledger = searcher, ledger

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Remember which trial it is."""
        known = self.searcher.live.get(trial.trial_id)
        if known is not None:
            self.keys[trial.trial_id] = known

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Ray gave it up."""
        known, fault = self.keys.get(trial.trial_id), trial.get_error()
        if known is not None and fault is not None:
            lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
            self.ledger.end(known, FAILED, f"worker lost {RETRIES + 1} times: {lines[-1][:200] if lines else ''}")


class NewestFirst(FIFOScheduler):
    """Lets a worker that is free take the newest trial that waits, not the oldest.

    The oldest may wait for a worker of its own that is starting. Ray Tune would give it the free one and end the other,
    which has just loaded all that a trial needs, and start one more for the next trial: where trials take less time
    than that, all but one of the workers would never get to train anything. Where there are fewer workers than trials
    at once, as when a node was lost, an older one waits until no newer one comes.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """A trial, None where none waits."""
        return next((trial for trial in reversed(tune_controller.get_trials()) if trial.status == trial.PENDING), None)


class Halving(NewestFirst, AsyncHyperBandScheduler):
    """Ray's ASHA, which leaves alone what has to be trained to its end: runners-up, repeats of finalists."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Go on or stop."""
        if getattr(trial, "config", {}).get("full"):
            return str(TrialScheduler.CONTINUE)
        decision = str(super().on_trial_result(tune_controller, trial, result))
        # A report that is repeated counts at its rung, but was decided before the search was left.
        return str(TrialScheduler.CONTINUE) if result.get("again") else decision


def asha(budget: int, grace: int, reduction: int, metric: str, known: Iterable[Trial]) -> TrialScheduler:
    """Asynchronous successive halving that has seen the learning curves of `known` trials."""
    scheduler = Halving(
        time_attr="step", metric=metric, mode="max", max_t=budget, grace_period=grace, reduction_factor=reduction
    )
    for trial in known:
        teach(scheduler, trial, budget, metric)
    return scheduler


def teach(scheduler: TrialScheduler, trial: Trial, budget: int, metric: str) -> None:
    """Tell ASHA the learning curve of a trial that is over, as if it had just run."""
    if isinstance(scheduler, Halving):
        standin: Any = SimpleNamespace(trial_id=trial.key)
        scheduler.on_trial_add(None, standin)  # type: ignore[arg-type]
        for row in trial.curve:
            if row["step"] < budget and row.get(metric) == row.get(metric):
                scheduler.on_trial_result(None, standin, row)


def take_any_worker() -> None:
    """Let trials take the workers that Ray started beforehand.

    Tune asks for workers with a variable of PyTorch Lightning's in their environment, which nobody has here, and Ray
    would start others, that have it.
    """
    DEFAULT_ENV_VARS.clear()


def run_round(
    searcher: LedgerSearcher,
    scheduler: TrialScheduler | None,
    setup: Setup,
    share: Share,
    search_over: Callable[[], bool],
    root: str,
    name: str,
) -> None:
    """Let Ray Tune run until the supply is dry and its trials are over, time is up, or the user interrupts.

    Args:
        scheduler: None lets every trial run to its end.
        search_over: whether the search's own trials have to end; the searcher knows when everything has to.
        root: folder or URI for Ray's own files.
        name: of the round, below the root.

    Raises whatever Ray raises; the ledger is right in any case.
    """
    quiet = logging.getLogger("ray.tune"), logging.getLogger("ray.air"), logging.getLogger("ray.train")
    for logger in quiet:
        logger.setLevel(logging.CRITICAL)
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, setup=setup), {"cpu": share.cpus, "gpu": share.gpus}
    )
    take_any_worker()
    # As many workers start at once as there is room for; Ray's own way is one after the other.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(share.concurrency)
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler or NewestFirst(),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_short,
            trial_dirname_creator=_short,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=root,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            stop=Deadline(searcher, search_over),
            callbacks=[Losses(searcher, searcher.ledger)],
            verbose=0,
        ),
    )
    with ray_listens():
        tuner.fit()


def _short(trial: Any) -> str:
    return str(trial.config["key"]).replace("/", "-")


def forget_rounds(folder: Path) -> None:
    """Remove Ray's own files of a search that is finished."""
    shutil.rmtree(folder / STATE, ignore_errors=True)
