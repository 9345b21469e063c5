"""The Optuna study of a search: what to try next, and a storage that dashboards open, with true states.

A trial that was stopped is PRUNED at the step where it was stopped, a failed one is FAIL, and only one that reached the
full budget is COMPLETE. The study is made from the ledger and can be made from it again.
"""

import math
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning, OptunaError, StorageInternalError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from ecggen.errors import OutOfReach, UserError
from search.ledger import Ledger
from search.space import Entry, Params
from search.trialfile import RUNNING, STOPPED, WHOLE, Trial

STUDY_FILE = "study.db"
ALGORITHMS = ("optuna", "grid", "random")
NAME = "ecggen"  # one study a file
STARTUP = 8  # random trials before the sampler models anything
UNKEPT = (SQLAlchemyError, StorageInternalError)  # what a full or lost disk makes of a study
_TIMEOUT = 60  # s that a writer waits for another one

Suggest = Callable[[Any], Params]  # trial -> the space's parameters


@contextmanager
def study_kept(folder: Path) -> Iterator[None]:
    """Raises OutOfReach where a study cannot be written within."""
    try:
        yield
    except UNKEPT as fault:
        at: BaseException = fault
        while at.__cause__ is not None:
            at = at.__cause__
        raise OutOfReach(
            f"{folder / STUDY_FILE}: expected to write it, got: {at}; free space, make it writable, and carry on"
        ) from fault


