"""The folder in which preprocessed records lie: arrays that can be memory-mapped, and tables that can be read by eye.

| file | content |
|---|---|
| signals.npy, lead_mask.npy | [n, 12, T] mV in half precision, [n, 12] bool |
| source.npy, frank.npy | [n, 3, T] mV, NaN for records without; only where there are any |
| r_peaks.npy, r_peaks_counts.npy | all R peaks behind each other, [n] how many each record has |
| true_r_peaks, drift, ectopic | likewise, where a simulator knows them |
| records.csv | id, record, patient, fold, label |
| rejected.csv | id, action (left out or repaired), reason |
| info.json | counts, classes, names of the arrays; written last |
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import numpy as np

from ecggen.errors import UserError
from ecggen.npy import map_array

if TYPE_CHECKING:
    from ecggen.data.preprocess import Window

# Half precision keeps 11 bits: an error below 0.05 % of a sample, 0.5 uV on an R wave of 1 mV, where recorders step by
# 1 to 5 uV. It halves disk and reading; what is computed from it is computed in single precision.
STORED = np.dtype(np.float16)
RAGGED_TYPES = {"r_peaks": np.int64, "true_r_peaks": np.int64, "drift": np.float32, "ectopic": np.bool_}
VECTORS = ("source", "frank")


@dataclass(frozen=True)
class Row:
    """One line of `records.csv`: what a window is, without its signal."""

    id: str
    record: str
    patient: str | None
    fold: int | None
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class Remark:
    """One line of `rejected.csv`. action: `left out` or `repaired`."""

    id: str
    action: str
    reason: str


@dataclass
class Part:
    """What is added to a store at once: arrays of n windows, in memory or in a file, and their lines in the tables."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    file: Path | None = None


class GrowingArray:
    """A .npy file that grows along its first axis: numpy leaves room in the header for the final length."""

    def __init__(self, path: Path, dtype: np.dtype, inner: tuple[int, ...]) -> None:
        self.file: BinaryIO = path.open("wb")
        self.dtype, self.inner, self.rows = dtype, inner, 0
        self._write_header()

    def _write_header(self) -> None:
        descr = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self.rows, *self.inner)}
        np.lib.format.write_array_header_1_0(self.file, header)

    def append(self, values: np.ndarray) -> None:
        """Adds rows [m, *inner]."""
        assert values.shape[1:] == self.inner, f"append: expected rows of {self.inner}, got {values.shape[1:]}"
        self.file.write(np.ascontiguousarray(values, self.dtype).data)
        self.rows += len(values)

    def close(self) -> None:
        """Writes the final length into the header."""
        end = self.file.tell()
        self.file.seek(0)
        self._write_header()
        first, now = end - self.rows * int(np.prod(self.inner)) * self.dtype.itemsize, self.file.tell()
        assert now == first, f"npy header: expected {first} bytes as at first, got {now}"
        self.file.close()


