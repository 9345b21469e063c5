"""One trial: what is known of it, and the files of its folder that say so, believed only after a look.

config.yaml         the whole run, before it starts
trial.json          what the search knows of it; written when it starts and when it ends
training.pt         state of the unfinished training              written by the trial
result.json         written last by the trial: its training is whole
model.safetensors   weights of the best validation
judged.npz          sums over the whole validation split (finalists)
"""

import math
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ecggen.errors import UserError
from ecggen.plainfile import read_json

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


def is_finalist(trial: Trial) -> bool:
    """Whether it is a repeat of a finalist, and no trial of the search itself."""
    return trial.key.startswith(f"{FINALISTS}/")


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


def read_all(folder: Path) -> list[Trial]:
    """Every trial and repeat of a search's folder; what is damaged is left out."""
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


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return math.nan if value is None else value
