"""trials.csv and steps.csv of a search, for pandas: made from the ledger, whole at every moment."""

import csv
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ecggen.atomic import whole_file
from ecggen.eval import VALIDATION
from search.ledger import Ledger
from search.trialfile import Trial

TRIALS_FILE, STEPS_FILE = "trials.csv", "steps.csv"
EVERY = 2.0  # s between two writings while trials report, at least
SHARE = 0.02  # of the driver's time that they may take: long tables are written less often
FIGURES = (*VALIDATION, "train_loss")
COLUMNS = ("number", "kind", "runid", "status", "reason", "seed", "steps", "step", "best_step", "seconds", *FIGURES)
STEP_COLUMNS = ("number", "kind", "runid", "hash", "seed", "step", "seconds", *FIGURES)


class Summary:
    """Writes the two tables of one search.

    Args:
        ledger: what they are made of.
        entries: names of the space's entries, a column each.
    """

    def __init__(self, ledger: Ledger, entries: Sequence[str]) -> None:
        self.ledger, self.entries = ledger, tuple(entries)
        self._written, self._took = -math.inf, 0.0

    def refresh(self) -> None:
        """Write, unless that was done a moment ago."""
        if time.monotonic() - self._written > max(EVERY, self._took / SHARE):
            self.write()

    def write(self) -> None:
        """Write both tables; each appears whole or not at all."""
        begin = time.monotonic()
        write_table(
            self.ledger.folder / TRIALS_FILE,
            (*COLUMNS, *self.entries, "hash", "folder"),
            (trial_row(trial, self.entries) for trial in self.ledger),
        )
        rows = (step_row(trial, row) for trial in self.ledger for row in trial.curve)
        write_table(self.ledger.folder / STEPS_FILE, STEP_COLUMNS, rows)
        self._written = time.monotonic()
        self._took = self._written - begin


def trial_row(trial: Trial, entries: Iterable[str]) -> dict[str, Any]:
    """One trial as a row; what it does not have is empty."""
    row: dict[str, Any] = {name: getattr(trial, name) for name in COLUMNS if hasattr(trial, name)}
    figures = {name: trial.metrics.get(name, "") for name in FIGURES}
    params = {name: trial.params.get(name, "") for name in entries}
    return {**row, "kind": kind_of(trial), **figures, **params, "hash": trial.hash, "folder": trial.key}


def step_row(trial: Trial, row: dict[str, float]) -> dict[str, Any]:
    """One point of a learning curve as a row."""
    own = {"number": trial.number, "kind": kind_of(trial), "runid": trial.runid, "hash": trial.hash, "seed": trial.seed}
    return {**own, "step": int(row["step"]), **{name: row.get(name, "") for name in ("seconds", *FIGURES)}}


def kind_of(trial: Trial) -> str:
    """`trial`, or `finalist` for a repeat with another seed."""
    return trial.key.split("/")[0].removesuffix("s")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """A CSV, whole or not at all; NaN is an empty cell."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: "" if value != value else value for name, value in row.items()})
