"""Entries of a space file, read strictly: what a search turns, between which values, and on which conditions.

An entry is a module letter with codes of the run-id table, or the dotted path of one setting with values or a range.
Every fault is found here, before a trial has cost a minute: a name that does not exist, a value that a run could not
have, a condition that can never hold, an entry that would contradict a code.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, NoReturn

from ecggen.codetable import MODULES, CodeTable
from ecggen.config import RunConfig
from ecggen.configfile import check_setting, did_you_mean, get_setting, setting_types
from ecggen.errors import UserError
from ecggen.runid import two_digits

Kind = Literal["codes", "choice", "int", "uniform", "loguniform"]
KINDS: tuple[Kind, ...] = ("choice", "int", "uniform", "loguniform")  # as a file names them; codes are choices
# Equal in all trials of a search, or their scores could not be compared: budget, chance, machine, data and judgement.
FIXED = ("train.seed", "train.steps", "train.threads", "train.device", "train.validate_every")
FIXED_BLOCKS = ("data.", "eval.")


@dataclass(frozen=True)
class Entry:
    """One thing that a search turns: what it may be, and on which condition it is turned at all.

    `values` are the codes or choices; `low` and `high` (both included) and `step` are those of a range; `when` holds
    the values that other entries or settings must have, all of them.
    """

    name: str
    kind: Kind
    values: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    step: int = 1
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def continuous(self) -> bool:
        """Whether its values cannot be counted out."""
        return self.kind in ("uniform", "loguniform")

    def options(self) -> Sequence[Any]:
        """All values in order. Not for a continuous entry."""
        assert not self.continuous, f"{self.name}: expected an entry with countable values, got {self.kind}"
        return range(int(self.low), int(self.high) + 1, self.step) if self.kind == "int" else self.values

    def holds(self, value: Any) -> bool:
        """Whether a search can give it this value; of a continuous entry, a value of two significant digits."""
        if self.continuous:
            return bool(self.low <= value <= self.high and two_digits(value) == value)
        return value in self.options()


@dataclass(frozen=True)
class _Context:
    """What an entry is checked against: the file's name for messages, its entry names, the codes, the base run."""

    where: str
    names: tuple[str, ...]
    table: CodeTable
    base: RunConfig

    def fail(self, at: str, fault: str) -> NoReturn:
        raise UserError(f"{self.where}: space.{at}: {fault}")

    def checked(self, path: str, value: Any, prefix: str = "") -> Any:
        """The value in the type of its setting; a fault names the entry."""
        try:
            return check_setting(path, value)
        except UserError as fault:
            raise UserError(f"{self.where}: space.{prefix}{fault}") from None

    def covered(self, module: str) -> set[str]:
        """The settings that codes of a module say."""
        return {path for row in self.table.rows[module].values() for path in row}


