"""A search space: a YAML file -> entries -> points -> runs, and back from a run to its point.

A space file asks one question in terms of run-id codes and of dotted paths (`spacefile` says how it is read). A point
(`Params`) is what one trial tries; it says only what the space turns, and everything else is as in the base run. The
space is walked in file order, so that an entry can depend on those above it. Nothing here knows Ray or Optuna: a trial
is whatever can suggest a value.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ecggen.codetable import MODULES, CodeTable
from ecggen.config import RunConfig
from ecggen.configfile import apply_settings, did_you_mean, get_setting, setting_types
from ecggen.errors import UserError
from ecggen.limits import COUNT
from ecggen.runid import two_digits
from ecggen.strictyaml import read_yaml
from search.spacefile import Entry, check_keys, read_entries, shown, word

Params = dict[str, Any]  # entry name -> value, active entries only, in file order

GRID_LIMIT = 10_000  # points; nobody trains more of them one by one
SUFFIXES = (".yaml", ".yml")
_NAME = re.compile(r"[A-Za-z0-9_-]+")  # it becomes part of a folder's name


@dataclass(frozen=True)
class Defaults:
    """How a search over a space is done where its command says nothing else."""

    trials: int = 16
    steps: Mapping[str, int] | None = None  # optimizer steps of a trial, keys simulator and recordings
    finalists: int = 3
    seeds: int = 3  # a finalist

    def steps_for(self, source: str) -> int | None:
        """Budget of a trial on a `data.source`, in optimizer steps; None where the file gives none."""
        return (self.steps or {}).get("simulator" if source == "simulator" else "recordings")


@dataclass(frozen=True)
class Space:
    """What one search turns. `load_space` and `parse_space` make it and have checked it."""

    name: str
    about: str  # the question it answers, one line
    entries: tuple[Entry, ...]
    defaults: Defaults
    content: Mapping[str, Any]  # the file as plain data: kept beside a search, compared when it goes on

    def suggest(self, trial: Any, base: RunConfig, table: CodeTable) -> Params:
        """A point of a trial's choosing, continuous values rounded to two significant digits.

        Args:
            trial: anything with Optuna's `suggest_categorical`, `suggest_int` and `suggest_float`.
        """
        params, _ = next(_points(self.entries, base, table, lambda entry: [_draw(trial, entry)]))
        return params

    def grid(self, base: RunConfig, table: CodeTable) -> list[Params]:
        """All points, the first entry slowest; of points that are the same run the first.

        Raises:
            UserError: an entry is continuous, or there are more than GRID_LIMIT points.
        """
        for entry in self.entries:
            if entry.continuous:
                raise UserError(
                    f"space {self.name}: {entry.name}: expected choices or whole numbers for a grid, "
                    f"got {entry.kind}; write choice: [...], or ask for a number of trials"
                )
        points = list(islice(self._distinct(base, table), GRID_LIMIT + 1))
        if len(points) > GRID_LIMIT:
            raise UserError(
                f"space {self.name}: expected a grid of at most {GRID_LIMIT} points, got more; ask for some trials"
            )
        return points

    def points(self, base: RunConfig, table: CodeTable, count: int, seed: int) -> list[Params]:
        """The grid in file order, or, where only `count` of its points are asked for, all in an order drawn by seed."""
        points = self.grid(base, table)
        if count < len(points):  # the first ones would be a corner of the space
            random.Random(seed).shuffle(points)
        return points

    def grid_size(self, base: RunConfig, table: CodeTable) -> int | None:
        """Number of points of `grid`, GRID_LIMIT + 1 standing for all larger ones; None if an entry is continuous."""
        if any(entry.continuous for entry in self.entries):
            return None
        return sum(1 for _ in islice(self._distinct(base, table), GRID_LIMIT + 1))

    def settings(self, params: Params, table: CodeTable) -> dict[str, Any]:
        """Dotted path -> value of a point, codes written out. Raises UserError for what is no point of this space."""
        entries = {entry.name: entry for entry in self.entries}
        found: dict[str, Any] = {}
        for name, value in params.items():
            if name not in entries:
                hint = did_you_mean(word(name), entries)
                raise UserError(
                    f"space {self.name}: expected entries {', '.join(entries)}, got {word(name)}; correct it.{hint}"
                )
            if name in MODULES and value not in table.rows[name]:
                raise UserError(
                    f"space {self.name}: {name}: no code {word(value)} in the table of run ids; choose another"
                )
            found |= _settings_of(name, value, table)
        return found

    def run(self, params: Params, base: RunConfig, table: CodeTable) -> RunConfig:
        """The base run with a point's settings. Raises UserError naming the point where they do not fit together."""
        try:
            return apply_settings(base, self.settings(params, table))
        except UserError as fault:
            point = ", ".join(f"{name}={shown(value)}" for name, value in params.items())
            raise UserError(f"space {self.name}, point {point or 'without entries'}: {fault}") from None

    def params_of(self, run: RunConfig, base: RunConfig, table: CodeTable) -> Params | None:
        """The point whose run equals `run`, the first of equals, or None: the inverse of `run`."""
        points = _points(self.entries, base, table, lambda entry: _fitting(entry, run, table))
        return next((params for params, settings in points if _gives(run, base, settings)), None)

    def _distinct(self, base: RunConfig, table: CodeTable) -> Iterator[Params]:
        """Points one by one, each run once."""
        seen = set()
        for params, settings in _points(self.entries, base, table, Entry.options):
            changes = frozenset(item for item in settings.items() if item[1] != get_setting(base, item[0]))
            if changes not in seen:
                seen.add(changes)
                yield params


