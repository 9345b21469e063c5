"""The table of codes: every code names one setting for ever.

Rows stand in the `codes` block of a train configuration and, where a search or a user needed new ones, in
`results/codes.yaml`. A search of many points may need a new row for each of them. So what was read is kept for as long
as the files stay what they are, rows are found by their values, and a new row is written without a look at the others.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ecggen.atomic import remove_leftovers, write_text
from ecggen.config import RunConfig
from ecggen.configfile import check_setting, get_setting
from ecggen.errors import UserError
from ecggen.strictyaml import read_yaml

MODULES = ("m", "s", "k")
CODES_FILE = "codes.yaml"
LOCK_SECONDS = 60.0  # for a table of a few kilobytes; a writer that holds it longer is stuck
MOST_BYTES = 50_000_000  # of a table, which grows with every search of continuous settings; a row has about a hundred
HEAD = "# Codes that runs and searches needed beyond those of configs/train. Rows are appended, never edited.\n"

Row = dict[str, Any]  # dotted path -> value
Stamp = tuple[int, ...]  # what says that a file is the one that was read; empty where there is none


@dataclass(frozen=True)
class CodeTable:
    """All rows known: module -> code -> row. `read_codes` makes it and has checked it."""

    rows: Mapping[str, Mapping[int, Row]]

    @cached_property
    def _by_values(self) -> dict[str, dict[tuple[str, ...], dict[tuple[Any, ...], int]]]:
        """Module -> paths that a row sets -> their values -> code, of equals the oldest."""
        found: dict[str, dict[tuple[str, ...], dict[tuple[Any, ...], int]]] = {}
        for module, rows in self.rows.items():
            kinds = found.setdefault(module, {})
            for code in sorted(rows):
                paths, values = _key(rows[code])
                kinds.setdefault(paths, {}).setdefault(values, code)
        return found

    def code_of(self, module: str, row: Row) -> int | None:
        """The code of exactly this row, if there is one."""
        paths, values = _key(row)
        return self._by_values[module].get(paths, {}).get(values)

    def fitting_code(self, module: str, run: RunConfig) -> int | None:
        """The code of the row that a run fulfils: of several the one that says most, and of equals the oldest."""
        fitting = []
        for paths, codes in self._by_values[module].items():
            code = codes.get(tuple(get_setting(run, path) for path in paths))
            if code is not None:
                fitting.append((-len(paths), code))
        return min(fitting)[1] if fitting else None

    def paths(self, module: str) -> set[str]:
        """Everything that rows of a module set."""
        return {path for paths in self._by_values[module] for path in paths}

    def longer(self, module: str, code: int, row: Row) -> "CodeTable":
        """The table with one more row, of a setting that has no code yet."""
        table = CodeTable({**self.rows, module: {**self.rows[module], code: row}})
        paths, values = _key(row)
        kinds = self._by_values[module]
        more = {**kinds, paths: {**kinds.get(paths, {}), values: code}}
        table.__dict__["_by_values"] = {**self._by_values, module: more}  # as if it had been made from the rows
        return table


@dataclass
class _File:
    """A results folder's own table as it was read or written last: its rows as lines of text."""

    stamp: Stamp
    lines: dict[str, list[str]]


_tables: dict[tuple[str, ...], tuple[list[Stamp], CodeTable]] = {}  # paths of the files -> what was read from them
_files: dict[str, _File] = {}
_homes: dict[str, tuple[Stamp, Path]] = {}  # path of a configuration -> the file with its table


def _key(row: Row) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    paths = tuple(sorted(row))
    return paths, tuple(row[path] for path in paths)


def _stamp(file: Path) -> Stamp:
    """Changes whenever the file is replaced or written to."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def read_codes(config: Path, results: Path | None = None) -> CodeTable:
    """The table of a train configuration, and with it that of a results folder, if it has one.

    A configuration has its table in `codes`, or names there the file beside it whose table it shares: the same settings
    then have the same codes in both.

    Raises:
        UserError: an unknown module or path, a wrong value, two codes for one setting, or a code that the two tables
            use for different settings.
    """
    files = [_home(config)] + ([results / CODES_FILE] if results is not None else [])
    names, stamps = _names(files), [_stamp(file) for file in files]
    before, table = _tables.get(names, (None, None))
    if table is None or stamps != before:
        table = _read(files)
        _tables[names] = stamps, table
    return table


def _home(config: Path) -> Path:
    """The file that has a configuration's table: itself, or the one beside it that it names."""
    name, stamp = os.path.realpath(config), _stamp(config)
    before, home = _homes.get(name, (None, config))
    if stamp != before:
        shared = read_yaml(config, MOST_BYTES).get("codes")
        home = config if not isinstance(shared, str) else _beside(config, shared)
        _homes[name] = stamp, home
    return home


def _beside(config: Path, name: str) -> Path:
    home = config.with_name(name) if name == Path(name).name and name not in ("", ".", "..") else None
    if home is None or not home.is_file():
        raise UserError(
            f"{config}: codes: expected a table, or the name of a file beside it that has one, got {name[:40]!r}; "
            "see configs/train/best.yaml"
        )
    return home


def _names(files: Iterable[Path]) -> tuple[str, ...]:
    return tuple(os.path.realpath(file) for file in files)


def _read(files: list[Path]) -> CodeTable:
    config, rows = files[0], {module: dict[int, Row]() for module in MODULES}
    for file in files:
        if file != config and not file.exists():
            continue
        for module, code, row in _rows_of(file):
            known = rows[module].setdefault(code, row)
            if known != row:
                raise UserError(
                    f"{file}: codes.{module}.{code}: expected {_text(known)}, as in {config}, got {_text(row)}; "
                    f"give the newer row a code of its own"
                )
    _check_one_to_one(rows, " and ".join(str(file) for file in files))
    return CodeTable(rows)


