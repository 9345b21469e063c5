"""YAML and `--set` -> `RunConfig`: every name, type and range is checked before anything is computed.

The names and types come from the dataclasses of `config`; what they cannot say (ranges, choices) stands in `limits`,
what concerns two fields at once in `_check_together`. A test holds that every field is covered.
"""

import difflib
import math
import types
import typing
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ecggen.config import RunConfig
from ecggen.errors import UserError
from ecggen.limits import CHOICES, RANGES
from ecggen.strictyaml import parse_yaml, read_yaml, to_yaml


def load_run_config(path: Path, overrides: Sequence[str] = (), codes: Mapping[str, Any] | None = None) -> RunConfig:
    """Settings of one run: the file's blocks, over them the settings of a run id's `codes`, over those `overrides`.

    Args:
        path: YAML with any of the blocks `data`, `model`, `train`, `eval`; its `codes` table is left to `runid`.
        overrides: `dotted.path=value` each, the value read as YAML.
        codes: dotted path -> value, as `runid.settings_of` gives it.

    Raises:
        UserError: unknown names, wrong types, values out of range, an unreadable file; one line each.
    """
    blocks = {name: block for name, block in read_yaml(path).items() if name != "codes"}
    try:
        run = from_dict(blocks)
    except UserError as fault:
        raise UserError(f"{path}: {fault}") from None
    return apply_overrides(apply_settings(run, codes or {}), overrides)


def from_dict(blocks: Mapping[str, Any]) -> RunConfig:
    """A run from nested blocks; what they leave out keeps its default. Raises UserError."""
    run: RunConfig = _build(RunConfig, blocks, "")
    _check_together(run)
    return run


def to_dict(run: RunConfig) -> dict[str, Any]:
    """Nested blocks of plain values (tuples as lists), every field written out; `from_dict` is its inverse."""
    plain: dict[str, Any] = _plain(asdict(run))
    return plain


def dump_yaml(run: RunConfig) -> str:
    """The run as YAML that `load_run_config` reads back to an equal run."""
    return to_yaml(to_dict(run))


