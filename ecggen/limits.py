"""What a setting may be, beyond its type: the one table of ranges and choices.

`configfile` checks every value against it; a test holds that every field of `config` has its row or is free text.
"""

from dataclasses import dataclass
from typing import Any

from ecggen import config

LARGEST = 1_000_000_000  # of a count for which nothing smaller is a natural limit


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `open_low` leaves `low` itself out."""

    low: float
    high: float = LARGEST
    open_low: bool = False

    def holds(self, value: float) -> bool:
        """Whether a finite number lies in the range."""
        return (value > self.low if self.open_low else value >= self.low) and value <= self.high

    def said_to(self, value: float) -> str:
        """The range for whoever gave `value`: the limit that goes without saying is said where it was passed."""
        return f"{self}, at most {self.high:g}" if value > self.high >= LARGEST else str(self)

    def __str__(self) -> str:
        start = f"more than {self.low:g}" if self.open_low else f"{self.low:g} or more"
        if self.high >= LARGEST:
            return start
        return f"{start} and at most {self.high:g}" if self.open_low else f"{self.low:g} to {self.high:g}"


COUNT, SIZE, SHARE, WEIGHT = Range(1), Range(0), Range(0, 1), Range(0)

CHOICES: dict[str, tuple[Any, ...]] = {
    "data.source": config.SOURCES,
    "data.task": config.PTBXL_TASKS,
    "data.ptbxl_rate": (100, 500),
    "model.tokenizer.segmentation": config.SEGMENTATIONS,
    "model.tokenizer.token": config.TOKENS,
    "model.encoder.attention": config.ATTENTIONS,
    "model.fast_state.mode": config.MODES,
    "model.projection.geometry": config.GEOMETRIES,
    "model.projection.view": config.VIEWS,
    "model.ttt.estimator": config.ESTIMATORS,
    "model.ttt.inner_gradient": config.INNER_GRADIENTS,
    "train.device": config.DEVICES,
    "train.precision": config.PRECISIONS,
    "train.head": config.HEADS,
    "eval.split": ("auto", "all", *config.SPLITS),
}

# Upper limits of the model are far beyond any use; they keep a stranger's file from asking for all memory.
RANGES: dict[str, Range] = {
    "data.seconds": Range(1, 86_400),
    "data.train_folds": SIZE,
    "data.val_folds": SIZE,
    "data.test_folds": SIZE,
    "data.max_amplitude": Range(0, open_low=True),
    "data.limit": COUNT,
    "data.workers": Range(0, 1024),
    "data.simulator.records": Range(1, 10_000_000),
    "data.simulator.seed": Range(0, 2**63 - 1),
    "data.simulator.noise": Range(0, 1000),
    "data.simulator.drift": Range(0, 1000),
    "data.simulator.ectopic": SHARE,
    "data.simulator.lost_leads": SHARE,
    "model.signal.fs": Range(50, 2000),
    "model.signal.band_low": Range(0, 10, open_low=True),
    "model.signal.band_high": Range(5, 1000),
    "model.tokenizer.beat_len": Range(8, 2000),
    "model.tokenizer.before": Range(0, 0.9),
    "model.tokenizer.width": Range(1, 4096),
    "model.encoder.d_model": Range(1, 4096),
    "model.encoder.layers": Range(1, 48),
    "model.encoder.heads": Range(1, 64),
    "model.encoder.feedforward": Range(1, 16_384),
    "model.encoder.dropout": Range(0, 0.9),
    "model.fast_state.size": Range(1, 16_384),
    "model.fast_state.key_width": Range(1, 512),
    "model.fast_state.hidden": Range(1, 512),
    "model.fast_state.value_width": Range(1, 512),
    "model.ttt.chunk_size": Range(1, 10_000),
    "model.ttt.inner_steps": Range(1, 100),
    "model.ttt.state_smoothness": WEIGHT,
    "model.ttt.step_size": Range(0, 1000, open_low=True),
    "model.vcg.basis_k": Range(1, 2000),
    "model.vcg.hidden": Range(0, 4096),
    "model.projection.residual_kernel": Range(1, 255),
    "train.seed": Range(0, 2**63 - 1),
    "train.steps": COUNT,
    "train.batch_size": COUNT,
    "train.lr": Range(0, 10, open_low=True),
    "train.weight_decay": WEIGHT,
    "train.warmup": SHARE,
    "train.average": Range(0, 0.99999),
    "train.clip": Range(0, open_low=True),
    "train.all_leads": SHARE,
    "train.reduced_sets": SHARE,
    "train.robust": WEIGHT,
    "train.min_leads": Range(1, 12),
    "train.max_leads": Range(1, 12),
    "train.max_beats": Range(0, 10_000),
    "train.boundary_jitter": Range(0, 1),
    "train.validate_every": COUNT,
    "train.validate_records": COUNT,
    "train.threads": Range(0, 4096),
    "train.loss.smoothness": WEIGHT,
    "train.loss.energy": WEIGHT,
    "train.loss.loop_closure": WEIGHT,
    "train.loss.state_path": WEIGHT,
    "train.loss.residual": WEIGHT,
    "train.loss.geometry": WEIGHT,
    "eval.bootstrap": Range(0, 1_000_000),
    "eval.limit": COUNT,
    "eval.baseline_records": COUNT,
}
