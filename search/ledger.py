"""The trials of one search: what each is, how far it came, and where it is kept. The truth from which all else is made.

    results/searches/<name>/trials/<number>_<runid>/           one folder a trial
    results/searches/<name>/finalists/<runid>/seed<k>/         one folder a repeat of a finalist

    config.yaml         the whole run, before it starts
    trial.json          what the search knows of it; written when it starts and when it ends
    training.pt         state of the unfinished training              written by the trial
    result.json         written last by the trial: its training is whole
    model.safetensors   weights of the best validation
    judged.npz          sums over the whole validation split (finalists)

A search that is carried on reads these folders again. Nothing of Ray's own state is read back: a trial that was under
way goes on from its own training state, and one that was finished before anybody could note it is finished.
"""

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ecggen.atomic import target_of, write_json, write_text
from ecggen.config import RunConfig
from ecggen.configfile import dump_yaml, load_run_config
from ecggen.errors import UserError
from ecggen.plainfile import read_json
from ecggen.runid import run_hash

CONFIG_FILE, TRIAL_FILE, RESULT_FILE, JUDGED_FILE = "config.yaml", "trial.json", "result.json", "judged.npz"
TRIALS, FINALISTS = "trials", "finalists"
STATES = RUNNING, COMPLETED, STOPPED, FAILED, REUSED = "running", "completed", "stopped", "failed", "reused"
LATE = "time budget"  # how the reason of a trial begins that was stopped for want of time
WHOLE = (COMPLETED, REUSED)  # trained to the end of the budget: only these are ranked

Row = dict[str, float]


@dataclass
class Trial:
    """One trial, or one repeat of a finalist.

    Attributes:
        number: counts from 1 in the order of suggestion, apart for trials and finalists.
        key: its folder below the search's folder.
        params: what the space says of it, entry -> value.
        hash: of the whole run, as `run_hash` gives it.
        status: running, completed, stopped (before its budget), failed, reused (an equal run was whole before).
        reason: why it stopped or failed, or whose result is reused.
        step, seconds, metrics: of the last report; where the training is whole, of the checkpoint that was kept.
        curve: one row a validation.
        best_step: step of the kept checkpoint.
        full: trained to its end whatever ASHA says: a finalist's repeat, or a runner-up.
        study: its number in the Optuna study.
    """

    number: int
    key: str
    runid: str
    hash: str
    seed: int
    steps: int
    params: dict[str, Any] = field(default_factory=dict)
    status: str = RUNNING
    reason: str = ""
    step: int = 0
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    best_step: int = 0
    full: bool = False
    curve: list[Row] = field(default_factory=list)
    study: int | None = None

    def add_row(self, row: Row) -> bool:
        """One more report; False where that step is known, as when a trial begins again from its last state."""
        if row["step"] <= self.step:
            return False
        self.curve.append(row)
        self.step, self.seconds = int(row["step"]), float(row["seconds"])
        self.metrics = {name: value for name, value in row.items() if name not in ("step", "seconds")}
        self.best_step = self.step
        return True