class Study:
    """Suggestions, and the record of what became of them.

    Args:
        folder: the search's folder.
        algorithm: one of ALGORITHMS; a grid is enqueued point by point.
        metric: name of the figure that is maximised.
        seed: of the sampler. With several workers suggestions depend on who ends first, so that a seeded search is not
            reproducible as a whole; its single trials are.
    """

    def __init__(self, folder: Path, algorithm: str, metric: str, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.metric, self._algorithm, self._seed = metric, algorithm, seed
        try:
            self._study = _open(folder / STUDY_FILE)
        except (OptunaError, SQLAlchemyError, LookupError, RuntimeError, TypeError, ValueError):
            # Damaged, or another's: it is put aside, and `reconcile` fills a new one from the ledger.
            (folder / STUDY_FILE).replace(folder / f"{STUDY_FILE}.damaged")
            self._study = _open(folder / STUDY_FILE)
        if not self._trials():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._study.set_metric_names([metric])
        self._reseed()
        self._live: dict[int, optuna.Trial] = {}
        self._said: dict[int, set[int]] = {}  # steps reported, by trial

    def _reseed(self) -> None:
        """A study that is opened or made again must not draw the first numbers of its seed again."""
        self._study.sampler = _sampler(self._algorithm, hash((self._seed, len(self._trials()))) % 2**32)

    def ask(self, suggest: Suggest, fixed: Params | None = None) -> tuple[int, Params]:
        """A new trial of the study and its parameters; with `fixed` exactly these."""
        if fixed is not None:
            self._study.enqueue_trial(fixed)
        while True:
            trial = self._study.ask()
            self._live[trial.number] = trial
            params = suggest(trial)
            if fixed is None or params == fixed:
                return trial.number, params
            self.fail(trial.number, "enqueued before the search was ended")

    def name(self, number: int, trial: Trial) -> None:
        """Write the run id beside the study's trial, for dashboards."""
        self._trial(number).set_user_attr("runid", trial.runid)
        self._trial(number).set_user_attr("trial", trial.key)

    def report(self, trial: Trial) -> None:
        """The last row of a trial's learning curve."""
        if trial.study is not None and trial.curve and not self._is_over(trial.study):
            self._report(trial.study, trial.curve[-1:])

    def end(self, trial: Trial) -> None:
        """What became of a trial: COMPLETE, PRUNED or FAIL."""
        if trial.study is not None and trial.status != RUNNING and not self._is_over(trial.study):
            self._tell(trial.study, trial)

    def _is_over(self, number: int) -> bool:
        """Whether the study has heard the end of a trial, which it will not hear again."""
        return number not in self._live and self._trials()[number].state.is_finished()

    def drop(self, number: int, twin: Trial) -> None:
        """A suggestion that equals a trial there is: told what became of that one, or FAIL where nobody knows yet."""
        self._trial(number).set_user_attr("equal_to", twin.key)
        self._tell(number, twin)

    def fail(self, number: int, reason: str) -> None:
        """A suggestion that cannot be trained at all."""
        self._trial(number).set_user_attr("reason", reason)
        self._study.tell(number, state=TrialState.FAIL)
        self._live.pop(number, None)

    def _tell(self, number: int, trial: Trial) -> None:
        live, state = self._trial(number), self._state_of(trial)
        self._report(number, trial.curve)
        if trial.reason:
            live.set_user_attr("reason", trial.reason)
        if state == TrialState.RUNNING:  # what an equal suggestion came to is told once
            state = TrialState.FAIL
        self._study.tell(number, trial.metrics[self.metric] if state == TrialState.COMPLETE else None, state)
        self._live.pop(number, None)

    def _state_of(self, trial: Trial) -> TrialState:
        if trial.status == RUNNING:
            return TrialState.RUNNING
        if trial.status in WHOLE and math.isfinite(trial.metrics.get(self.metric, math.nan)):
            return TrialState.COMPLETE
        return TrialState.PRUNED if trial.status == STOPPED and trial.curve else TrialState.FAIL

    def _report(self, number: int, curve: Iterable[Mapping[str, float]]) -> None:
        """Intermediate values that the study does not have yet."""
        said = self._said.setdefault(number, set())
        for row in curve:
            value, step = row.get(self.metric, math.nan), int(row["step"])
            if math.isfinite(value) and step not in said:
                said.add(step)
                with warnings.catch_warnings():  # a step that was reported before the search was left
                    warnings.simplefilter("ignore", UserWarning)
                    self._trial(number).report(value, step)

    def _trial(self, number: int) -> optuna.Trial:
        if number not in self._live:
            frozen = self._trials()[number]
            self._live[number] = optuna.Trial(self._study, frozen._trial_id)
        return self._live[number]

    def reconcile(self, ledger: Ledger, entries: Iterable[Entry]) -> None:
        """Make the study say what the ledger says, after a kill between the two, or where the study was lost."""
        entries = list(entries)
        for _ in self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):  # `ask` hands these out first
            self.fail(self._study.ask().number, "the search was ended before this trial began")
        states = {trial.number: trial.state for trial in self._trials()}
        for trial in ledger.trials:
            state = None if trial.study is None else states.get(trial.study)
            if trial.study is not None and state == TrialState.RUNNING:
                self.name(trial.study, trial)  # perhaps it was killed before that
                self.end(trial)
            elif state != self._state_of(trial):  # lost, or a stopped trial that went on: what is told stays told
                trial.study = self._add(trial, entries)
                ledger.write(trial)
        kept = {trial.study for trial in ledger.trials}
        for number, state in states.items():
            if state == TrialState.RUNNING and number not in kept:
                self.fail(number, "the search was ended before this trial began")
        self._reseed()

    def again(self, trial: Trial, ledger: Ledger, entries: Iterable[Entry]) -> None:
        """A trial that was PRUNED goes on after all: a new trial of the study, since that one is closed."""
        trial.study = self._add(trial, list(entries))
        ledger.write(trial)

    def feed(self, params: Params, value: float, source: str, entries: Iterable[Entry]) -> None:
        """An earlier result of the same settings but for the space's own: something for the sampler to learn from."""
        self._study.add_trial(
            create_trial(
                params=dict(params),
                distributions=distributions(params, entries),
                value=value,
                user_attrs={"warm_start": source},
            )
        )

    def fed(self) -> set[str]:
        """Sources of the results that were fed before."""
        return {str(t.user_attrs["warm_start"]) for t in self._trials() if "warm_start" in t.user_attrs}

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _add(self, trial: Trial, entries: list[Entry]) -> int:
        """A trial of the ledger as a new trial of the study; its number."""
        if trial.status == RUNNING:
            number, _ = self.ask(lambda live: _set(live, trial.params, entries), trial.params)
            self.name(number, trial)
            return number
        curve = {int(row["step"]): row.get(self.metric, math.nan) for row in trial.curve}
        curve = {step: value for step, value in curve.items() if math.isfinite(value)}
        value, state = None, self._state_of(trial)
        if state == TrialState.COMPLETE:
            value = trial.metrics[self.metric]
        elif state == TrialState.PRUNED and curve:
            value = curve[max(curve)]  # as `tell` does
        number = len(self._trials())
        self._study.add_trial(
            create_trial(
                state=state,
                params=dict(trial.params),
                distributions=distributions(trial.params, entries),
                value=value,
                intermediate_values=curve,
                user_attrs={"runid": trial.runid, "trial": trial.key, "reason": trial.reason},
            )
        )
        return number


