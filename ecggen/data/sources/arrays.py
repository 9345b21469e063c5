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
from ecggen.data.sources.contract import Entry, UnreadableError, spans
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

SIGNALS, INDEX = "signals.npy", "records.csv"


@dataclass(frozen=True)
class ArraysSource:
    """Arrays below `root`, cut into windows of `seconds`."""

    root: Path
    seconds: float

    def entries(self) -> list[Entry]:
        """All lines of `records.csv`. Raises UserError where a file is missing or damaged, or the two do not match."""
        path = self.root / INDEX
        signals = self._signals()
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
        for span in spans(signal.shape[1], fs, self.seconds):
            block = signal[:, span.start : span.stop].astype(np.float32) * np.float32(scale)
            recording = Recording(entry.id, fs, leads, block, entry.patient, entry.fold, entry.labels)
            recording.extra["span"] = span
            yield recording

    def fingerprint(self) -> str:
        """Content of the table and state of the array."""
        return f"{content_digest([self.root / INDEX])} {state_digest(self.root, [SIGNALS])}"

    def _signals(self) -> np.ndarray:
        path = self.root / SIGNALS
        if not path.is_file():
            raise UserError(f"{self.root}: expected {SIGNALS} and {INDEX}, got none; set --data-root to their folder")
        try:
            signals = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            text = " ".join(str(error).split())
            raise UserError(
                f"{path}: expected an array of numbers, got an unreadable file: {text[:100]}; save it again"
            ) from None
        if not isinstance(signals, np.ndarray) or signals.ndim != 3 or signals.dtype.kind not in "fiu":
            got = f"{getattr(signals, 'dtype', type(signals).__name__)} {getattr(signals, 'shape', '')}"
            raise UserError(f"{path}: expected numbers [records, leads, samples], got {got}; save it in this form")
        return signals