def _rows_of(file: Path) -> list[tuple[str, int, Row]]:
    """Every row of one file, its values in the types of their fields."""
    table = read_yaml(file, MOST_BYTES).get("codes") or {}
    if not isinstance(table, Mapping):
        raise UserError(f"{file}: codes: expected a table for each of {', '.join(MODULES)}; see configs/train/v1.yaml")
    found = []
    for module, rows in table.items():
        if module not in MODULES:
            raise UserError(
                f"{file}: codes.{str(module)[:40]}: unknown module, allowed: {', '.join(MODULES)}; move its rows"
            )
        if not isinstance(rows, Mapping | None):
            raise UserError(
                f"{file}: codes.{module}: expected rows such as 1: {{path: value}}; see configs/train/v1.yaml"
            )
        for code, row in (rows or {}).items():
            found.append((module, code, _checked_row(file, module, code, row)))
    return found


def _checked_row(file: Path, module: str, code: Any, row: Any) -> Row:
    where = f"{file}: codes.{module}.{str(code)[:20]}"
    if not isinstance(code, int) or not 1 <= code < 10**9:
        raise UserError(
            f"{where}: expected a whole number from 1 on as a code, got {str(code)[:20]!r}; number the rows"
        )
    if not isinstance(row, Mapping) or not row:
        raise UserError(
            f"{where}: expected dotted paths and their values, got {str(row)[:40]!r}; see configs/train/v1.yaml"
        )
    try:
        return {str(path): check_setting(str(path), value) for path, value in row.items()}
    except UserError as fault:
        raise UserError(f"{where}: {fault}") from None


def _check_one_to_one(rows: Mapping[str, Mapping[int, Row]], where: str) -> None:
    """One setting, one code; and no path in the tables of two modules, or an id could contradict itself."""
    for module in MODULES:
        seen: dict[str, int] = {}
        for code, row in rows[module].items():
            first = seen.setdefault(json.dumps(row, sort_keys=True), code)
            if first != code:
                raise UserError(
                    f"{where}: codes.{module}: {first} and {code} are the same setting; keep {min(first, code)}"
                )
    for one, other in combinations(MODULES, 2):
        both = _paths(rows[one]) & _paths(rows[other])
        if both:
            raise _twice(where, min(both), one, other)


def _paths(rows: Mapping[int, Row]) -> set[str]:
    return {path for row in rows.values() for path in row}


def add_row(module: str, row: Row, config: Path, results: Path) -> int:
    """The code of a setting; a setting without one is appended to `results/codes.yaml`.

    One writer at a time (a lock beside the file), the file is replaced as a whole, codes are never reused.

    Raises:
        UserError: the row or a table is faulty, or another process holds the lock for a minute.
    """
    file = results / CODES_FILE
    typed = _checked_row(file, module, 1, row)
    try:
        results.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=LOCK_SECONDS):
            return _append(file, module, typed, config, results)
    except Timeout:
        raise UserError(
            f"{file}: expected to write it in {LOCK_SECONDS:g} s, another process holds it; end it"
        ) from None
    except OSError as fault:
        raise UserError(f"{file}: expected to write it, got: {fault.strerror}; choose another results folder") from None


def _append(file: Path, module: str, row: Row, config: Path, results: Path) -> int:
    table = read_codes(config, results)
    known = table.code_of(module, row)
    if known is not None:
        return known
    for other in MODULES:
        both = table.paths(other) & row.keys() if other != module else set()
        if both:
            raise _twice(str(file), min(both), *sorted((module, other), key=MODULES.index))
    code = max(table.rows[module], default=0) + 1
    lines = _lines_of(file)
    lines[module].append(_line(code, row))
    remove_leftovers(file.parent, CODES_FILE)
    _write_table(file, lines)
    _files[os.path.realpath(file)] = _File(_stamp(file), lines)
    home = _home(config)
    _tables[_names([home, file])] = [_stamp(home), _stamp(file)], table.longer(module, code, row)
    return code


def _lines_of(file: Path) -> dict[str, list[str]]:
    """The rows of a results folder's own table, each as the line that says it."""
    known = _files.get(os.path.realpath(file))
    if known is not None and known.stamp == _stamp(file):
        return {module: list(lines) for module, lines in known.lines.items()}
    lines: dict[str, list[str]] = {module: [] for module in MODULES}
    for module, code, row in _rows_of(file) if file.exists() else []:
        lines[module].append(_line(code, row))
    return lines


def _line(code: int, row: Row) -> str:
    plain = {path: list(value) if isinstance(value, tuple) else value for path, value in row.items()}
    return "    " + yaml.safe_dump({code: plain}, sort_keys=False, default_flow_style=None, width=1000)


def _write_table(file: Path, lines: Mapping[str, list[str]]) -> None:
    blocks = [
        f"  {module}:\n{''.join(lines[module])}" if lines[module] else f"  {module}: {{}}\n" for module in MODULES
    ]
    write_text(file, f"{HEAD}codes:\n{''.join(blocks)}")


def _twice(where: str, path: str, one: str, other: str) -> UserError:
    return UserError(f"{where}: codes: {path} is set by {one} and by {other}; keep it in one of the two")


def _text(row: Row) -> str:
    return ", ".join(f"{path}={value}" for path, value in row.items())