class Ledger:
    """All trials of one search, in memory and on disk.

    Args:
        folder: the search's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials: list[Trial] = []
        self.finalists: list[Trial] = []
        self._by_hash: dict[str, Trial] = {}
        self._begun: dict[str, RunConfig] = {}  # settings of trials that were made and not asked for yet
        for trial in sorted(_read_all(folder), key=lambda one: (one.key.split("/")[0], one.number)):
            self._know(trial)
        # A folder that is there but could not be read keeps its number: its state and result belong to other settings.
        self._number = self._highest()

    def __iter__(self) -> Iterator[Trial]:
        return iter((*self.trials, *self.finalists))

    def equal(self, digest: str) -> Trial | None:
        """The trial of this search with the same hash, whatever became of it."""
        return self._by_hash.get(digest)

    def forget_unbegun(self) -> None:
        """Remove folders of trials that nobody knows: the search was killed between their settings and their note."""
        for place in (*self.folder.glob(f"{TRIALS}/*/"), *self.folder.glob(f"{FINALISTS}/*/*/")):
            names = {target_of(entry) or entry.name for entry in place.iterdir()}
            if names <= {CONFIG_FILE, TRIAL_FILE} and not (place / TRIAL_FILE).exists():
                shutil.rmtree(place)
        self._number = self._highest()

    def _highest(self) -> int:
        taken = (_number_of(place) for place in self.folder.glob(f"{TRIALS}/*/"))
        return max((*taken, *(trial.number for trial in self.trials)), default=0)

    def begin(self, run: RunConfig, runid: str, params: Mapping[str, Any], study: int | None = None) -> Trial:
        """A new trial, kept on disk before it starts."""
        self._number += 1
        return self._keep(self._number, f"{TRIALS}/{self._number:04d}_{runid}", run, runid, params, study)

    def begin_finalist(self, run: RunConfig, runid: str, params: Mapping[str, Any]) -> Trial:
        """A new repeat of a finalist, kept on disk before it starts."""
        number = max((trial.number for trial in self.finalists), default=0) + 1
        key = f"{FINALISTS}/{runid}/seed{run.train.seed}"
        if (self.folder / key).exists():  # two finalists of one id differ in what no code covers
            key = f"{FINALISTS}/{runid}_{run_hash(run)[:6]}/seed{run.train.seed}"
        return self._keep(number, key, run, runid, params, None, full=True)

    def _keep(
        self,
        number: int,
        key: str,
        run: RunConfig,
        runid: str,
        params: Mapping[str, Any],
        study: int | None,
        full: bool = False,
    ) -> Trial:
        train = run.train
        trial = Trial(number, key, runid, run_hash(run), train.seed, train.steps, dict(params), full=full, study=study)
        place = self.folder / key
        place.mkdir(parents=True, exist_ok=True)
        write_text(place / CONFIG_FILE, dump_yaml(run))
        self.write(trial)
        self._know(trial)
        self._begun[key] = run
        return trial

    def _know(self, trial: Trial) -> None:
        (self.finalists if is_finalist(trial) else self.trials).append(trial)
        self._by_hash[trial.hash] = trial

    def run_of(self, trial: Trial) -> RunConfig:
        """Settings of a trial. Raises UserError where they cannot be read."""
        run = self._begun.pop(trial.key, None)
        return load_run_config(self.folder / trial.key / CONFIG_FILE) if run is None else run

    def write(self, trial: Trial) -> None:
        """Note on disk what is known of a trial."""
        write_json(self.folder / trial.key / TRIAL_FILE, asdict(trial))

    def end(self, trial: Trial, status: str, reason: str = "") -> None:
        """The trial is over. One that is whole takes its figures from the checkpoint that was kept.

        Raises UserError, and changes nothing, where those cannot be read.
        """
        if status in WHOLE:
            absorb_result(trial, self.folder / trial.key)
        trial.status, trial.reason = status, reason
        self.write(trial)

    def unfinished(self) -> list[Trial]:
        """Trials that were under way when the search was left, oldest first."""
        return [trial for trial in self.trials if trial.status == RUNNING]

    def runners_up(self, metric: str, count: int) -> list[Trial]:
        """The best of the trials that ASHA stopped: those that came furthest, then by the metric."""
        stopped = [trial for trial in self.trials if trial.status == STOPPED and trial.curve]
        return sorted(stopped, key=lambda trial: (-trial.step, -_figure(trial, metric)))[: max(0, count)]

    def revive(self, trial: Trial, full: bool = True) -> None:
        """A stopped trial goes on: to its end, or with `full` false as far as ASHA lets it."""
        trial.status, trial.reason, trial.full = RUNNING, "", full
        self.write(trial)

    def late(self) -> list[Trial]:
        """Trials of the search that were stopped because time was up, not because of what they reached."""
        return [trial for trial in self.trials if trial.status == STOPPED and trial.reason.startswith(LATE)]

    def whole(self) -> list[Trial]:
        """Trials that reached the full budget."""
        return [trial for trial in self.trials if trial.status in WHOLE]


def is_finalist(trial: Trial) -> bool:
    """Whether it is a repeat of a finalist, and no trial of the search itself."""
    return trial.key.startswith(f"{FINALISTS}/")


def ranked(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """Best first; those without a figure last. Raises AssertionError where one did not reach its budget."""
    trials = list(trials)
    assert all(trial.status in WHOLE for trial in trials), "ranking: expected trials of the full budget, got others"
    return sorted(trials, key=lambda trial: -_figure(trial, metric))


def _figure(trial: Trial, metric: str) -> float:
    value = trial.metrics.get(metric, math.nan)
    return value if math.isfinite(value) else -math.inf


def absorb_result(trial: Trial, place: Path) -> None:
    """Take a whole training's figures from its result file. Raises UserError where that cannot be read."""
    result = read_result(place)
    if result["hash"] != trial.hash:
        raise UserError(f"{place / RESULT_FILE}: expected the result of {trial.hash[:6]}, got that of another run")
    best = result["best"] or (result["history"][-1] if result["history"] else {})
    trial.curve = result["history"]
    trial.step, trial.seconds = int(result["step"]), float(result["seconds"])
    trial.best_step = int(best.get("step", trial.step))
    trial.metrics = {name: value for name, value in best.items() if name not in ("step", "seconds")}


