"""Models and training states on disk: atomic, and nothing in them is ever run.

A model is one safetensors file; its header holds the model block of the settings and what its head reads, so that it
loads without any YAML. The state of an unfinished training is a torch file that is only ever loaded as plain tensors
and numbers (`weights_only`).
"""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ecggen.atomic import whole_file
from ecggen.config import ModelConfig
from ecggen.configfile import from_dict
from ecggen.errors import UserError
from ecggen.memory import lacks_memory
from ecggen.models.ecggen import ECGGenModel
from ecggen.models.heads import HEAD_KINDS

FORMAT = "ecggen-model-1"
HARMLESS = 2**28  # numbers: a model of a gigabyte may be built before its file is trusted
MODEL_FILE = "model.safetensors"
TRAINING_FILE = "training.pt"
# What a training state consists of.
_TRAINING: dict[str, Any] = {
    **dict.fromkeys(("model", "optimizer", "best", "best_weights"), dict),
    **dict.fromkeys(("losses", "history"), list),
    "step": int,
    "seconds": float | int,
}


def save_model(path: Path, model: ECGGenModel) -> None:
    """Write a model and its head, if it has one, to `path`; the file appears whole or not at all."""
    kinds = {cls: kind for kind, cls in HEAD_KINDS.items()}
    head = None
    if model.head is not None:
        kind = kinds[type(model.head)]  # type: ignore[index]
        head = {"kind": kind, "classes": list(model.classes), "multi_label": model.multi_label}
    header = {"format": FORMAT, "model": json.dumps(asdict(model.cfg)), "head": json.dumps(head)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with whole_file(path) as temporary:
        temporary.write_bytes(save(tensors, metadata=header))  # its own writing has no word for a full disk


def load_model(path: Path, device: str = "cpu") -> ECGGenModel:
    """Read a model written by `save_model`, ready to encode.

    Raises UserError, in one line, where the file is missing, damaged, of another kind or shape, or not finite.
    """
    if not path.is_file():
        raise UserError(f"{path}: expected a model file, got none; train one with main.py or check the folder")
    try:
        with safe_open(path, framework="pt", device=device) as stream:
            header = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  not a mapping
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: expected a whole model file, got a damaged one ({error}); train it again") from None
    if header.get("format") != FORMAT:
        raise UserError(
            f"{path}: expected format {FORMAT}, got {header.get('format', 'none')}; save it with this version of ecggen"
        )
    cfg, head, numbers = _settings(path, header)
    if numbers > HARMLESS:  # a header may ask for a model of a hundred gigabytes
        with torch.device("meta"):  # shapes without memory, which takes torch most of a second to get ready for
            _check_shapes(path, _build(path, cfg, head), tensors)
    model = _build(path, cfg, head)
    _check_shapes(path, model, tensors)
    model.load_state_dict(tensors)
    _check_numbers(path, model, tensors)
    return model.to(device).eval()


def _settings(path: Path, header: dict[str, str]) -> tuple[ModelConfig, Any, int]:
    """The model block, what the header says of the head, and how many numbers these may ask for."""
    with _readable(path):
        cfg, head = from_dict({"model": json.loads(header["model"])}).model, json.loads(header["head"])
        return cfg, head, _numbers_at_most(cfg, head)


def _build(path: Path, cfg: ModelConfig, head: Any) -> ECGGenModel:
    with _readable(path):
        model = ECGGenModel(cfg)
        if head is not None:
            model.attach_head(str(head["kind"]), [str(name) for name in head["classes"]], bool(head["multi_label"]))
        return model


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raises UserError where a header is not one of ours."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, RecursionError, ValueError) as error:  # no JSON, or a number too long
        raise UserError(f"{path}: expected a model block in its header, got {error!r}; train it again") from None


def _numbers_at_most(cfg: ModelConfig, head: Any) -> int:
    """More numbers than such a model has: nothing in it is larger than some maps between two things of its sizes."""
    state = cfg.fast_state
    blocks = (cfg.tokenizer, cfg.encoder, state, cfg.vcg, cfg.projection)
    sizes = [cfg.ttt.inner_steps]
    sizes += [value for block in blocks for value in asdict(block).values() if isinstance(value, int)]
    if state.mode == "mlp":  # W is its weights
        sizes.append((state.key_width + 1) * state.hidden + (state.hidden + 1) * state.value_width)
    if head is not None:
        sizes.append(len(head["classes"]))
    return (1 + cfg.encoder.layers) * 64 * max(sizes) ** 2


def _check_shapes(path: Path, model: ECGGenModel, tensors: dict[str, torch.Tensor]) -> None:
    own = model.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        want = tuple(own[name].shape) if name in own else "nothing"
        got = tuple(tensors[name].shape) if name in tensors else "nothing"
        if want != got:
            raise UserError(
                f"{path}: expected {name} {want} as its settings say, got {got}; the file was altered, train it again"
            )


def _check_numbers(path: Path, model: ECGGenModel, tensors: dict[str, torch.Tensor]) -> None:
    """No training leaves weights that are not finite, and all that they render would be NaN."""
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not (tensors[name].is_floating_point() and value.isfinite().all()):
            raise UserError(
                f"{path}: expected finite numbers as {name}, got others; the file was altered, train it again"
            )


def save_training(folder: Path, state: dict[str, Any]) -> None:
    """Write the state of an unfinished training into `folder`, atomically."""
    content = io.BytesIO()
    torch.save(state, content)  # not to the file: torch has no word for a full disk
    with whole_file(folder / TRAINING_FILE) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_training(folder: Path) -> dict[str, Any] | None:
    """The state written by `save_training`, or None where there is none. Raises UserError for a damaged file."""
    path = folder / TRAINING_FILE
    if not path.is_file():
        return None
    try:
        _check_stored(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        wrong = [name for name, kind in _TRAINING.items() if not isinstance(state[name], kind)]
        if wrong:
            raise ValueError(f"{wrong[0]} is no {_TRAINING[wrong[0]]}")
    except Exception as error:  # torch raises many kinds for a damaged file, and no common one
        if lacks_memory(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(
            f"{path}: expected a training state, got a damaged file ({reason}); train anew with --force"
        ) from None
    return state


def _check_stored(path: Path) -> None:
    """Refuses what torch does not write: other containers than zip, and packed parts, which may unpack to anything."""
    with zipfile.ZipFile(path) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise ValueError("its parts are packed")
