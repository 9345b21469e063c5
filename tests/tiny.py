"""Settings of runs that train in a second, for the tests of training, folders and entry points."""

from typing import Any

from ecggen.config import RunConfig
from ecggen.configfile import apply_settings

TINY: dict[str, Any] = {
    "data.simulator.records": 60,
    "data.simulator.lost_leads": 0.0,
    "data.workers": 1,
    "model.tokenizer.beat_len": 40,
    "model.tokenizer.width": 16,
    "model.encoder.d_model": 16,
    "model.encoder.layers": 1,
    "model.encoder.heads": 2,
    "model.encoder.feedforward": 32,
    "model.fast_state.size": 24,
    "model.ttt.chunk_size": 4,
    "model.vcg.basis_k": 8,
    "train.steps": 6,
    "train.batch_size": 8,
    "train.validate_every": 3,
    "train.validate_records": 8,
    "train.threads": 1,
    "train.device": "cpu",
    "eval.bootstrap": 20,
}


def tiny_run(**changes: Any) -> RunConfig:
    """A run over `TINY`; changes with `__` for the dots, e.g. train__steps=4."""
    return apply_settings(RunConfig(), {**TINY, **{path.replace("__", "."): value for path, value in changes.items()}})


def as_options(**changes: Any) -> list[str]:
    """The same as command-line options of main.py."""
    settings = {**TINY, **{path.replace("__", "."): value for path, value in changes.items()}}
    return [word for path, value in settings.items() for word in ("--set", f"{path}={value}")]
