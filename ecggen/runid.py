"""Run ids: `m1s1k1` <-> settings, by tables in which every code names one setting for ever.

Three modules have codes: m, what W is; s, how W is estimated; k, the source and its regularisers; `codetable` has their
rows. What an id does not cover (data, widths, learning rate, seed) is told apart by `run_hash`.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from ecggen.codetable import MODULES, CodeTable, Row, add_row, read_codes
from ecggen.config import RunConfig
from ecggen.configfile import did_you_mean, get_setting, to_dict
from ecggen.errors import UserError

_PATTERN = re.compile(r"m([1-9][0-9]{0,8})s([1-9][0-9]{0,8})k([1-9][0-9]{0,8})")


class RunId(NamedTuple):
    """One code a module."""

    m: int
    s: int
    k: int

    def __str__(self) -> str:
        return f"m{self.m}s{self.s}k{self.k}"


def parse_runid(text: str) -> RunId:
    """`m1s2k3` -> RunId(1, 2, 3). Raises UserError for anything else."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise UserError(f"run id: expected m<M>s<S>k<K> such as m1s1k1, got {text[:40]!r}; codes count from 1")
    return RunId(*(int(code) for code in match.groups()))


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
    codes = [code for module in MODULES if (code := table.fitting_code(module, run)) is not None]
    return str(RunId(*codes)) if len(codes) == len(MODULES) else None


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
    codes = {module: table.fitting_code(module, run) for module in MODULES}
    return str(RunId(**{m: code or add_row(m, covered_settings(run, m), config, results) for m, code in codes.items()}))


def two_digits(value: float) -> float:
    """A continuous value of a search as it enters a row: rounded to two significant digits."""
    return float(f"{value:.2g}")


# Settings that came later, as it was before.
LATER = {"train.precision": "fp32", "train.average": 0.0, "train.robust": 0.0, "model.tokenizer.pace": False}


def run_hash(run: RunConfig) -> str:
    """64 hex digits over everything that determines a run's result: what is learned, from what, and how.

    Left out is what does not: the cache and its workers, the evaluation, settings of sources that are not read, and
    sizes of the state's other mode.
    `threads`, `device`, `compile` and `inner_gradient` are left out too: they change the last bits of a result, not
    what was asked; they are kept in the folder's config.yaml, and an interrupted run resumes with them. What could not
    be chosen once is left out as long as it is as it was then (`LATER`). The data folder counts by its real path, so
    that its spelling does not matter.
    """
    blocks = {name: block for name, block in to_dict(run).items() if name != "eval"}
    data, train = blocks["data"], blocks["train"]
    for name in ("cache", "workers"):
        del data[name]
    for name in ("threads", "device", "compile"):
        del train[name]
    for path, was in LATER.items():
        if get_setting(run, path) == was:
            *above, name = path.split(".")
            block = blocks
            for part in above:
                block = block[part]
            del block[name]
    del blocks["model"]["ttt"]["inner_gradient"]
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
