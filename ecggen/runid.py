"""Run ids: `m1s1k1` <-> settings, by tables in which every code names one setting for ever.

Three modules have codes: m, what W is; s, how W is estimated; k, the source and its regularisers. Rows stand in the
`codes` block of a train configuration and, where a search or a user needed new ones, in `results/codes.yaml`. What an
id does not cover (data, widths, learning rate, seed) is told apart by `run_hash`.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from filelock import FileLock, Timeout

from ecggen.atomic import remove_leftovers, write_text
from ecggen.config import RunConfig
from ecggen.configfile import check_setting, did_you_mean, get_setting, to_dict
from ecggen.errors import UserError
from ecggen.strictyaml import read_yaml

MODULES = ("m", "s", "k")
CODES_FILE = "codes.yaml"
LOCK_SECONDS = 60.0  # for a table of a few kilobytes; a writer that holds it longer is stuck
_PATTERN = re.compile(r"m([1-9][0-9]{0,8})s([1-9][0-9]{0,8})k([1-9][0-9]{0,8})")

Row = dict[str, Any]  # dotted path -> value


class RunId(NamedTuple):
    """One code a module."""

    m: int
    s: int
    k: int

    def __str__(self) -> str:
        return f"m{self.m}s{self.s}k{self.k}"


@dataclass(frozen=True)
class CodeTable:
    """All rows known: module -> code -> row. `read_codes` makes it and has checked it."""

    rows: Mapping[str, Mapping[int, Row]]

    def code_of(self, module: str, row: Row) -> int | None:
        """The code of exactly this row, if there is one."""
        return next((code for code, other in self.rows[module].items() if other == row), None)


def parse_runid(text: str) -> RunId:
    """`m1s2k3` -> RunId(1, 2, 3). Raises UserError for anything else."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise UserError(f"run id: expected m<M>s<S>k<K> such as m1s1k1, got {text[:40]!r}; codes count from 1")
    return RunId(*(int(code) for code in match.groups()))


def read_codes(config: Path, results: Path | None = None) -> CodeTable:
    """The table of a train configuration, and with it that of a results folder, if it has one.

    Raises:
        UserError: an unknown module or path, a wrong value, two codes for one setting, or a code that the two tables
            use for different settings.
    """
    rows: dict[str, dict[int, Row]] = {module: {} for module in MODULES}
    files = [config] + ([results / CODES_FILE] if results is not None else [])
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
    table = read_yaml(file).get("codes") or {}
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
            first = seen.setdefault(_canonical(row), code)
            if first != code:
                raise UserError(
                    f"{where}: codes.{module}: {first} and {code} are the same setting; keep {min(first, code)}"
                )
    for one, other in combinations(MODULES, 2):
        both = _paths(rows[one]) & _paths(rows[other])
        if both:
            path = min(both)
            raise UserError(f"{where}: codes: {path} is set by {one} and by {other}; keep it in one of the two")


def _paths(rows: Mapping[int, Row]) -> set[str]:
    return {path for row in rows.values() for path in row}


def settings_of(runid: str | RunId, table: CodeTable) -> Row:
    """Dotted path -> value for everything that a run id sets. Raises UserError for a code that no table has."""
    codes = runid if isinstance(runid, RunId) else parse_runid(runid)
    settings: Row = {}
    for module, code in zip(MODULES, codes, strict=True):
        rows = table.rows[module]
        if code not in rows:
            known = [f"{module}{other}" for other in sorted(rows)]
            shown = ", ".join(known[:12]) + (f", ... {known[-1]}" if len(known) > 12 else "")
            hint = did_you_mean(f"{module}{code}", known)
            raise UserError(f"run id {codes}: no code {module}{code}, there are: {shown or 'none'}; choose one.{hint}")
        settings |= rows[code]
    return settings


def runid_of(run: RunConfig, table: CodeTable) -> str | None:
    """The id whose rows this run fulfils, or None where a module has no such row.

    Where several rows of a module fit, the one that says most is meant, and of equals the oldest.
    """
    codes = [code for module in MODULES if (code := _fitting_code(run, table.rows[module])) is not None]
    return str(RunId(*codes)) if len(codes) == len(MODULES) else None


