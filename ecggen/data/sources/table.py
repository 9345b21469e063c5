"""CSV indexes that come with recordings: read with their columns checked, and a digest of the files they name."""

import csv
import hashlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TextIO

from ecggen.data.sources.inside import index_below
from ecggen.errors import UserError

MOST_BYTES = 1 << 30  # the index of MIMIC-IV-ECG, the largest published, has 0.1 GB
MOST_ROWS = 10_000_000


def read_table(path: Path, required: Iterable[str] = ()) -> list[dict[str, str]]:
    """Rows of a CSV file with a header line, as text; absent cells are empty.

    Raises UserError where the file cannot be read as such a table or lacks a required column.
    """
    try:
        with _opened(path) as file:
            reader = csv.DictReader(file, restval="", restkey=None)
            columns = list(reader.fieldnames or [])
            _check_columns(path, columns, required)
            rows = list(islice(reader, MOST_ROWS + 1))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: expected a CSV table, got {error}; restore the file") from error
    if len(rows) > MOST_ROWS:
        raise UserError(f"{path}: expected at most {MOST_ROWS} lines, got more; split the data")
    return rows


def read_columns(path: Path) -> list[str]:
    """The column names of a CSV file. Raises UserError where it cannot be read."""
    try:
        with _opened(path) as file:
            return list(csv.DictReader(file).fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: expected a CSV table, got {error}; restore the file") from error


def _opened(path: Path) -> TextIO:
    return _checked(path).open(newline="", encoding="utf-8-sig")


def _checked(path: Path) -> Path:
    """The file itself, if it has a size that an index may have: a line is read whole, whatever its length."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise UserError(f"{path}: expected a table of at most {MOST_BYTES} bytes, got {size}; restore the file")
    return path


def _check_columns(path: Path, columns: list[str], required: Iterable[str]) -> None:
    for name in required:
        if columns.count(name) != 1:
            got = ", ".join(columns)[:200] or "an empty file"
            raise UserError(f"{path}: expected the column {name!r} once, got {got!r}; correct the first line")


def optional_text(row: dict[str, str], column: str) -> str | None:
    """The cell, or None where it is empty or the table has no such column."""
    return row.get(column, "").strip() or None


def optional_fold(row: dict[str, str], path: Path) -> int | None:
    """The cell `fold` as an integer or None. Raises UserError for anything else."""
    text = optional_text(row, "fold")
    if text is None:
        return None
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise UserError(f"{path}: column 'fold': expected whole numbers, got {text!r}; correct the table") from None


def optional_labels(row: dict[str, str]) -> tuple[str, ...] | None:
    """The class names in the cell `label`, several separated by `;`; None where there is none."""
    names = {name.strip() for name in row.get("label", "").split(";")} - {""}
    return tuple(sorted(names)) or None


def content_digest(root: Path, names: Iterable[str]) -> str:
    """Digest of the whole content of a few tables in `root`; an absent one counts as empty.

    Raises UserError where one lies elsewhere or is too large.
    """
    digest = hashlib.sha256()
    for name in names:
        path = index_below(root, name)
        digest.update(b"absent" if path is None else _checked(path).read_bytes())
    return digest.hexdigest()


def state_digest(root: Path, names: Iterable[str]) -> str:
    """Digest of names, sizes and modification times of files below `root`; cheap, so taken at every start."""
    digest = hashlib.sha256()
    for name in names:
        try:
            state = (root / name).stat()
            text = f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n"
        except (OSError, ValueError):  # ValueError: a name that no file can have
            text = f"{name}\0absent\n"
        digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