def apply_overrides(run: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """The run with `dotted.path=value` settings applied in order, values read as YAML. Raises UserError."""
    settings: dict[str, Any] = {}
    for override in overrides:
        path, separator, text = override.partition("=")
        if not separator or not path.strip():
            raise UserError(f"--set: expected dotted.path=value, got {_show(override)}; e.g. train.steps=500")
        settings[path.strip()] = parse_yaml(text, f"--set {path.strip()}")
    return apply_settings(run, settings)


def apply_settings(run: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """The run with each dotted path set to its value; several at once, so that they may depend on each other."""
    blocks = to_dict(run)
    for path, value in settings.items():
        typed = _plain(check_setting(path, value))
        *parents, last = path.split(".")
        block = blocks
        for parent in parents:
            block = block[parent]
        block[last] = typed
    return from_dict(blocks)


def check_setting(path: str, value: Any) -> Any:
    """The value of one field in its own type, if `path` names a field and the value may stand there.

    Raises:
        UserError: the path is unknown or names a block, or the value has the wrong type or range.
    """
    kinds = setting_types()
    if path in kinds:
        return _value(kinds[path], value, path)
    inside = [name for name in kinds if name.startswith(f"{path}.")]
    if inside:
        raise UserError(f"{path}: expected the path of one setting, got a block; set e.g. {inside[0]}")
    raise UserError(f"{path}: unknown setting; see configs/train for their names.{_nearest_path(path)}")


@cache
def setting_types() -> dict[str, Any]:
    """Dotted path -> type of every field of a run, in the order of the dataclasses."""
    return dict(_walk(RunConfig, ""))


def get_setting(run: RunConfig, path: str) -> Any:
    """The value of one field by its dotted path. Raises UserError where there is none."""
    if path not in setting_types():
        raise UserError(f"{path}: unknown setting; see configs/train for their names.{_nearest_path(path)}")
    value: Any = run
    for name in path.split("."):
        value = getattr(value, name)
    return value


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """` Did you mean x?` with the nearest allowed word, or nothing where none is near."""
    near = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""


def _nearest_path(path: str, siblings: Iterable[str] = ()) -> str:
    """A setting of that very name in another block, else the nearest name of this block, else the nearest path."""
    paths = list(setting_types())
    last = path.rsplit(".", 1)[-1]
    same = [name for name in paths if name.rsplit(".", 1)[-1] == last]
    if same:
        return f" Did you mean {same[0]}?"
    return did_you_mean(last, siblings) or did_you_mean(path, paths)


def _walk(cls: Any, prefix: str) -> Iterable[tuple[str, Any]]:
    for name, kind in _fields(cls).items():
        path = f"{prefix}{name}"
        if is_dataclass(kind):
            yield from _walk(kind, f"{path}.")
        else:
            yield path, kind


@cache
def _fields(cls: Any) -> dict[str, Any]:
    """Name -> type of every field of a dataclass."""
    return typing.get_type_hints(cls)


def _build(cls: Any, given: Any, path: str) -> Any:
    """A dataclass from a mapping of its fields, and so on down; `path` is that of the block, for the message."""
    if given is None:  # `train:` with nothing below it
        return cls()
    if not isinstance(given, Mapping):
        raise UserError(f"{path or 'settings'}: expected a block of settings, got {_show(given)}; indent them below it")
    kinds = _fields(cls)
    prefix = f"{path}." if path else ""
    for name in given:
        if name not in kinds:
            hint = _nearest_path(f"{prefix}{name}", kinds)
            raise UserError(f"{prefix}{_word(name)}: unknown setting, expected one of {', '.join(kinds)}.{hint}")
    return cls(**{name: _value(kinds[name], item, f"{prefix}{name}") for name, item in given.items()})


def _value(kind: Any, given: Any, path: str) -> Any:
    """One value in the type of its field, checked against the tables."""
    if is_dataclass(kind):
        return _build(kind, given, path)
    options = typing.get_args(kind)
    if isinstance(kind, types.UnionType):  # `X | None`
        return None if given is None else _value(options[0], given, path)
    if typing.get_origin(kind) is tuple:
        if not isinstance(given, list | tuple):
            raise UserError(f"{path}: expected a list such as [1, 2], got {_show(given)}; put it in brackets")
        return tuple(_value(options[0], item, path) for item in given)
    typed = _scalar(kind, given, path)
    if path in CHOICES and typed not in CHOICES[path]:
        allowed = [str(choice) for choice in CHOICES[path]]
        hint = did_you_mean(str(typed), allowed)
        raise UserError(f"{path}: got {_show(given)}, allowed: {', '.join(allowed)}; choose one of them.{hint}")
    if path in RANGES and not RANGES[path].holds(typed):
        raise UserError(
            f"{path}: expected {RANGES[path].said_to(typed)}, got {_show(given)}; choose a value in this range"
        )
    return typed


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _scalar(kind: Any, given: Any, path: str) -> Any:
    """`given` if it is of the field's type; a whole number may stand for a float, and nothing else for anything."""
    if kind is float and isinstance(given, int) and not isinstance(given, bool) and abs(given) <= 2**53:
        return float(given)
    if type(given) is not kind:
        remedy = (
            "put it in quotes" if kind is str else "write it without quotes" if isinstance(given, str) else "change it"
        )
        raise UserError(f"{path}: expected {_KINDS[kind]}, got {_show(given)}; {remedy}")
    if kind is float and not math.isfinite(given):
        raise UserError(f"{path}: expected a finite number, got {given}; change it")
    return given


def _check_together(run: RunConfig) -> None:
    """Rules between fields. Each names the field to change."""
    encoder, signal, vcg, tokenizer = run.model.encoder, run.model.signal, run.model.vcg, run.model.tokenizer
    _require(
        encoder.d_model % encoder.heads == 0,
        f"model.encoder.heads: expected a divisor of d_model {encoder.d_model}, got {encoder.heads}",
    )
    shares = run.train.all_leads + run.train.reduced_sets
    _require(
        shares <= 1,
        f"train.reduced_sets: expected at most 1 together with all_leads {run.train.all_leads:g}, got {shares:g}",
    )
    _require(
        run.train.min_leads <= run.train.max_leads,
        f"train.min_leads: expected at most max_leads {run.train.max_leads}, got {run.train.min_leads}",
    )
    _require(
        signal.band_low < signal.band_high < signal.fs / 2,
        f"model.signal.band_high: expected between band_low {signal.band_low:g} and fs / 2 {signal.fs / 2:g} Hz, "
        f"got {signal.band_high:g}",
    )
    _require(
        vcg.basis_k <= tokenizer.beat_len,
        f"model.vcg.basis_k: expected at most tokenizer.beat_len {tokenizer.beat_len}, got {vcg.basis_k}",
    )
    samples = math.floor(run.data.seconds * signal.fs)
    _require(
        tokenizer.beat_len <= samples,
        f"model.tokenizer.beat_len: expected at most the {samples} samples of data.seconds, got {tokenizer.beat_len}",
    )
    kernel = run.model.projection.residual_kernel
    _require(kernel % 2 == 1, f"model.projection.residual_kernel: expected an odd number of samples, got {kernel}")
    mode = run.model.fast_state.mode
    _require(
        run.model.ttt.estimator != "ridge" or mode == "vector",
        f"model.ttt.estimator: expected mode vector for ridge, whose proxy is quadratic, got {mode}",
    )
    _require(
        not run.train.compile or run.model.ttt.estimator != "gradient" or run.model.ttt.inner_gradient == "analytic",
        "train.compile: expected model.ttt.inner_gradient=analytic, since PyTorch compiles no gradient of a gradient, "
        f"got {run.model.ttt.inner_gradient}",
    )
    folds = [*run.data.train_folds, *run.data.val_folds, *run.data.test_folds]
    twice = sorted(fold for fold, count in Counter(folds).items() if count > 1)[:10]
    _require(not twice, f"data.train_folds, val_folds, test_folds: expected each fold once, got {twice} twice")


def _require(holds: bool, fault: str) -> None:
    if not holds:
        raise UserError(f"{fault}; change one of them")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _show(value: Any) -> str:
    """A value for a message: on one line, and short whatever was given."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes out
        text = "a very long number"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _word(name: Any) -> str:
    text = _show(name)
    return text[1:-1] if isinstance(name, str) else text
