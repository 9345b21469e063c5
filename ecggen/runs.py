"""One run from settings to a finished result folder: train, fit the head, judge, draw, mark as done.

results/<runid>_step<N>/   config.yaml  model.safetensors  metrics.json  history.csv  rejected.csv  run_info.json
                           record.png, one record drawn; record.npz, all there is to see of it (`Portrait`)  DONE
"""

import csv
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ecggen import __version__
from ecggen.atomic import whole_file, write_json, write_text
from ecggen.card import METRICS_FILE
from ecggen.checkpoint import MODEL_FILE, TRAINING_FILE, load_model, load_training, save_model
from ecggen.config import RunConfig
from ecggen.configfile import dump_yaml, load_run_config
from ecggen.data.pipeline import ECGDataset
from ecggen.data.store import Store
from ecggen.errors import UserError
from ecggen.eval import judging_split
from ecggen.events import EventFile
from ecggen.judging import evaluate
from ecggen.models.ecggen import ECGGenModel
from ecggen.observe import keep_portrait
from ecggen.plainfile import read_plain
from ecggen.probe import has_two_kinds, multi_hot
from ecggen.runid import run_hash
from ecggen.stepfolder import DONE, Claim, claim_folder, require_finished
from ecggen.train import Report, RunResult, resolve_device, resolve_threads, train

CONFIG_FILE, HISTORY_FILE = "config.yaml", "history.csv"
REJECTED_FILE, INFO_FILE = "rejected.csv", "run_info.json"
Say = Callable[[str], None]


def run_and_keep(
    run: RunConfig,
    runid: str,
    results: Path,
    *,
    resume: bool = False,
    force: bool = False,
    quiet: bool = False,
    say: Say = print,
    report: Report | None = None,
) -> Path:
    """Train a run and leave its finished folder, or reuse the finished folder of an equal run.

    Args:
        run: all settings.
        runid: `m#s#k#` of these settings.
        results: folder of the result folders.
        resume: carry on an unfinished equal run.
        force: begin anew in the folder of an equal run.
        quiet: no progress bar.
        say: gets lines for the user.
        report: as for `train`.

    Returns:
        the folder.

    Raises:
        UserError: another process writes the folder, an unfinished equal run is there and neither `resume` nor `force`
            was asked for, or what `train` raises.
    """
    labelled = check_data(run)
    with claim_folder(results, runid, run.train.steps, run_hash(run), force) as claim:
        if claim.state == "reuse":
            (claim.folder / TRAINING_FILE).unlink(missing_ok=True)  # of a process that was killed once it was finished
            say(f"{claim.note}; --force trains it anew")
            return claim.folder
        if claim.note:
            say(claim.note)
        if claim.state == "resume" and not resume:
            raise UserError(
                f"{claim.folder}: expected a free or finished folder, got an unfinished run of these settings; "
                "carry it on with --resume or begin anew with --force"
            )
        _say_headless(labelled, run, say)
        run = _settings_on_disk(run, claim.folder, claim.state == "resume")
        started = time.time()
        with EventFile(claim.folder, _known_rows(claim.folder) if resume else ()) as events:
            result = train(run, _watched(report, events), claim.folder, resume, quiet)
        _keep(claim, run, runid, result, labelled, started)
        return claim.folder


def _known_rows(folder: Path) -> list[dict[str, float]]:
    """The learning curve of an unfinished training as far as it is known."""
    state = load_training(folder)
    return [] if state is None else state["history"]


def _watched(report: Report | None, events: EventFile) -> Report:
    """The report that also tells the event file."""

    def told(step: int, row: dict[str, float]) -> bool:
        events.add(row)
        return report is not None and bool(report(step, row))

    return told


def keep_trained(
    run: RunConfig,
    runid: str,
    results: Path,
    result: RunResult,
    seconds: float,
    *,
    force: bool = False,
    say: Say = print,
    extra_info: dict[str, Any] | None = None,
    threads: int | None = None,
) -> Path:
    """Leave the finished folder of a run that was trained elsewhere, as if `run_and_keep` had trained it.

    Keeping is idempotent: an unfinished folder of an equal run, that of a promotion that was killed, is written over,
    and a finished one is reused, whether or not the recordings are still there.

    Args:
        run: all settings that `result` was trained with.
        runid: `m#s#k#` of these settings.
        results: folder of the result folders.
        result: what `train` gave back; its model gets its head here.
        seconds: what the training took.
        force: replace the finished folder of an equal run, which is reused otherwise.
        say: gets lines for the user.
        extra_info: further entries of `run_info.json`, such as where the run comes from.
        threads: torch threads to judge with, for several processes side by side; None is as many as the run says.

    Returns:
        the folder.

    Raises:
        UserError: another process writes the folder, or the run's data are gone.
    """
    there = None if force else kept_folder(results, runid, run.train.steps, run_hash(run))
    if there is not None:
        say(f"{there.name} is finished with the same settings and is reused")
        return there
    labelled = check_data(run)
    device = resolve_device(run.train.device).type if run.train.device == "auto" else run.train.device
    run = replace(run, train=replace(run.train, threads=resolve_threads(run.train.threads), device=device))
    with claim_folder(results, runid, run.train.steps, run_hash(run), force) as claim:
        _say_claim(claim, say)
        if claim.state == "reuse":
            return claim.folder
        _say_headless(labelled, run, say)
        write_text(claim.folder / CONFIG_FILE, dump_yaml(run))
        EventFile(claim.folder, result.history).close()
        _keep(claim, run, runid, result, labelled, time.time() - seconds, extra_info, threads)
        return claim.folder


