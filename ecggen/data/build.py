"""From a source to a store: read, preprocess, find R peaks, in parallel and in bounded memory.

Workers write what they finish as small part files, the parent joins these in the order of the source; so neither a
day-long record nor a million short ones ever lie in memory, and the result does not depend on the number of workers.
"""

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ecggen.config import DataConfig, SignalConfig
from ecggen.data.preprocess import LeftOut, Window, preprocess
from ecggen.data.progress import progress
from ecggen.data.rpeaks import detect_r_peaks
from ecggen.data.sources.contract import Entry, Source, UnreadableError
from ecggen.data.store import STORED, Part, Remark, StoreWriter, part_of
from ecggen.errors import UserError
from ecggen.worker import start_worker

PART_WINDOWS = 256  # windows a part file holds at most, about 7 MB
CHUNK_RECORDS = 64  # records a worker is given at a time
PARALLEL_FROM = 1500  # records; below, starting workers takes longer than the work


@dataclass(frozen=True)
class Job:
    """What a worker needs to know; the same for all its chunks."""

    source: Source
    data: DataConfig
    signal: SignalConfig
    folder: Path


def build(source: Source, data: DataConfig, signal: SignalConfig, folder: Path) -> None:
    """Preprocesses the records of a source into the empty `folder`.

    Raises UserError where the source has no records or repeats an id, where no record is usable, where a worker died.
    """
    entries = source.entries()
    _check_entries(entries, data)
    classes = {label for entry in entries for label in entry.labels or ()}
    several = any(len(entry.labels or ()) > 1 for entry in entries)  # asked of all, so that `limit` changes nothing
    entries = entries[: data.limit]
    workers = _workers(data, len(entries))
    chunks = list(_chunks(entries, workers))
    writer = StoreWriter(folder)
    try:
        with progress(f"preprocessing {data.source}", len(entries)) as advance:
            for chunk, parts in zip(chunks, _results(Job(source, data, signal, folder), chunks, workers), strict=True):
                for part in parts:
                    writer.add(_load_part(part))
                advance(len(chunk))
        if not writer.windows:
            raise UserError(_nothing_usable(data, writer, len(entries)))
        labels = {"classes": sorted(classes | writer.labels), "multi_label": several or writer.several_labels}
        writer.close({"records": len(entries), **labels})
    finally:
        writer.abandon()


def _check_entries(entries: list[Entry], data: DataConfig) -> None:
    where = data.root or "the simulator"
    if not entries:
        raise UserError(f"{where}: expected {data.source} records, got none; set --data-root to their folder")
    name, count = Counter(entry.id for entry in entries).most_common(1)[0]
    if count > 1:
        raise UserError(f"{where}: expected every id once, got {name!r} {count} times; make the ids unique")


def _nothing_usable(data: DataConfig, writer: StoreWriter, records: int) -> str:
    what, count = max(
        ((what, count) for what, count in writer.counts.items() if what.startswith("left out")),
        key=lambda pair: pair[1],
        default=("no window came of any", 0),
    )
    reason = f"{what.removeprefix('left out: ')} ({count} times)"
    where = data.root or "the simulator"
    return (
        f"{where}: expected usable {data.source} records of {data.seconds:g} s, got none of {records}, most often "
        f"because: {reason}; correct the files or the data settings"
    )


def _workers(data: DataConfig, records: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if data.workers:
        return data.workers
    return cores if records >= PARALLEL_FROM else 1


def _chunks(entries: list[Entry], workers: int) -> Iterator[list[Entry]]:
    size = max(1, min(CHUNK_RECORDS, len(entries) // (4 * workers)))
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _results(job: Job, chunks: list[list[Entry]], workers: int) -> Iterator[list[Part]]:
    """Parts of each chunk, in the order of the chunks."""
    tasks = [(job, number, chunk) for number, chunk in enumerate(chunks)]
    if workers == 1:
        yield from map(process_chunk, tasks)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process that has run torch threads may hang
    try:
        with ProcessPoolExecutor(workers, context, initializer=start_worker) as pool:
            yield from pool.map(process_chunk, tasks)
    except BrokenProcessPool as error:
        raise UserError(
            "preprocessing: expected every worker process to finish, got one that died (out of memory, or a script "
            "without `if __name__ == '__main__':`); guard the script, or set data.workers=1"
        ) from error


def process_chunk(task: tuple[Job, int, list[Entry]]) -> list[Part]:
    """Reads and preprocesses some records; arrays of the parts that it returns lie in files. Runs in a worker."""
    job, number, chunk = task
    parts: list[Part] = []
    windows: list[Window] = []
    remarks: list[Remark] = []

    def flush() -> None:
        name = f"part-{number:06d}-{len(parts):06d}.npz"
        parts.append(_save_part(windows, remarks, job, name))
        windows.clear()
        remarks.clear()

    for entry in chunk:
        absent = ""
        for result in _process_record(entry, job):
            if isinstance(result, LeftOut):
                remarks.append(Remark(result.id, "left out", result.reason))
                continue
            windows.append(result)
            remarks.extend(Remark(result.id, "repaired", repair) for repair in result.repairs)
            if result.absent and not absent:  # a property of the record, said once and not for each window
                absent = result.absent
                remarks.append(Remark(entry.id, "repaired", f"absent lead masked: {absent}"))
            if len(windows) >= PART_WINDOWS:
                flush()
    flush()
    return parts


def _process_record(entry: Entry, job: Job) -> Iterator[Window | LeftOut]:
    try:
        for recording in job.source.read(entry):
            for result in preprocess(recording, job.signal, job.data.seconds, job.data.max_amplitude):
                yield result
                if isinstance(result, LeftOut) and result.id == entry.id:
                    return  # the record itself, not one of its windows: further blocks would say the same
    except UnreadableError as error:
        yield LeftOut(entry.id, str(error))


def _save_part(windows: list[Window], remarks: list[Remark], job: Job, name: str) -> Part:
    if not windows:
        return Part(remarks=list(remarks))
    signals = np.stack([window.ecg for window in windows]).astype(STORED)
    mask = torch.from_numpy(np.stack([window.lead_mask for window in windows]))
    # Detected on what is stored, so that whoever detects again on the store finds the same.
    peaks = detect_r_peaks(torch.from_numpy(signals).float(), mask, job.signal.fs)
    for window, found in zip(windows, peaks, strict=True):
        if len(found) < 2:
            remarks.append(Remark(window.id, "repaired", f"no beats: {len(found)} R peaks found, cut evenly"))
    part = part_of(windows, [found.numpy() for found in peaks], signals, remarks)
    np.savez(job.folder / name, **part.arrays)  # type: ignore[arg-type]
    part.arrays, part.file = {}, job.folder / name
    return part


def _load_part(part: Part) -> Part:
    """Takes the arrays of a part back from its file, which is removed."""
    if part.file is not None:
        with np.load(part.file, allow_pickle=False) as arrays:
            part.arrays = dict(arrays)
        part.file.unlink()
    return part
