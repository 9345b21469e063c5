"""PTB-XL as PhysioNet publishes it: an index of 21,799 ten-second records at 100 and at 500 Hz, with official folds.

Labels follow the rule of the benchmark (Strodthoff et al., IEEE J. Biomed. Health Inform. 2021): every statement of a
record counts, whatever its likelihood; diagnostic ones are gathered to their superclass or subclass.
Data: Wagner et al., Scientific Data 7:154 (2020).
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecggen.config import PTBXL_TASKS
from ecggen.data.recording import Recording
from ecggen.data.sources.contract import Entry
from ecggen.data.sources.inside import index_below
from ecggen.data.sources.table import content_digest, read_table, state_digest
from ecggen.data.sources.wfdb_signal import read_whole
from ecggen.errors import UserError

INDEX, STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
LONGEST_CODES = 10_000  # characters of a cell; PTB-XL has 172 at most
FILENAME_COLUMNS = {100: "filename_lr", 500: "filename_hr"}


@dataclass(frozen=True)
class PTBXLSource:
    """PTB-XL below `root`, one of its two sampling rates (Hz), labels of one task."""

    root: Path
    task: str = "superdiagnostic"
    rate: int = 100

    def entries(self) -> list[Entry]:
        """All records of the index, in its order. Raises UserError where an index file is missing or damaged."""
        classes = self._classes()
        entries = []
        for row in self._index():
            statements = _statements(row)
            labels = sorted({classes[code] for code in statements if code in classes})
            if self.task == "all":
                labels = sorted(statements)
            try:
                ecg_id, patient = str(int(float(row["ecg_id"]))), str(int(float(row["patient_id"])))
                fold = int(float(row["strat_fold"]))
            except (ValueError, OverflowError) as error:
                raise UserError(f"{self.root / INDEX}: expected numbers, got {error}; restore the file") from error
            location = row[FILENAME_COLUMNS[self.rate]].strip()
            if location:
                entries.append(Entry(ecg_id, location, patient, fold, tuple(labels) or None))
        return entries

    def read(self, entry: Entry) -> Iterator[Recording]:
        """The record, always whole. Raises UnreadableError."""
        yield read_whole(self.root, entry)

    def fingerprint(self) -> str:
        """Content of the two indexes, state of every signal file, and the settings that choose among them."""
        column = FILENAME_COLUMNS[self.rate]
        names = [row[column] + suffix for row in self._index() for suffix in (".hea", ".dat")]
        tables = content_digest(self.root, [INDEX, STATEMENTS])
        return f"{self.task} {self.rate} {tables} {state_digest(self.root, names)}"

    def _index(self) -> list[dict[str, str]]:
        if self.rate not in FILENAME_COLUMNS:
            raise UserError(f"data.ptbxl_rate: expected 100 or 500, got {self.rate}; set one of them")
        path = index_below(self.root, INDEX)
        if path is None:
            raise UserError(f"{self.root}: expected PTB-XL's {INDEX}, got none; set --data-root to its folder")
        columns = ("ecg_id", "patient_id", "scp_codes", "strat_fold", FILENAME_COLUMNS[self.rate])
        return read_table(path, columns)

    def _classes(self) -> dict[str, str]:
        """Class name of each statement of the task; a statement outside the task has none."""
        if self.task not in PTBXL_TASKS:
            raise UserError(f"data.task: expected one of {', '.join(PTBXL_TASKS)}, got {self.task!r}; set one of them")
        path = index_below(self.root, STATEMENTS)
        if path is None:
            raise UserError(f"{self.root}: expected PTB-XL's {STATEMENTS}, got none; it lies beside {INDEX}")
        columns = ("", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")
        rows = read_table(path, columns)
        aggregated = {"superdiagnostic": "diagnostic_class", "subdiagnostic": "diagnostic_subclass"}
        if self.task in aggregated:
            chosen = {row[""]: row[aggregated[self.task]] for row in rows if _is_one(row["diagnostic"])}
        else:
            chosen = {row[""]: row[""] for row in rows if _is_one(row.get(self.task, ""))}
        return {code: name for code, name in chosen.items() if name}


def _is_one(text: str) -> bool:
    return text.strip() in ("1", "1.0")


def _statements(row: dict[str, str]) -> set[str]:
    """SCP codes of one record; the index holds them as a Python dict {code: likelihood}."""
    try:
        codes = ast.literal_eval(row["scp_codes"][:LONGEST_CODES])
        if not isinstance(codes, dict) or not all(isinstance(code, str) for code in codes):
            raise ValueError
        return set(codes)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # the last two: brackets in brackets
        got = f"{row['scp_codes'][:60]!r} for ecg_id {row['ecg_id']}"
        raise UserError(f"{INDEX}, scp_codes: expected a dict, got {got}; restore the file") from None
