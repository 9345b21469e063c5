"""YAML as this project reads it: plain data only, nothing given twice, nothing that can grow.

Based on the safe loader, so that no tag can make an object or run code. Beyond that: duplicate keys, anchors and
aliases (a few lines of them can stand for gigabytes), deep nesting and large files are refused, and `2e-3` is a number,
as in YAML 1.2. Every fault is one line that names the file.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from ecggen.errors import UserError

try:  # the same loader on libyaml, ten times as fast, where PyYAML was built with it
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

MAX_BYTES = 1_000_000
MAX_DEPTH = 12
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")  # an exponent without a point: text to YAML 1.1
_OPENS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSES = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class _Loader(SafeLoader):
    """The safe loader without duplicate keys and without merge keys."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise _fault("a key that is neither a word nor a whole number; quote it", key_node)
            if key in mapping:
                raise _fault(f"{str(key)[:40]!r} twice in one block; keep one of them", key_node)
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_mapping)


class _Dumper(yaml.SafeDumper):
    """Quotes a word that the loader would take for a number, e.g. a digest such as 4839201e4432."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def to_yaml(data: Any) -> str:
    """Plain data as text that `parse_yaml` reads back to equal data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _fault(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _check_growth(text: str) -> None:
    """Refuses what could grow, event by event, before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _fault("an anchor or alias; write the value out", event)
        depth += isinstance(event, _OPENS) - isinstance(event, _CLOSES)
        if depth > MAX_DEPTH:
            raise _fault(f"blocks nested more than {MAX_DEPTH} deep; flatten them", event)


def parse_yaml(text: str, where: str) -> Any:
    """The data that `text` stands for. Raises UserError, one line after `where`, for all else."""
    try:
        _check_growth(text)
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = " ".join(str(fault.problem or "text that cannot be read").split())
        raise UserError(f"{where}: {at}expected plain YAML, got {problem[:200]}") from None
    except (yaml.YAMLError, ValueError, ArithmeticError) as fault:
        problem = " ".join(str(fault).split())[:200]
        raise UserError(f"{where}: expected plain YAML, got {problem}; correct the text") from None


def read_yaml(path: Path, most: int = MAX_BYTES) -> dict[str, Any]:
    """The top block of a YAML file of so many bytes at most; an empty file is an empty block.

    Raises UserError where the file is not one.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
        raise UserError(f"{path}: expected a YAML file, got: {reason}; check the path") from None
    if len(raw) > most:
        raise UserError(f"{path}: expected at most {most} bytes of settings, got more; is it the right file?")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected text in UTF-8, got other bytes; is it the right file?") from None
    data = parse_yaml(text, str(path))
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise UserError(f"{path}: expected blocks such as `model:`, got {type(data).__name__}; see configs/train")
    return data