def _open(path: Path) -> optuna.Study:
    """The study in a file, made where there is none."""
    url = URL.create("sqlite", database=str(path)).render_as_string()
    options = {"connect_args": {"timeout": _TIMEOUT}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        storage = optuna.storages.RDBStorage(url, engine_kwargs=options)
    study = optuna.create_study(storage=storage, study_name=NAME, direction="maximize", load_if_exists=True)
    if study.direction != StudyDirection.MAXIMIZE:
        raise ValueError("a study of another question")
    study.get_trials(deepcopy=False)  # each row is read
    return study


def _sampler(algorithm: str, seed: int) -> BaseSampler:
    if algorithm not in ALGORITHMS:
        raise UserError(f"--algorithm: expected one of {', '.join(ALGORITHMS)}, got {algorithm!r}; choose one of them")
    if algorithm != "optuna":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # Groups: a parameter that only some trials have is modelled among those. The liar keeps trials that run side
        # by side apart.
        return TPESampler(n_startup_trials=STARTUP, multivariate=True, group=True, constant_liar=True, seed=seed)


def distributions(params: Params, entries: Iterable[Entry]) -> dict[str, BaseDistribution]:
    """Optuna's distributions of the entries that a point has."""
    return {entry.name: distribution(entry) for entry in entries if entry.name in params}


def distribution(entry: Entry) -> BaseDistribution:
    """Optuna's word for one entry of a space."""
    if entry.kind in ("codes", "choice"):
        return CategoricalDistribution(entry.values)
    if entry.kind == "int":
        return IntDistribution(int(entry.low), int(entry.high), step=entry.step)
    return FloatDistribution(entry.low, entry.high, log=entry.kind == "loguniform")


def _set(live: Any, params: Params, entries: Iterable[Entry]) -> Params:
    """Ask an enqueued trial for exactly these parameters, so that the study knows their distributions."""
    for entry in entries:
        if entry.name in params:
            draw(live, entry)
    return params


def draw(live: Any, entry: Entry) -> Any:
    """One entry from anything with Optuna's `suggest_*`."""
    if entry.kind in ("codes", "choice"):
        return live.suggest_categorical(entry.name, list(entry.values))
    if entry.kind == "int":
        return live.suggest_int(entry.name, int(entry.low), int(entry.high), step=entry.step)
    return live.suggest_float(entry.name, entry.low, entry.high, log=entry.kind == "loguniform")


class RandomDraw:
    """`suggest_*` without a study: a point drawn at random, kept nowhere."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """One of the choices."""
        return self._rng.choice(choices)

    def suggest_int(self, name: str, low: int, high: int, step: int = 1) -> int:
        """A whole number of the range, both ends included."""
        return low + step * self._rng.randint(0, (high - low) // step)

    def suggest_float(self, name: str, low: float, high: float, log: bool = False) -> float:
        """A number of the range, uniform or uniform in its logarithm."""
        if log:
            return float(low * (high / low) ** self._rng.random())
        return self._rng.uniform(low, high)