def _points(
    entries: Sequence[Entry],
    base: RunConfig,
    table: CodeTable,
    options: Callable[[Entry], Iterable[Any]],
    params: Params | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[tuple[Params, Mapping[str, Any]]]:
    """Every point, with its settings, that takes one of its `options` for each active entry, one entry after another.

    `params` and `settings` are those of the entries before, on which the next ones may depend.
    """
    params, settings = params or {}, settings or {}
    if not entries:
        yield params, settings
        return
    entry, rest = entries[0], entries[1:]
    if not _active(entry, params, settings, base):
        yield from _points(rest, base, table, options, params, settings)
        return
    for value in options(entry):
        chosen = {**settings, **_settings_of(entry.name, value, table)}
        yield from _points(rest, base, table, options, {**params, entry.name: value}, chosen)


def _active(entry: Entry, params: Params, settings: Mapping[str, Any], base: RunConfig) -> bool:
    """Whether all conditions hold in the run as built so far; a module that is not turned fulfils none."""

    def value_of(name: str) -> Any:
        if name in MODULES:
            return params.get(name)
        return settings[name] if name in settings else get_setting(base, name)

    return all(value_of(name) in allowed for name, allowed in entry.when.items())


def _settings_of(name: str, value: Any, table: CodeTable) -> dict[str, Any]:
    return dict(table.rows[name][value]) if name in MODULES else {name: value}


def _draw(trial: Any, entry: Entry) -> Any:
    """A value of an entry, as a trial suggests it."""
    if entry.continuous:
        log = entry.kind == "loguniform"
        return two_digits(trial.suggest_float(entry.name, entry.low, entry.high, log=log))
    if entry.kind == "int":
        return trial.suggest_int(entry.name, entry.low, entry.high, step=entry.step)
    return trial.suggest_categorical(entry.name, list(entry.values))


def _fitting(entry: Entry, run: RunConfig, table: CodeTable) -> list[Any]:
    """The values of an entry that a run does not contradict."""
    if entry.kind != "codes":
        value = get_setting(run, entry.name)
        return [value] if entry.holds(value) else []
    rows = {code: table.rows[entry.name][code] for code in entry.values}
    return [code for code, row in rows.items() if all(get_setting(run, path) == row[path] for path in row)]


def _gives(run: RunConfig, base: RunConfig, settings: Mapping[str, Any]) -> bool:
    """Whether the base run with these settings is `run`."""
    return all(
        get_setting(run, path) == (settings[path] if path in settings else get_setting(base, path))
        for path in setting_types()
    )


def parse_space(name: str, content: Mapping[str, Any], table: CodeTable, base: RunConfig, where: str) -> Space:
    """A space from plain data, of a file or of a kept copy. Raises UserError, one line that begins with `where`."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{where}: expected letters, digits, _ and - in a space's name, got {shown(name)}; rename it")
    check_keys(content, ("about", "search", "space"), where)
    return Space(
        name=name,
        about=_about(content, where),
        entries=read_entries(content.get("space"), table, base, where),
        defaults=_read_defaults(content.get("search"), where),
        content=deepcopy(dict(content)),
    )


def _read_defaults(given: Any, where: str) -> Defaults:
    """The `search` block of a space file. Raises UserError; `where` names the file."""
    if given is None:
        return Defaults()
    if not isinstance(given, Mapping):
        raise UserError(f"{where}: search: expected keys such as `trials: 8`, got {shown(given)}; indent them below it")
    check_keys(given, ("trials", "steps", "finalists", "seeds"), f"{where}: search")
    counts = {key: _count(value, f"{where}: search.{key}") for key, value in given.items() if key != "steps"}
    return Defaults(**counts, steps=_steps(given["steps"], f"{where}: search.steps") if "steps" in given else None)


def _steps(given: Any, at: str) -> dict[str, int]:
    kinds = ("simulator", "recordings")
    if not isinstance(given, Mapping):
        return dict.fromkeys(kinds, _count(given, at))
    if not given:
        raise UserError(f"{at}: expected a whole number, or one each for {' and '.join(kinds)}, got none; write one")
    check_keys(given, kinds, at)
    return {kind: _count(value, f"{at}.{kind}") for kind, value in given.items()}


def _count(value: Any, at: str) -> int:
    if type(value) is not int or not COUNT.holds(value):
        raise UserError(f"{at}: expected a whole number, {COUNT}, got {shown(value)}; change it")
    return value


def _about(content: Mapping[str, Any], where: str) -> str:
    about = content.get("about")
    if not isinstance(about, str) or len(about.strip().splitlines()) != 1:
        raise UserError(
            f"{where}: about: expected one line on the question that the space answers, got {shown(about)}; write it"
        )
    return about.strip()


def load_space(name: str, table: CodeTable, base: RunConfig, folder: Path) -> Space:
    """A space by its name in `folder`, or by the path of its file: with a slash, or ending in .yaml or .yml.

    Raises:
        UserError: there is no such space, or its file is faulty.
    """
    if "/" in name or name.endswith(SUFFIXES):
        file = Path(name).expanduser()
    else:
        files = {file.stem: file for file in _files(folder)}
        if name not in files:
            raise UserError(
                f"space {shown(name)}: expected one of {', '.join(files) or 'those in a folder that has none'} "
                f"in {folder}; choose one, or give the path of a .yaml file.{did_you_mean(name, files)}"
            )
        file = files[name]
    return parse_space(file.stem, read_yaml(file), table, base, str(file))


def space_names(folder: Path) -> list[tuple[str, str]]:
    """(name, about) of every .yaml file in a folder, by name. Raises UserError for a file without either."""
    return [(file.stem, _about(read_yaml(file), str(file))) for file in _files(folder)]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))
