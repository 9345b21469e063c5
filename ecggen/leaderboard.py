"""Leaderboards on disk: which runs are best, and by how much beyond noise. Written by searches, read by everyone.

A leaderboard is a CSV file, one row a run:

    rank            place, from 1: proved rows before others, then by mean; in `results/leaderboard.csv` within the rows
                    of the same data and metric
    runid, step     m#s#k# and the budget in optimizer steps
    val_hidden_r, val_hidden_r2, val_r, val_r2    figures on the whole validation split, means over seeds
    metric          name of the figure that the row is ranked by
    mean, sd, n     of that figure over n seeds; sd is empty with one seed
    low, high       95 % interval of this run's mean minus that of `against`; empty with nothing to compare with
    against         run that it was compared with: the winner, and for the winner the runner-up. Its run id, or
                    `<run id>_<hash6>` where several runs of the search have that id
    verdict         wins or tie for the winner, loses or tie for the others, alone with nothing to compare with;
                    unproved where a side has fewer than two fresh seeds: its seed noise is then not in the interval
    proved          yes where at least two fresh seeds stand behind the row, else no
    hash            of the run's settings
    seeds           of the trainings, with spaces between
    folder          result folder of the promoted run, relative to the results folder; empty where none was promoted

`results/leaderboard.csv` is the best of all searches and has three columns more: `search`, `data` (source and data in
words) and `when` (ISO time at which the search's last trial ended). There low, high, against and verdict are those of
the row's own search.
"""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ecggen.atomic import remove_leftovers, whole_file
from ecggen.errors import UserError
from ecggen.plainfile import read_plain

LEADERBOARD_FILE = "leaderboard.csv"
FIGURES = ("val_hidden_r", "val_hidden_r2", "val_r", "val_r2")
COLUMNS = (
    *("rank", "runid", "step", *FIGURES, "metric", "mean", "sd", "n", "low", "high"),
    *("against", "verdict", "proved", "hash", "seeds", "folder"),
)
MERGED = ("search", "data", "when")
LOCK_SECONDS = 60.0  # for a table of a few kilobytes; a writer that holds it longer is stuck

Row = dict[str, Any]  # column -> value


@dataclass(frozen=True)
class Standing:
    """One row: a run among those it was compared with. The columns are described at the top of this file.

    Attributes:
        metrics: the figures of `FIGURES`.
        sd: ddof 1; NaN for one seed.
        low, high: NaN with nothing to compare with.
        repeats: trainings with a fresh seed among the n; 0 where the trial itself was judged. No column.
    """

    rank: int
    runid: str
    hash: str
    step: int
    metric: str
    mean: float
    sd: float
    n: int
    low: float
    high: float
    against: str
    verdict: str
    seeds: list[int]
    metrics: dict[str, float]
    folder: str = ""
    proved: bool = False
    repeats: int = 0

    def row(self) -> Row:
        """Column -> value."""
        return {**asdict(self), **{name: self.metrics.get(name, math.nan) for name in FIGURES}}


def write_leaderboard(path: Path, standings: Sequence[Standing], extra: Mapping[str, object] | None = None) -> None:
    """Write the standings of one search, whole or not at all.

    Args:
        path: the file.
        standings: best first.
        extra: further columns, each with one value for all rows.
    """
    _write(path, [{**standing.row(), **(extra or {})} for standing in standings], (*COLUMNS, *(extra or {})))