def _fitting_code(run: RunConfig, rows: Mapping[int, Row]) -> int | None:
    fitting = [
        (-len(row), code)
        for code, row in rows.items()
        if all(get_setting(run, path) == value for path, value in row.items())
    ]
    return min(fitting)[1] if fitting else None


def covered_settings(run: RunConfig, module: str) -> Row:
    """What a new row for this run would say: the settings that the module stands for, with the run's values."""
    state = "model.fast_state"
    sizes = ["size"] if run.model.fast_state.mode == "vector" else ["key_width", "hidden", "value_width"]
    paths = {
        "m": [f"{state}.mode", *(f"{state}.{size}" for size in sizes)],
        "s": ["model.ttt.chunk_size", "model.ttt.inner_steps", "model.ttt.state_smoothness"],
        "k": ["model.vcg.basis_k", *(f"train.loss.{term}" for term in ("smoothness", "energy", "loop_closure"))],
    }
    return {path: get_setting(run, path) for path in paths[module]}


def ensure_runid(run: RunConfig, config: Path, results: Path) -> str:
    """The run's id; rows that it needs and no table has are appended to the results folder's table."""
    table = read_codes(config, results)
    codes = {module: _fitting_code(run, table.rows[module]) for module in MODULES}
    return str(RunId(**{m: code or add_row(m, covered_settings(run, m), config, results) for m, code in codes.items()}))


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
    code = max(table.rows[module], default=0) + 1
    own: dict[str, dict[int, Row]] = {name: {} for name in MODULES}
    for name, other, content in _rows_of(file) if file.exists() else []:
        own[name][other] = content
    own[module][code] = row
    _check_one_to_one({name: {**table.rows[name], **own[name]} for name in MODULES}, str(file))
    remove_leftovers(results, CODES_FILE)
    _write_table(file, own)
    return code


def _write_table(file: Path, rows: Mapping[str, Mapping[int, Row]]) -> None:
    head = "# Codes that runs and searches needed beyond those of configs/train. Rows are appended, never edited.\n"
    plain = {module: {code: _plain_row(row) for code, row in rows[module].items()} for module in MODULES}
    body = yaml.safe_dump({"codes": plain}, sort_keys=False, default_flow_style=None, width=1000)
    write_text(file, head + body)


def _plain_row(row: Row) -> Row:
    return {path: list(value) if isinstance(value, tuple) else value for path, value in row.items()}


def two_digits(value: float) -> float:
    """A continuous value of a search as it enters a row: rounded to two significant digits."""
    return float(f"{value:.2g}")


def run_hash(run: RunConfig) -> str:
    """64 hex digits over everything that determines a run's result: what is learned, from what, and how.

    Left out is what does not: the cache and its workers, the evaluation, settings of sources that are not read, and
    sizes of the state's other mode.
    `threads` and `device` are left out too: they change the last bits of a result, not what was asked; they are kept in
    the folder's config.yaml, and an interrupted run resumes with them. The data folder counts by its real path, so that
    its spelling does not matter.
    """
    blocks = {name: block for name, block in to_dict(run).items() if name != "eval"}
    data, train = blocks["data"], blocks["train"]
    for name in ("cache", "workers"):
        del data[name]
    for name in ("threads", "device"):
        del train[name]
    for name in ("key_width", "hidden", "value_width") if run.model.fast_state.mode == "vector" else ("size",):
        del blocks["model"]["fast_state"][name]
    if run.data.source != "ptbxl":
        del data["task"], data["ptbxl_rate"]
    if run.data.source == "simulator":
        del data["root"]
    else:
        del data["simulator"]
        data["root"] = None if run.data.root is None else os.path.realpath(Path(run.data.root).expanduser())
    return hashlib.sha256(_canonical(blocks).encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _text(row: Row) -> str:
    return ", ".join(f"{path}={value}" for path, value in row.items())
