"""What a training step costs: by mode, chunk size, inner steps, batch and beats, and beside an amortised encoder.

    python benchmarks/step.py

One thread. Settings take turns, step by step, on the same simulated records; a time is the processor's, so that other
work on the machine counts little, and a ratio is the median of the ratios of steps taken one after the other. The
amortised encoder is the same model that guesses W from the mean token of a chunk instead of solving for it
(`model.ttt.estimator: amortised`, state `vector`). "Weights" are those a step moves.
"""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch

from ecggen.config import RunConfig
from ecggen.configfile import apply_settings
from ecggen.train import Trainer

REPEATS, WARM_UP = 30, 3
MODE, CHUNK, ESTIMATOR = "model.fast_state.mode", "model.ttt.chunk_size", "model.ttt.estimator"
BASE = {"data.simulator.records": 400, "train.threads": 1, "train.device": "cpu", CHUNK: 2}
AMORTISED = "amortised encoder, chunk 2"
SETTINGS: dict[str, dict[str, Any]] = {
    AMORTISED: {ESTIMATOR: "amortised"},
    "`vector`, chunk 2, two inner steps": {},
    "`mlp`, chunk 2, two inner steps": {MODE: "mlp"},
    "`vector`, gradient by autograd": {"model.ttt.inner_gradient": "autograd"},
    "`mlp`, gradient by autograd": {MODE: "mlp", "model.ttt.inner_gradient": "autograd"},
    "`vector`, chunk 1 (default)": {CHUNK: 1},
    "`vector`, chunk 4": {CHUNK: 4},
    "`mlp`, chunk 1": {MODE: "mlp", CHUNK: 1},
    "`vector`, five inner steps": {"model.ttt.inner_steps": 5},
    "`vector`, D = 256": {"model.fast_state.size": 256},
    "`vector`, 16 records": {"train.batch_size": 16},
    "`vector`, 128 records": {"train.batch_size": 128},
    "`vector`, 4 beats": {"train.max_beats": 4},
    "`vector`, all beats": {"train.max_beats": 0},
}
BOUNDS = {"`vector`, chunk 2, two inner steps": 1.25, "`mlp`, chunk 2, two inner steps": 1.6}


def interleaved(tasks: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 0) -> dict[str, list[float]]:
    """Processor seconds of each task, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(warm_up + repeats):
        for name, task in tasks.items():
            began = time.process_time()
            task()
            if turn >= warm_up:
                seconds[name].append(time.process_time() - began)
    return seconds


def ratio(seconds: list[float], base: list[float]) -> float:
    """The median over turns of one time against another."""
    return median(own / other for own, other in zip(seconds, base, strict=True))


def trainer(settings: Mapping[str, Any], **base: Any) -> Trainer:
    """A training under `BASE` with settings of its own, before its first step."""
    torch.set_num_threads(1)
    return Trainer(apply_settings(RunConfig(), {**BASE, **base, **settings}), None)


def stepping(training: Trainer) -> Callable[[], None]:
    """A call takes one step."""

    def step() -> None:
        training.train_step()
        training.step += 1

    return step


def moved_weights(training: Trainer) -> int:
    """Weights that the last step had a gradient for."""
    return sum(p.numel() for p in training.model.parameters() if p.grad is not None)


def measure(settings: Mapping[str, Mapping[str, Any]], repeats: int, warm_up: int = WARM_UP, **base: Any) -> list[str]:
    """One row a setting, the first one being what the others are compared with, record by record."""
    trainings = {name: trainer(own, **base) for name, own in settings.items()}
    seconds = interleaved({name: stepping(training) for name, training in trainings.items()}, repeats, warm_up)
    first = next(iter(trainings))
    rows = []
    for name, training in trainings.items():
        records = min(training.cfg.batch_size, len(training.train_set))
        share = ratio(seconds[name], seconds[first]) * trainings[first].cfg.batch_size / records
        bound = f"<= {BOUNDS[name]:g}" if name in BOUNDS else ""
        speed = records / median(seconds[name])
        rows.append(f"| {name} | {moved_weights(training):,} | {speed:,.0f} | {share:.2f} | {bound} |")
    return rows


def main() -> None:
    print("| training step | weights | records a second | time a record / amortised | bound |")
    print("|---|---|---|---|---|")
    print("\n".join(measure(SETTINGS, REPEATS)))


if __name__ == "__main__":
    main()
