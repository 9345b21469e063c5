"""A folder of WFDB records: every header below it is a record, with its signal in `.dat`, MATLAB `.mat` or other files.

Labels, patients and folds come from an optional `labels.csv`; without one, labels are the SNOMED codes that the headers
of the PhysioNet/CinC challenges carry (`#Dx: 164889003,59118001`). Records of any length, with any of the leads.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecggen.data.recording import Recording
from ecggen.data.sources.contract import Entry, UnreadableError
from ecggen.data.sources.inside import index_below
from ecggen.data.sources.table import (
    optional_fold,
    optional_labels,
    optional_text,
    read_columns,
    read_table,
    state_digest,
)
from ecggen.data.sources.wfdb_header import SUFFIX as HEADER
from ecggen.data.sources.wfdb_header import Header, header_lines, read_header
from ecggen.data.sources.wfdb_signal import read_blocks
from ecggen.errors import UserError

TABLE = "labels.csv"


@dataclass(frozen=True)
class WFDBFolderSource:
    """WFDB records below `root`, cut into windows of `seconds`; the id of a record is its path without suffix."""

    root: Path
    seconds: float

    def entries(self) -> list[Entry]:
        """All records, sorted by id. Raises UserError where `labels.csv` is damaged, ambiguous, or of other records."""
        headers = [name for name in self._files() if name.endswith(HEADER)]
        segments = {segment for name in headers for segment in _segments(self.root, name)}
        places = [name.removesuffix(HEADER) for name in headers]
        table = self._table({_written(place) for place in places})
        entries = []
        for place in places:
            if place in segments:
                continue
            record = _written(place)
            row = table.get(record, {})
            fold = optional_fold(row, self.root / TABLE)
            entries.append(Entry(record, place, optional_text(row, "patient"), fold, optional_labels(row)))
        return entries

    def read(self, entry: Entry) -> Iterator[Recording]:
        """The record, a long one in blocks. Raises UnreadableError."""
        header = read_header(self.root, entry.location)
        labels = None if self._labels_in_table() else _challenge_labels(header)
        for recording in read_blocks(self.root, entry, self.seconds, header):
            recording.labels = recording.labels or labels
            yield recording

    def fingerprint(self) -> str:
        """State of every file that lies beside a header, and of the table."""
        return state_digest(self.root, [*self._files(), TABLE])

    def _files(self) -> list[str]:
        """Files of all folders that hold a header, as sorted paths below the root."""
        found = []
        for folder, _, names in os.walk(self.root):
            if any(name.endswith(HEADER) for name in names):
                found += [Path(folder, name).relative_to(self.root).as_posix() for name in names]
        return sorted(found)

    def _labels_in_table(self) -> bool:
        path = index_below(self.root, TABLE)
        return path is not None and "label" in read_columns(path)

    def _table(self, ids: set[str]) -> dict[str, dict[str, str]]:
        path = index_below(self.root, TABLE)
        if path is None:
            return {}
        table: dict[str, dict[str, str]] = {}
        for row in read_table(path, ("id",)):
            if row["id"] in table:
                raise UserError(f"{path}: expected every id once, got {row['id']!r} again; remove one of the lines")
            table[row["id"]] = row
        if table and not ids & table.keys():
            example, got = min(ids, default="folder/record"), next(iter(table))
            raise UserError(f"{path}: expected ids such as {example!r}, got {got!r}; correct them")
        return table


def _written(place: str) -> str:
    """A path as text that can be written to a table: what is no UTF-8 in a file's name becomes an escape."""
    return place.encode("utf-8", "backslashreplace").decode("utf-8")


def _segments(root: Path, name: str) -> list[str]:
    """Records that are only segments of this one, where its header is that of a multi-segment record.

    The first line that is no comment then reads `name/number_of_segments ...`, and each further one names a segment.
    """
    try:
        lines, _ = header_lines(root, name)
    except (UnreadableError, OSError):
        return []
    if "/" not in lines[0].split()[0]:
        return []
    return [(Path(name).parent / line.split()[0]).as_posix() for line in lines[1:]]


def _challenge_labels(header: Header) -> tuple[str, ...] | None:
    """SNOMED codes of a challenge header's comment `Dx: 164889003,59118001`; None where there are none."""
    codes: set[str] = set()
    for comment in header.comments:
        key, _, value = comment.strip().partition(":")
        if key.strip().lower() == "dx":
            codes.update(code.strip() for code in value.split(",") if code.strip().isdigit())
    return tuple(sorted(codes)) or None