def keep_made(made: Path, run: RunConfig, runid: str, results: Path, say: Say = print) -> Path:
    """Copy the finished folder of a run, which `keep_trained` made elsewhere, to its place among the results.

    Args:
        made: the folder.
        run, runid, results, say: as for `keep_trained`, whose errors are raised and whose folder is returned.
    """
    with claim_folder(results, runid, run.train.steps, run_hash(run)) as claim:
        _say_claim(claim, say)
        if claim.state != "reuse":
            _say_headless(load_model(made / MODEL_FILE).head is not None, run, say)
            claim.fill(made)
            (claim.folder / TRAINING_FILE).unlink(missing_ok=True)
        return claim.folder


def _say_claim(claim: Claim, say: Say) -> None:
    """What is done with a folder that is not simply new."""
    if claim.state == "resume":
        say(f"{claim.folder.name} is unfinished and is written over")
    elif claim.note:
        say(claim.note)


def kept_folder(results: Path, runid: str, steps: int, digest: str) -> Path | None:
    """The finished folder of the run with this hash, None where there is none."""
    plain = f"{runid}_step{steps}"
    for folder in (results / plain, results / f"{plain}_{digest[:6]}"):
        with suppress(OSError, UnicodeDecodeError):
            if read_plain(folder / DONE).strip() == digest:
                return folder
    return None


def _keep(
    claim: Claim,
    run: RunConfig,
    runid: str,
    result: RunResult,
    labelled: bool,
    started: float,
    extra_info: dict[str, Any] | None = None,
    threads: int | None = None,
) -> None:
    """What follows a training: fit the head, judge, save, draw, and mark the claimed folder as done."""
    judged = run if threads is None else replace(run, train=replace(run.train, threads=threads))
    model = result.model.cpu()  # judged where every figure can be made again
    card = evaluate(model, judged, runid, own_head=labelled)
    save_model(claim.folder / MODEL_FILE, model)
    _write_rows(claim.folder / HISTORY_FILE, result.history)
    write_json(claim.folder / METRICS_FILE, card)
    keep_portrait(model, judging_split(run)[1], claim.folder, (card["source"] or {}).get("map"))
    _write_rejected(claim.folder / REJECTED_FILE, ECGDataset(run, "train").store)
    info = _run_info(run, runid, time.time() - started)
    info |= {"steps": result.step, "best": result.best, **(extra_info or {})}
    write_json(claim.folder / INFO_FILE, info)
    claim.finish()
    (claim.folder / TRAINING_FILE).unlink(missing_ok=True)  # not before: a kill in between would cost the training


def _say_headless(labelled: bool, run: RunConfig, say: Say) -> None:
    if not labelled and run.train.head != "none":
        say("no head: the training records have no labels of two kinds")


def check_data(run: RunConfig) -> bool:
    """Whether a head can be fitted; all that can fail for want of records fails here, before a step is trained.

    Raises UserError where the source, the training split or the judged split has nothing to offer.
    """
    train_set = ECGDataset(run, "train")
    if len(train_set) == 0:
        raise UserError(
            f"split train: expected records, got none of {len(train_set.store)}; add records or set data.train_folds"
        )
    judging_split(run)
    if run.train.head == "none" or train_set.labels is None:
        return False
    hot = multi_hot(train_set.labels, len(train_set.classes))
    return has_two_kinds(hot[~hot.isnan().any(1)].numpy())


def _settings_on_disk(run: RunConfig, folder: Path, resumed: bool) -> RunConfig:
    """Settings with the threads and device that are really used; a resumed run keeps those it began with."""
    path = folder / CONFIG_FILE
    threads, device = resolve_threads(run.train.threads), resolve_device(run.train.device).type
    if resumed and path.is_file():
        begun = load_run_config(path).train
        threads, device = begun.threads, begun.device
    run = replace(run, train=replace(run.train, threads=threads, device=device))
    write_text(path, dump_yaml(run))
    return run


def load_run(folder: Path) -> tuple[ECGGenModel, RunConfig]:
    """Model and settings of a finished folder. Raises UserError."""
    require_finished(folder)
    return load_model(folder / MODEL_FILE), load_run_config(folder / CONFIG_FILE)


def _write_rows(path: Path, rows: list[dict[str, float]]) -> None:
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else ["step"])
        writer.writeheader()
        writer.writerows(rows)


def _write_rejected(path: Path, store: Store) -> None:
    """What was left out and what was repaired, each with its reason."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("id", "action", "reason"))
        writer.writerows((remark.id, remark.action, remark.reason) for remark in store.remarks)


def _run_info(run: RunConfig, runid: str, seconds: float) -> dict[str, Any]:
    return {
        "runid": runid,
        "hash": run_hash(run),
        "ecggen": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "seconds": round(seconds, 1),
        "threads": run.train.threads,
        "device": run.train.device,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
