"""One trial, in a worker of Ray's: settings in, `ecggen.train.train`, reports out.

A worker is used for many trials, so everything is built anew for each: what a training sees is a function of its
settings, its seed and the step alone. The trial's folder is its memory. Whoever starts a trial again, Ray after a lost
node or a search that is carried on, finds in it the state to go on from; what was reported before is reported again.

The last report comes after the result is on disk. So a trial that the search takes for complete is complete.
"""

import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecggen.atomic import whole_file, write_json, write_text
from ecggen.checkpoint import MODEL_FILE, TRAINING_FILE, load_training, save_model
from ecggen.config import RunConfig
from ecggen.configfile import from_dict
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import OutOfReach, UserError
from ecggen.eval import VALIDATION, validation_sums
from ecggen.plainfile import read_json, read_plain
from ecggen.runid import run_hash
from ecggen.train import RunResult, train
from search.shareddata import SharedData, take
from search.storage import Storage
from search.trialfile import JUDGED_FILE, RESULT_FILE, read_result

FAILED_FILE, HASH_FILE = "failed.json", "run_hash"
ROW = ("train_loss", *VALIDATION)  # every report has all of these
# complete: the last report; failed: the reason of a fault of its own; unkept: why its state could not be kept.
NEWS = {"complete": False, "failed": "", "unkept": ""}
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Setup:
    """What all trials of a search share; it reaches each worker once.

    Attributes:
        storage: where trials keep their state.
        data: the preprocessed records.
        time_limit: seconds that one attempt may take; None = no limit.
    """

    storage: Storage
    data: SharedData
    time_limit: float | None = None


def run_trial(config: dict[str, Any], setup: Setup) -> None:
    """A function trainable: `config` has `key`, `run` (JSON of the settings), `judge` and `full`."""
    from ray import tune

    key, tell, place = config["key"], tune.report, None
    try:
        run = from_dict(json.loads(config["run"]))
        place = setup.storage.workplace(key)
        clear_of_others(place, run)
        refuse_failed(place)
        with time_limit(setup, key, place):
            take(setup.data)
            last = setup.storage.outlasting(
                lambda: whole(run, place, lambda: setup.storage.push(key), bool(config["judge"]), tell)
            )
        setup.storage.remove_scratch(key)
        tell({**last, "complete": True})
    except OutOfReach as fault:  # no fault of the trial's: it goes on when the place is there again
        tell({**message({"step": 0, "seconds": 0.0}), "unkept": reason_of(fault)})
    except Exception as fault:  # one trial's fault, whatever it is, ends that trial alone
        reason = reason_of(fault)
        with suppress(OSError, UserError):
            keep_reason(reason, traceback.format_exc(), setup, key, place)
        tell({**message({"step": 0, "seconds": 0.0}), "failed": reason})


def keep_reason(reason: str, trace: str, setup: Setup, key: str, place: Path | None) -> None:
    """Leave the reason of a failure in the trial's folder, if it has one."""
    if place is not None:
        write_json(place / FAILED_FILE, {"reason": reason, "trace": trace})
        setup.storage.push(key)


def whole(run: RunConfig, place: Path, push: Callable[[], None], judge: bool, tell: Tell) -> dict[str, Any]:
    """Train from wherever the trial's folder stands, keep the result, and return the last row as a report."""
    if (place / RESULT_FILE).is_file():
        history = read_result(place)["history"]
        say_again(history, run, tell)
        return message(history[-1])
    say_again(begun(place), run, tell)

    def report(step: int, row: dict[str, float]) -> None:
        push()
        if step < run.train.steps:
            tell(message(row))

    result = train(run, report, place, resume=True, quiet=True)
    keep(run, result, place, judge)
    push()
    return message(result.history[-1])


def message(row: dict[str, float], again: bool = False) -> dict[str, Any]:
    """A row of the learning curve as a report: the same names every time."""
    names = ("step", "seconds", *ROW)
    return {**{name: row.get(name, float("nan")) for name in names}, **NEWS, "again": again}


def say_again(history: list[dict[str, float]], run: RunConfig, tell: Tell) -> None:
    """Report what an earlier attempt learned; its last row, where it was whole, comes when the trial is complete.

    The attempt went on after every row but the last one, so that only this one is still to be decided.
    """
    for row in history:
        if row["step"] < run.train.steps:
            tell(message(row, again=row is not history[-1]))


def begun(workplace: Path) -> list[dict[str, float]]:
    """The learning curve of an interrupted attempt; a damaged state is removed, so that the trial begins anew."""
    try:
        state = load_training(workplace)
    except UserError:
        (workplace / TRAINING_FILE).unlink(missing_ok=True)
        return []
    return state["history"] if state is not None else []


def keep(run: RunConfig, result: RunResult, workplace: Path, judge: bool) -> None:
    """Model, sums on the whole validation split if asked for, and the result, which says that all is there."""
    model = result.model.cpu()
    save_model(workplace / MODEL_FILE, model)
    if judge:
        judge_model(run, model, workplace / JUDGED_FILE)
    seconds = result.history[-1]["seconds"] if result.history else 0.0
    content = {"hash": run_hash(run), "step": result.step, "seconds": seconds, "best": result.best}
    write_json(workplace / RESULT_FILE, {**content, "history": result.history})
    (workplace / TRAINING_FILE).unlink(missing_ok=True)


def judge_model(run: RunConfig, model: Any, path: Path) -> None:
    """The sums of every record of the validation split, from which finalists are compared."""
    sums = validation_sums(model, ECGDataset(run, "val"))
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **sums)  # type: ignore[arg-type]


def reason_of(fault: BaseException) -> str:
    """A fault in one line."""
    lines = str(fault).strip().splitlines() or [""]
    return lines[0][:300] if isinstance(fault, UserError) else f"{type(fault).__name__}: {lines[0][:300]}"


def clear_of_others(place: Path, run: RunConfig) -> None:
    """Remove what another run left: a storage may hold a search of the same name, begun in another results folder."""
    mark, known = place / HASH_FILE, ""
    with suppress(OSError, UnicodeDecodeError):  # none there, or a damaged one
        known = read_plain(mark).strip()
    if known != run_hash(run):
        result = place / RESULT_FILE
        with suppress(UserError):
            if read_result(place)["hash"] == run_hash(run):  # taken over from an equal run
                return
        for name in (TRAINING_FILE, MODEL_FILE, JUDGED_FILE, FAILED_FILE):
            (place / name).unlink(missing_ok=True)
        result.unlink(missing_ok=True)
        write_text(mark, run_hash(run) + "\n")


def refuse_failed(workplace: Path) -> None:
    """A trial that failed for a reason of its own fails at once when Ray tries it again. Raises UserError."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # none there, or a damaged one: it is tried again
        raise UserError(str(read_json(workplace / FAILED_FILE)["reason"]))


@contextmanager
def time_limit(setup: Setup, key: str, workplace: Path) -> Iterator[None]:
    """Ends the process once the limit has passed. Ray has no clock for a single trial, and a hung one hears nothing."""
    if setup.time_limit is None:
        yield
        return
    over = threading.Event()
    threading.Thread(target=_end_process, args=(setup, key, workplace, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _end_process(setup: Setup, key: str, workplace: Path, over: threading.Event) -> None:
    assert setup.time_limit is not None
    began = time.monotonic()
    if over.wait(setup.time_limit):
        return
    reason = f"time limit of {setup.time_limit:g} s passed, stopped after {time.monotonic() - began:.0f} s"
    try:
        keep_reason(reason, "", setup, key, workplace)
    finally:
        os._exit(1)