def shown(value: Any) -> str:
    """A value for a message: on one line, and short whatever was given."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes out
        text = "a very long number"
    return text if len(text) <= 60 else f"{text[:57]}..."


def word(name: Any) -> str:
    """A name for a message: on one line, and short whatever was given."""
    return shown(name)[1:-1] if isinstance(name, str) else shown(name)


def check_keys(given: Mapping[Any, Any], allowed: Iterable[str], at: str) -> None:
    """Raises UserError for a key that is not among the allowed ones; `at` names the block."""
    names = list(allowed)
    for key in given:
        if key not in names:
            hint = did_you_mean(word(key), names)
            raise UserError(f"{at}: {word(key)}: unknown key, expected one of {', '.join(names)}; correct it.{hint}")


def read_entries(given: Any, table: CodeTable, base: RunConfig, where: str) -> tuple[Entry, ...]:
    """The `space` block of a file, in its order. Raises UserError, one line with file and entry; `where` is the file.

    Args:
        table: the codes there are.
        base: the run that points are changes of; conditions on settings that nothing turns are read from it.
    """
    if not isinstance(given, Mapping) or not given:
        raise UserError(f"{where}: space: expected entries such as `m: [1, 2]`, got {shown(given)}; write one or more")
    context = _Context(where, tuple(given), table, base)
    for name in given:
        _check_name(name, context)
    entries: list[Entry] = []
    for name, spec in given.items():
        entries.append(_entry(name, spec, entries, context))
    return tuple(entries)


def _check_name(name: Any, context: _Context) -> None:
    """An entry is a module or a setting that may differ between trials, and that no code of this file sets too."""
    if name in MODULES:
        return
    if name not in setting_types():
        _unknown(name, context)
    if name in FIXED or name.startswith(FIXED_BLOCKS):
        context.fail(
            name,
            "expected a setting of the model or of learning, got one that is equal in all trials; "
            "take it out and set it for the whole search",
        )
    for module in MODULES:
        if module in context.names and name in context.covered(module):
            context.fail(name, f"expected this setting once, got it beside {module}, whose codes set it; keep one")


def _unknown(name: Any, context: _Context, prefix: str = "") -> NoReturn:
    """Says that a name is neither a module nor a setting, and which one may have been meant."""
    text = word(name)
    try:
        check_setting(text, None)
    except UserError as fault:
        letters = "" if "." in text else f" Modules are {', '.join(MODULES)}."
        raise UserError(f"{context.where}: space.{prefix}{fault}{letters}") from None
    raise AssertionError(f"{text}: expected an unknown setting")


def _entry(name: str, spec: Any, above: Sequence[Entry], context: _Context) -> Entry:
    if name in MODULES and isinstance(spec, list):
        spec = {"choice": spec}
    kinds = KINDS[:1] if name in MODULES else KINDS
    example = "[1, 2]" if name in MODULES else "{choice: [...]} or {uniform: [low, high]}"
    if not isinstance(spec, Mapping):
        context.fail(name, f"expected e.g. {example}, got {shown(spec)}; write what it may be")
    check_keys(spec, (*kinds, *(("step",) if "int" in spec else ()), "when"), f"{context.where}: space.{name}")
    given = [kind for kind in kinds if kind in spec]
    if len(given) != 1:
        context.fail(name, f"expected one of {', '.join(kinds)}, got {' and '.join(given) or 'none'}; write one")
    when = _conditions(name, spec["when"], above, context) if "when" in spec else {}
    kind = given[0]
    if kind == "choice":
        values = _choices(name, spec[kind], context)
        return Entry(name, "codes" if name in MODULES else "choice", values=values, when=when)
    low, high = _bounds(name, kind, spec[kind], context)
    step = _step(name, spec["step"], int(high - low), context) if "step" in spec else 1
    return Entry(name, kind, low=low, high=high, step=step, when=when)


def _choices(name: str, given: Any, context: _Context) -> tuple[Any, ...]:
    if not isinstance(given, list) or not given:
        context.fail(name, f"expected a list of one or more values, got {shown(given)}; write e.g. [1, 2]")
    if name in MODULES:
        values = tuple(_code(name, value, context.table.rows[name], context) for value in given)
    else:
        values = tuple(context.checked(name, value) for value in given)
    _check_once(values, name, context)
    return values


def _check_once(values: Sequence[Any], at: str, context: _Context) -> None:
    seen = set()
    for value in values:
        if value in seen:
            context.fail(at, f"expected each value once, got {shown(value)} twice; take one out")
        seen.add(value)


def _code(module: str, value: Any, known: Iterable[int], context: _Context, at: str = "") -> int:
    """A code of a module that is among the known ones."""
    codes = list(known)
    if type(value) is not int or value not in codes:
        hint = did_you_mean(f"{module}{word(value)}", [f"{module}{code}" for code in codes])
        context.fail(
            at or module, f"expected codes among {_listed(codes) or 'none'}, got {shown(value)}; choose one.{hint}"
        )
    return value


def _listed(values: Sequence[Any]) -> str:
    texts = [value if isinstance(value, str) else shown(value) for value in islice(values, 12)]
    return ", ".join(texts) + (f", ... {shown(values[-1])}" if len(values) > len(texts) else "")


def _bounds(name: str, kind: Kind, given: Any, context: _Context) -> tuple[Any, Any]:
    """Both ends of a range: possible values of the setting, in order, and such that rounding stays between them."""
    wanted = int if kind == "int" else float
    if setting_types()[name] is not wanted:
        meant = {int: "int: [low, high]", float: "uniform: [low, high]"}.get(setting_types()[name], "choice: [...]")
        context.fail(name, f"expected a kind for {_show_type(name)}, got {kind}; write {meant}")
    if not isinstance(given, list) or len(given) != 2:
        context.fail(name, f"expected {kind}: [low, high], got {shown(given)}; write two numbers")
    low, high = (context.checked(name, end) for end in given)
    if not low < high:
        context.fail(name, f"expected low below high, got [{low}, {high}]; change one of them, or write choice: [...]")
    if kind == "loguniform" and low <= 0:
        context.fail(name, f"expected a range above 0 for loguniform, got low {low}; raise it, or write uniform")
    for end in (low, high) if kind != "int" else ():
        if two_digits(end) != end:
            context.fail(
                name,
                f"expected two significant digits, as values are rounded to them, got {end}; write {two_digits(end)}",
            )
    return low, high


def _show_type(name: str) -> str:
    return {int: "whole numbers", float: "numbers", bool: "true or false"}.get(setting_types()[name], "text")


def _step(name: str, given: Any, width: int, context: _Context) -> int:
    if type(given) is not int or given < 1 or width % given != 0:
        context.fail(
            name,
            f"expected step: a whole number that divides high - low = {width}, got {shown(given)}; change one of them",
        )
    return given


def _conditions(name: str, given: Any, above: Sequence[Entry], context: _Context) -> dict[str, tuple[Any, ...]]:
    """`when` of an entry, every value as a tuple of values that the named thing can have."""
    if not isinstance(given, Mapping) or not given:
        context.fail(name, f"expected when: {{name: value or list of values}}, got {shown(given)}; name one or more")
    when = {}
    for key, wanted in given.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        at = f"{name}: when.{word(key)}"
        if not values:
            context.fail(at, "expected a value or a list of values, got an empty list; write one or take it out")
        if key in MODULES:
            when[key] = _allowed_codes(key, values, at, above, context)
        elif key in setting_types():
            when[key] = _allowed_values(name, key, values, above, context)
        else:
            _unknown(key, context, f"{name}: when.")
        _check_once(when[key], at, context)
    return when


def _allowed_codes(
    module: str, values: Sequence[Any], at: str, above: Sequence[Entry], context: _Context
) -> tuple[int, ...]:
    entry = next((entry for entry in above if entry.name == module), None)
    if entry is None:
        names = [entry.name for entry in above]
        context.fail(
            at,
            f"expected an entry above this one ({', '.join(names) or 'there is none'}) or a setting, "
            f"got {module}; write {module} above",
        )
    return tuple(_code(module, value, entry.values, context, at) for value in values)


def _allowed_values(
    name: str, path: str, values: Sequence[Any], above: Sequence[Entry], context: _Context
) -> tuple[Any, ...]:
    """Values of a setting on which an entry may depend: those that the file's entries above can give it."""
    at = f"{name}: when.{path}"
    typed = tuple(context.checked(path, value, f"{name}: when.") for value in values)
    sets = {path, *(module for module in MODULES if path in context.covered(module))}
    setter = next((other for other in context.names if other in sets), None)
    if setter is None:
        return typed  # as in the base run, whatever that is
    entry = next((entry for entry in above if entry.name == setter), None)
    if entry is None:
        context.fail(
            at, f"expected a setting that is known before this entry, got one that {setter} sets; write {setter} above"
        )
    if entry.continuous:
        context.fail(at, f"expected an entry that can be counted out, got {entry.kind}; give {path} choices")
    own = get_setting(context.base, path)
    spare = (own,) if entry.when else ()  # inactive, it leaves the base run as it is
    if entry.kind == "codes":
        rows = context.table.rows[setter]
        options: Sequence[Any] = list(dict.fromkeys(rows[code].get(path, own) for code in entry.values))
    else:
        options = entry.options()
    for value in typed:
        if value not in options and value not in spare:
            hint = did_you_mean(str(value), [other for other in options if isinstance(other, str)])
            context.fail(
                at,
                f"can never hold: expected one of {_listed(options)}, which {setter} gives it, "
                f"got {shown(value)}; correct it.{hint}",
            )
    return typed