def read_leaderboard(path: Path, columns: Sequence[str] = COLUMNS) -> list[Row]:
    """The rows of a leaderboard in their order.

    Each value has its type: numbers (NaN for an empty cell), `proved` bool, `seeds` a list, all else text.

    Args:
        path: the file.
        columns: which it must have; others are read too.

    Raises:
        UserError: there is no such file, or it is none of ours.
    """
    try:
        with io.StringIO(read_plain(path), newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{path}: expected a leaderboard, got a file without {missing[0]}; move it away")
            return [_typed(row, f"{path}: line {reader.line_num}") for row in reader]
    except FileNotFoundError:
        raise UserError(f"{path}: expected a leaderboard, got no file; run a search first") from None
    except (OSError, csv.Error, UnicodeDecodeError) as fault:
        raise UserError(f"{path}: expected a leaderboard, got a damaged file ({fault}); move it away") from None


def merge_leaderboard(results: Path, search: str, data: str, when: str, standings: Sequence[Standing]) -> None:
    """Put the standings of one search into `results/leaderboard.csv`, one writer at a time.

    A run has one row a metric and data, that of the newest search that judged it; but no unproved row takes the place
    of another search's proved one. What this search put there earlier goes: its standings are all that it says. Figures
    on other data or of another metric are not comparable, and simulated hearts give larger ones than real hearts. So
    rows of the same data and metric stay together, ranked by mean with the proved ones first, and the group with the
    newest row stands first.

    Args:
        results: the results folder.
        search: name of the search's folder.
        data: source and data in words, equal for searches on the same records.
        when: the search's last trial ended: ISO time, such as 2026-05-01T12:00:00+0200; without a zone it is local.
        standings: of this search.

    Raises:
        UserError: a faulty `when`, a damaged leaderboard, or another process holds the lock for a minute.
    """
    _moment(when, f"search {search}: when")
    path = results / LEADERBOARD_FILE
    own = [{**standing.row(), "search": search, "data": data, "when": when} for standing in standings]
    try:
        results.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
            known = read_leaderboard(path, (*COLUMNS, *MERGED)) if path.exists() else []
            others = [row for row in known if row["search"] != search]
            remove_leftovers(results, LEADERBOARD_FILE)
            _write(path, _ordered(_one_a_run(others + own)), (*COLUMNS, *MERGED))
    except Timeout:
        raise UserError(
            f"{path}: expected to write it in {LOCK_SECONDS:g} s, another process holds it; end it"
        ) from None
    except OSError as fault:
        raise UserError(f"{path}: expected to write it, got: {fault.strerror}; choose another results folder") from None


def best_folder(results: Path) -> str:
    """Name of the result folder in the first row of `results/leaderboard.csv`.

    Raises:
        UserError: there is no leaderboard, it is empty or damaged, or its first run was not promoted.
    """
    path = results / LEADERBOARD_FILE
    if not path.is_file():
        raise UserError(f"run id best: expected {path}, got no file; run a search first, or name a run")
    rows = read_leaderboard(path)
    if not rows:
        raise UserError(f"run id best: expected runs in {path}, got none; run a search first, or name a run")
    if not rows[0]["folder"]:
        raise UserError(
            f"run id best: expected a result folder of {rows[0]['runid']}, the first of {path}, got none; "
            "promote it, or name a run"
        )
    return Path(rows[0]["folder"]).name


def _one_a_run(rows: Sequence[Row]) -> list[Row]:
    """One row a run, metric and data: a proved one before others, then the newest, and of equally new ones the last."""
    kept: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(row[name] for name in ("runid", "step", "hash", "metric", "data"))
        if key not in kept or (row["proved"], _age(row)) >= (kept[key]["proved"], _age(kept[key])):
            kept[key] = row
    return list(kept.values())


def _ordered(rows: Sequence[Row]) -> list[Row]:
    """Groups of equal data and metric, the newest first; in a group proved rows first, then by mean, and ranked so."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["metric"]), []).append(row)
    found = []
    for key in sorted(groups, key=lambda key: (-max(map(_age, groups[key])), key)):
        ranked = sorted(groups[key], key=lambda row: (math.isnan(row["mean"]), not row["proved"], -row["mean"]))
        found += [{**row, "rank": place} for place, row in enumerate(ranked, 1)]
    return found


def _age(row: Row) -> float:
    return _moment(row["when"], LEADERBOARD_FILE)


def _moment(when: str, where: str) -> float:
    """Seconds since the epoch of an ISO time."""
    try:
        return datetime.fromisoformat(when).timestamp()
    except (TypeError, ValueError):
        raise UserError(f"{where}: expected an ISO time, got {str(when)[:40]!r}; e.g. 2026-05-01T12:00:00") from None


def _write(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows([_cell(row[name]) for name in columns] for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan


_READ: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("rank", "step", "n"), int),
    **dict.fromkeys((*FIGURES, "mean", "sd", "low", "high"), _number),
    "proved": {"yes": True, "no": False}.__getitem__,
    "seeds": lambda cell: [int(seed) for seed in cell.split()],
}


def _typed(row: Mapping[str, str | None], where: str) -> Row:
    typed: Row = {}
    for name, cell in row.items():
        try:
            if name is None or cell is None:
                raise ValueError
            typed[name] = _READ.get(name, str)(cell)
        except (KeyError, ValueError):
            raise UserError(
                f"{where}: expected {name or 'one cell a column'} as a search writes it, got {str(cell)[:40]!r}; "
                "repair the line or move the file away"
            ) from None
    return typed