def read_result(place: Path) -> dict[str, Any]:
    """What a trial wrote when its training was whole. Raises UserError."""
    path = place / RESULT_FILE
    try:
        result: dict[str, Any] = _numbers(read_json(path))
        if not {"hash", "step", "seconds", "best", "history"} <= result.keys():
            raise ValueError("parts are missing")
        if not (_is_row({name: result[name] for name in ("step", "seconds")}) and _is_curve(result["history"])):
            raise ValueError("parts are damaged")
        if not (result["best"] == {} or _is_row(result["best"])):
            raise ValueError("the best row is damaged")
    except (OSError, ValueError, AttributeError, RecursionError) as fault:
        raise UserError(f"{path}: expected the result of a training, got none ({fault}); run the trial again") from None
    return result


def forget_damaged(place: Path) -> None:
    """Remove a result that cannot be read, so that the trial is trained again. For whoever owns the trial."""
    try:
        read_result(place)
    except UserError:
        (place / RESULT_FILE).unlink(missing_ok=True)


def equal_runs(searches: Iterable[Path]) -> dict[str, Path]:
    """Hash -> folder of every whole training of these searches; what is damaged or lacks a model is left out."""
    found: dict[str, Path] = {}
    for folder in searches:
        for trial in _read_all(folder):
            place = folder / trial.key
            if trial.status in WHOLE and (place / RESULT_FILE).is_file() and (place / "model.safetensors").is_file():
                found.setdefault(trial.hash, place)
    return found


def _read_all(folder: Path) -> list[Trial]:
    files = [*folder.glob(f"{TRIALS}/*/{TRIAL_FILE}"), *folder.glob(f"{FINALISTS}/*/*/{TRIAL_FILE}")]
    return [trial for file in sorted(files) if (trial := _read(file, folder)) is not None]


def _read(file: Path, folder: Path) -> Trial | None:
    """A trial from its file, None where that is damaged; one that was whole before it was noted is whole."""
    names = {each.name for each in fields(Trial)}
    try:
        raw = read_json(file)
        measured = {name: _numbers(raw.pop(name)) for name in ("seconds", "metrics", "curve")}
        trial = Trial(**{name: value for name, value in raw.items() if name in names}, **measured)
        trial.key = file.parent.relative_to(folder).as_posix()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if not _is_sound(trial):
        return None
    if trial.status == RUNNING and (file.parent / RESULT_FILE).is_file():
        with suppress(UserError):
            absorb_result(trial, file.parent)
            trial.status = COMPLETED
    return trial


def _is_sound(trial: Trial) -> bool:
    """Whether every value is of its kind, so that a damaged file is found out here and not later."""
    counts = (trial.number, trial.seed, trial.steps, trial.step, trial.best_step, trial.study or 0)
    words = (trial.runid, trial.hash, trial.reason)
    return (
        all(isinstance(value, int) for value in counts)
        and all(isinstance(value, str) for value in words)
        and trial.status in STATES
        and isinstance(trial.params, dict)
        and isinstance(trial.metrics, dict)
        and _is_row({**trial.metrics, "seconds": trial.seconds, "step": trial.step})
        and _is_curve(trial.curve)
    )


def _is_curve(value: Any) -> bool:
    return isinstance(value, list) and all(_is_row(row) for row in value)


def _is_row(value: Any) -> bool:
    """Whether a value is a row of a learning curve: numbers, and a step among them."""
    if not (isinstance(value, dict) and all(isinstance(item, int | float) for item in value.values())):
        return False
    return math.isfinite(value.get("step", math.nan))


def _number_of(place: Path) -> int:
    """The number that a trial's folder begins with, 0 where it is none."""
    digits = place.name.split("_")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return math.nan if value is None else value
