"""Recordings as arrays: `signals.npy` [n, L, T] and `records.csv` with one line for each of the n records.

Columns id, fs (Hz), unit (mV, uV, V) and leads (names separated by spaces or `;`); optional patient, fold and label
(several separated by `;`). The array is memory-mapped, so it may be larger than memory.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecggen.data.recording import Recording
from ecggen.data.sources.contract import Entry, UnreadableError, checked_spans
from ecggen.data.sources.inside import index_below
from ecggen.data.sources.table import (
    content_digest,
    optional_fold,
    optional_labels,
    optional_text,
    read_table,
    state_digest,
)
from ecggen.data.sources.units import in_millivolts
from ecggen.errors import UserError
from ecggen.npy import map_array

SIGNALS, INDEX = "signals.npy", "records.csv"


@dataclass(frozen=True)
class ArraysSource:
    """Arrays below `root`, cut into windows of `seconds`."""

    root: Path
    seconds: float

    def entries(self) -> list[Entry]:
        """All lines of `records.csv`. Raises UserError where a file is missing or damaged, or the two do not match."""
        path = index_below(self.root, INDEX)
        signals = self._signals()
        if path is None:
            raise UserError(f"{self.root}: expected {INDEX} beside {SIGNALS}, got none; write one, a line a record")
        rows = read_table(path, ("id", "fs", "unit", "leads"))
        if len(rows) != len(signals):
            raise UserError(f"{path}: expected {len(signals)} lines, one a record of {SIGNALS}, got {len(rows)}")
        return [
            Entry(
                row["id"],
                json.dumps([number, row["fs"], row["unit"], row["leads"]]),
                optional_text(row, "patient"),
                optional_fold(row, path),
                optional_labels(row),
            )
            for number, row in enumerate(rows)
        ]

    def read(self, entry: Entry) -> Iterator[Recording]:
        """The record, a long one in blocks. Raises UnreadableError."""
        number, rate, unit, names = json.loads(entry.location)
        scale = in_millivolts(unit)
        if scale is None:
            raise UnreadableError(f"unit: expected mV, uV or V, got {unit!r}")
        try:
            fs = float(rate)
        except ValueError:
            fs = 0.0
        if not 0 < fs < np.inf:
            raise UnreadableError(f"sampling rate: expected a positive number of Hz, got {rate!r}")
        leads = tuple(names.replace(";", " ").replace(",", " ").split())
        signal = self._signals()[number]
        for span in checked_spans(signal.shape[1], len(signal), fs, self.seconds):
            with np.errstate(over="ignore", invalid="ignore"):  # what is no number is preprocessing's to judge
                block = signal[:, span.start : span.stop].astype(np.float32) * np.float32(scale)
            recording = Recording(entry.id, fs, leads, block, entry.patient, entry.fold, entry.labels)
            recording.extra["span"] = span
            yield recording

    def fingerprint(self) -> str:
        """Content of the table and state of the array."""
        return f"{content_digest(self.root, [INDEX])} {state_digest(self.root, [SIGNALS])}"

    def _signals(self) -> np.ndarray:
        path = index_below(self.root, SIGNALS)
        if path is None:
            raise UserError(f"{self.root}: expected {SIGNALS} and {INDEX}, got none; set --data-root to their folder")
        try:
            signals = map_array(path)
        except (ValueError, OSError) as error:
            raise UserError(
                f"{path}: expected an array of numbers, got an unreadable file: {error}; save it again"
            ) from None
        if signals.ndim != 3 or signals.dtype.kind not in "fiu":
            got = f"{signals.dtype} {signals.shape}"
            raise UserError(
                f"{path}: expected numbers [records, leads, samples], got {got[:100]}; save it in this form"
            )
        return signals
