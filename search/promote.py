"""Trained trials become result folders, as if `main.py` had trained them.

A trial has its weights and its learning curve; what a result folder has beyond that (head, evaluation card, figure) is
made here. That takes a while for each, so several are made side by side, in processes of their own.
"""

import math
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from functools import partial
from pathlib import Path
from typing import Any

from ecggen.checkpoint import MODEL_FILE, load_model
from ecggen.config import RunConfig
from ecggen.configfile import load_run_config
from ecggen.errors import UserError
from ecggen.runid import run_hash
from ecggen.runs import keep_made, keep_trained, kept_folder
from ecggen.train import RunResult
from search.keepers import Keepers
from search.trialfile import CONFIG_FILE, FINALISTS, RESULT_FILE, TRIALS, read_result

AHEAD = "ahead"  # in a trial's folder: its result folder, made before the search is over
Say = Callable[[str], None]
Job = tuple[Path, str]  # folder of the trial, run id
Promoted = tuple[Path | None, list[str]]  # the result folder, and the lines that its making said


def promote(
    trial: Path,
    runid: str,
    results: Path,
    *,
    say: Say = print,
    threads: int | None = None,
) -> Path:
    """Make the result folder of one trained trial; an equal finished run is reused.

    Args:
        trial: its folder, with config.yaml, model.safetensors and result.json.
        runid: `m#s#k#` of its settings.
        results: folder of the result folders.
        say: gets lines for the user.
        threads: torch threads to judge with; None is as many as the run says.

    Returns:
        the result folder. Its `run_info.json` names the `search` and the `trial` in it.

    Raises:
        UserError: a file is missing, damaged or of another run, the trial was stopped before its budget, or what
            `keep_trained` raises.
    """
    run, result, seconds = read_trial(trial)
    made = kept_folder(trial / AHEAD, runid, run.train.steps, run_hash(run))
    if made is not None and made.resolve().is_relative_to(trial.resolve()):  # no link to what is another's
        return keep_made(made, run, runid, results, say)
    return keep_trained(run, runid, results, result, seconds, say=say, extra_info=origin(trial), threads=threads)


def _make_ahead(trial: Path, runid: str) -> None:
    """Make the result folder in the trial's, from where `promote` takes it; what fails is tried again there."""
    run, result, seconds = read_trial(trial)
    there = trial / AHEAD
    keep_trained(run, runid, there, result, seconds, say=lambda _: None, extra_info=origin(trial), threads=1)


def read_trial(trial: Path) -> tuple[RunConfig, RunResult, float]:
    """Settings of a trial, what its training gave back, and its seconds. Raises UserError as `promote` does."""
    run = load_run_config(trial / CONFIG_FILE)
    path, kept = trial / RESULT_FILE, read_result(trial)
    try:
        history = [_row(row) for row in kept["history"]]
        digest, best, step, seconds = str(kept["hash"]), _row(kept["best"]), int(kept["step"]), float(kept["seconds"])
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise UserError(
            f"{path}: expected the result of a training, got a damaged one ({fault!r}); run the trial again"
        ) from None
    if digest != run_hash(run):
        raise UserError(
            f"{path}: expected hash {run_hash(run)[:6]}, that of {CONFIG_FILE}, got {digest[:6]}; "
            "one of them was altered or the data folder was moved, run the trial again"
        )
    if step != run.train.steps:
        raise UserError(
            f"{trial}: expected a trial of {run.train.steps} steps, got one that was stopped at {step}; "
            "train it to the end first"
        )
    model = load_model(trial / MODEL_FILE)
    if model.cfg != run.model:
        raise UserError(f"{trial / MODEL_FILE}: expected the model of {CONFIG_FILE}, got another; run the trial again")
    return run, RunResult(model, history, best, step), seconds


def _row(row: dict[str, Any]) -> dict[str, float]:
    """A row of the learning curve; null is how JSON has NaN."""
    return {name: math.nan if value is None else float(value) for name, value in row.items()}


