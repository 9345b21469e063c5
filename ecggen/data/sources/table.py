"""CSV indexes that come with recordings: read with their columns checked, and a digest of the files they name."""

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

from ecggen.errors import UserError


def read_table(path: Path, required: Iterable[str] = ()) -> list[dict[str, str]]:
    """Rows of a CSV file with a header line, as text; absent cells are empty.

    Raises UserError where the file cannot be read as such a table or lacks a required column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", restkey=None)
            columns = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: expected a CSV table, got {error}; restore the file") from error
    missing = [name for name in required if name not in columns]
    if missing:
        got = ", ".join(columns) or "an empty file"
        raise UserError(f"{path}: expected the column {missing[0]!r}, got {got}; add it")
    return rows


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


def content_digest(paths: Iterable[Path]) -> str:
    """Digest of the whole content of a few small files; an absent file counts as empty."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes() if path.is_file() else b"absent")
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