class StoreWriter:
    """Appends parts to a store and counts what they hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrays: dict[str, GrowingArray] = {}
        self.labels: set[str] = set()
        self.windows = self.unlabelled = self.few_beats = 0
        self.several_labels = False  # whether any record has more than one
        self.counts: Counter[str] = Counter()
        self._files: list[TextIO] = []
        self._records = self._table("records", "id", "record", "patient", "fold", "label")
        self._rejected = self._table("rejected", "id", "action", "reason")

    def _table(self, name: str, *columns: str) -> Any:  # the type of a csv writer has no public name
        file = (self.folder / f"{name}.csv").open("w", newline="", encoding="utf-8")
        self._files.append(file)
        table = csv.writer(file)
        table.writerow(columns)
        return table

    def add(self, part: Part) -> None:
        """Adds the windows and remarks of a part."""
        for remark in part.remarks:
            self._rejected.writerow((remark.id, remark.action, remark.reason))
            self.counts[f"{remark.action}: {remark.reason.split(':')[0]}"] += 1
        for row in part.rows:
            labels = row.labels or ()
            self._records.writerow((row.id, row.record, row.patient, row.fold, ";".join(labels)))
            self.labels.update(labels)
            self.several_labels |= len(labels) > 1
            self.unlabelled += not labels
        if part.rows:
            self.few_beats += int((part.arrays["r_peaks_counts"] < 2).sum())
            self._append(part.arrays, len(part.rows))

    def _append(self, arrays: dict[str, np.ndarray], count: int) -> None:
        """An array that some records have and others lack is filled up: vectors with NaN, ragged ones with nothing."""
        for name in arrays.keys() - self.arrays.keys():
            inner = arrays[name].shape[1:]
            self.arrays[name] = GrowingArray(self.folder / f"{name}.npy", arrays[name].dtype, inner)
            self._fill(name, self.windows)
        for name, array in self.arrays.items():
            if name in arrays:
                array.append(arrays[name])
            else:
                self._fill(name, count)
        self.windows += count

    def _fill(self, name: str, count: int) -> None:
        array = self.arrays[name]
        if name in VECTORS:
            for _ in range(count):
                array.append(np.full((1, *array.inner), np.nan, array.dtype))
        elif name.endswith("_counts"):
            array.append(np.zeros(count, array.dtype))

    def close(self, info: dict[str, Any]) -> dict[str, Any]:
        """Ends all files; `info.json` comes last and holds `info` and the counts."""
        self.abandon()
        for array in self.arrays.values():
            array.close()
        info = info | {
            "windows": self.windows,
            "unlabelled": self.unlabelled,
            "few_beats": self.few_beats,  # fewer than two: the tokenizer cuts these evenly
            "remarks": dict(sorted(self.counts.items())),
            "arrays": sorted(self.arrays),
        }
        (self.folder / "info.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
        return info

    def abandon(self) -> None:
        """Closes the tables and leaves the store without its `info.json`."""
        for file in self._files:
            file.close()


def part_of(windows: list["Window"], r_peaks: list[np.ndarray], signals: np.ndarray, remarks: Iterable[Remark]) -> Part:
    """Gathers windows, their R peaks and their stored signals [n, 12, T] to a part."""
    part = Part(remarks=list(remarks))
    if not windows:
        return part
    part.rows = [Row(window.id, window.record, window.patient, window.fold, window.labels) for window in windows]
    part.arrays = {"signals": signals, "lead_mask": np.stack([window.lead_mask for window in windows])}
    for name in VECTORS:
        if any(name in window.vectors for window in windows):
            nothing = np.full((3, signals.shape[2]), np.nan, STORED)
            part.arrays[name] = np.stack([window.vectors.get(name, nothing).astype(STORED) for window in windows])
    part.arrays |= ragged("r_peaks", r_peaks)
    for name in sorted({name for window in windows for name in window.truth}):
        part.arrays |= ragged(name, [window.truth.get(name, np.zeros(0)) for window in windows])
    return part


def ragged(name: str, values: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of unlike lengths as one array of all values and one of the counts."""
    counts = np.array([len(value) for value in values], np.int32)
    return {name: np.concatenate(values).astype(RAGGED_TYPES[name]), f"{name}_counts": counts}


@dataclass
class Ragged:
    """Arrays of unlike lengths: row i is values[ends[i-1]:ends[i]]."""

    values: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> np.ndarray:
        start = self.ends[row - 1] if row else 0
        return self.values[start : self.ends[row]]

    def table(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Some rows as [B, P], padded with zeros, and how many values each has [B] int64: no work a row."""
        starts = np.where(rows > 0, self.ends[rows - 1], 0)
        counts = self.ends[rows] - starts
        along = np.arange(counts.max(initial=0))
        real = along < counts[:, None]
        found = np.zeros(real.shape, self.values.dtype)
        found[real] = self.values[(starts[:, None] + along)[real]]
        return found, counts


@dataclass
class Store:
    """An opened store. `signals` and `vectors` are memory-mapped, the rest is in memory."""

    folder: Path
    rows: list[Row]
    info: dict[str, Any]
    signals: np.ndarray
    lead_mask: np.ndarray
    vectors: dict[str, np.ndarray]
    ragged: dict[str, Ragged]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def remarks(self) -> list[Remark]:
        """The lines of `rejected.csv`: what was left out, what was repaired, and why."""
        with (self.folder / "rejected.csv").open(newline="", encoding="utf-8") as file:
            return [Remark(row["id"], row["action"], row["reason"]) for row in csv.DictReader(file)]

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """(id, reason) of every record or window that was left out."""
        return [(remark.id, remark.reason) for remark in self.remarks if remark.action == "left out"]


def open_store(folder: Path) -> Store:
    """Opens a finished store. Raises UserError where somebody has damaged it."""
    try:
        store = _open(folder)
        assert len(store.rows) == len(store.signals) == len(store.lead_mask), "tables and arrays of unlike length"
    except (OSError, ValueError, TypeError, KeyError, AssertionError) as error:
        raise UserError(f"{folder}: expected a complete cache, got {error}; delete this folder") from error
    return store


def _open(folder: Path) -> Store:
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    names = info["arrays"]
    ragged_names = [name for name in RAGGED_TYPES if name in names]
    ends = {name: map_array(folder / f"{name}_counts.npy").cumsum(dtype=np.int64) for name in ragged_names}
    with (folder / "records.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))[1:]
    rows = [_row(*cells) for cells in lines]
    return Store(
        folder=folder,
        rows=rows,
        info=info,
        signals=map_array(folder / "signals.npy"),
        lead_mask=np.array(map_array(folder / "lead_mask.npy")),
        vectors={name: map_array(folder / f"{name}.npy") for name in VECTORS if name in names},
        ragged={name: Ragged(np.array(map_array(folder / f"{name}.npy")), ends[name]) for name in ends},
    )


def _row(window: str, record: str, patient: str, fold: str, label: str) -> Row:
    labels = tuple(label.split(";")) if label else None
    return Row(window, record, patient or None, int(fold) if fold else None, labels)