def origin(trial: Path) -> dict[str, str]:
    """The name of the search that a trial belongs to, and the trial's folder relative to that of the search."""
    inside = next((above.parent for above in trial.parents if above.name in (TRIALS, FINALISTS)), trial.parent)
    return {"search": inside.resolve().name, "trial": trial.relative_to(inside).as_posix()}


def promote_all(jobs: Sequence[Job], results: Path, keepers: Keepers, say: Say = print) -> list[Path | None]:
    """Promote several trials; the fault of one is said and does not stop the others.

    The plain folder name goes to the first job of a run id: others of that id wait until it is done.

    Args:
        jobs: trial folder and run id each, the best first.
        results: folder of the result folders.
        keepers: processes to do it in; a single job is done in this process, with as many threads. What they began
            ahead is waited for.
        say: gets lines for the user.

    Returns:
        the result folder of each job, None where it could not be made.
    """
    pool = keepers.pool if len(jobs) > 1 or keepers.begun else None
    if pool is None:  # all cores for one after the other
        return [_told(_promoted(*job, results, threads=keepers.workers), say) for job in jobs]
    kept: dict[int, Path | None] = {}
    for wave in _waves(jobs):
        begun = {at: _begun(pool, keepers, jobs[at], results) for at in wave}
        kept |= {at: _told(_outcome(outcome, jobs[at][0]), say) for at, outcome in begun.items()}
    return [kept[at] for at in range(len(jobs))]


def promote_ahead(jobs: Sequence[Job], keepers: Keepers, idle: int) -> None:
    """Begin to make the folders of trials that will be promoted whatever the trainings show that are under way.

    They wait in the trials' folders: which of a run id is the best and gets the plain name is not known yet, and a
    search that is left has no results.

    Args:
        jobs, keepers: those of `promote_all`. A single job is left to it, which does it in this process.
        idle: workers that train nothing; so many of the processes may work.
    """
    left = [job for job in jobs if job not in keepers.begun] if len(jobs) > 1 else []
    for job in left[: max(0, idle - keepers.busy)]:
        keepers.begin(job, partial(_make_ahead, *job))


def forget_ahead(trial: Path) -> None:
    """Remove what was made ahead and is not wanted any more."""
    shutil.rmtree(trial / AHEAD, ignore_errors=True)


def _waves(jobs: Sequence[Job]) -> list[list[int]]:
    """Places of the jobs: first one of each run id, then the others."""
    ids = [runid for _, runid in jobs]
    first = [at for at, runid in enumerate(ids) if ids.index(runid) == at]
    return [first, [at for at in range(len(jobs)) if at not in first]]


def _promoted(trial: Path, runid: str, results: Path, threads: int | None = None) -> Promoted:
    lines: list[str] = []
    try:
        return promote(trial, runid, results, say=lines.append, threads=threads), lines
    except Exception as fault:  # whatever it is, the other trials are promoted
        return None, [*lines, _reason(trial, fault)]


def _begun(pool: Executor, keepers: Keepers, job: Job, results: Path) -> Callable[[], Promoted]:
    """What gives the outcome of a job: a process of the pool, or this one.

    This one copies what was made ahead, and steps in where that came to nothing or a process was killed before.
    """
    work = partial(_promoted, *job, results, threads=1)
    if job in keepers.begun:
        return partial(_after, keepers.begun[job], work)
    try:
        return pool.submit(work).result
    except BrokenExecutor:
        return work


def _after(ahead: "Future[None]", work: Callable[[], Promoted]) -> Promoted:
    wait([ahead])
    return work()


def _outcome(outcome: Callable[[], Promoted], trial: Path) -> Promoted:
    try:
        return outcome()
    except Exception as fault:  # the process itself ended: out of memory, or killed
        return None, [_reason(trial, fault)]


def _reason(trial: Path, fault: Exception) -> str:
    said = (str(fault).splitlines() or [""])[0]
    return f"{trial.name}: not promoted: {said if isinstance(fault, UserError) else f'{type(fault).__name__}: {said}'}"


def _told(outcome: Promoted, say: Say) -> Path | None:
    folder, lines = outcome
    for line in lines:
        say(line)
    return folder
