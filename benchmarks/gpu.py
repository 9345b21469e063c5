"""What a GPU makes of a training: records a second by records a step, precision and compilation; trials side by side.

    python benchmarks/gpu.py

Wall times, since a GPU has no processor time, each row after a warm-up of its own. For the second table so many plain
processes train at once on one GPU, as trials do that a search gives a fraction of it (`--gpus-per-trial`); what they do
together is set against one of them alone. Without a GPU nothing is measured.
"""

import multiprocessing
import sys
import time
from collections.abc import Mapping
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

import torch

from benchmarks.step import CHUNK, MODE, trainer
from ecggen.train import Trainer

SECONDS, WARM_UP = 5.0, 30  # that a row is measured, and steps before
TRIALS = 8
PATIENCE = 300.0  # s, until one of several trials is given up
BATCH, PRECISION, COMPILE = "train.batch_size", "train.precision", "train.compile"
WANTED = 20_000  # records a second
SETTINGS: dict[str, dict[str, Any]] = {
    "`vector`, 48 records": {},
    "`vector`, 512 records": {BATCH: 512},
    "`vector`, 512 records, compiled": {BATCH: 512, COMPILE: True},
    "`vector`, 512 records, half precision": {BATCH: 512, PRECISION: "bf16"},
    "`vector`, 512 records, half precision, compiled": {BATCH: 512, PRECISION: "bf16", COMPILE: True},
    "`vector`, 2,048 records, compiled": {BATCH: 2048, COMPILE: True},
    "`mlp`, 512 records": {BATCH: 512, MODE: "mlp"},
    "`mlp`, 512 records, compiled": {BATCH: 512, MODE: "mlp", COMPILE: True},
}
TOGETHER: dict[str, Any] = {BATCH: 48}  # what a trial of a search has


def speed(training: Trainer, seconds: float, warm_up: int) -> float:
    """Records a second. A step ends by reading its loss, so that none is still under way when the clock stops."""
    records = min(training.cfg.batch_size, len(training.train_set))
    for _ in range(warm_up):
        _step(training)
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        _step(training)
        steps += 1
    return records * steps / (time.perf_counter() - begin)


def _step(training: Trainer) -> None:
    training.train_step()
    training.step += 1


def rows(settings: Mapping[str, Mapping[str, Any]], seconds: float, warm_up: int, **base: Any) -> list[str]:
    """One row a setting."""
    found = []
    for name, own in settings.items():
        records = speed(trainer(own, **base), seconds, warm_up)
        found.append(f"| {name} | {records:,.0f} | {records / WANTED:.2f} |")
        torch._dynamo.reset()  # each row compiles for itself
    return found


def _trial(base: dict[str, Any], seconds: float, warm_up: int, ready: Barrier, told: "Queue[float]") -> None:
    training = trainer(TOGETHER, **base)
    speed(training, 0.0, warm_up)
    ready.wait(PATIENCE)
    told.put(speed(training, seconds, 0))


def side_by_side(trials: int, seconds: float, warm_up: int, **base: Any) -> float:
    """Records a second of so many trainings at once, all together."""
    context = multiprocessing.get_context("spawn")  # a GPU that is in use does not survive a fork
    ready, told = context.Barrier(trials), context.Queue()
    arguments = (base, seconds, warm_up, ready, told)
    processes = [context.Process(target=_trial, args=arguments, daemon=True) for _ in range(trials)]
    for process in processes:
        process.start()
    records = sum(told.get(timeout=PATIENCE + seconds) for _ in processes)
    for process in processes:
        process.join()
    return records


def main() -> int:
    """Prints both tables; nothing but a word without a GPU."""
    if not torch.cuda.is_available():
        print("no GPU here: nothing to measure")
        return 0
    base = {"data.simulator.records": 10_000, "train.device": "cuda", "train.steps": 100_000, CHUNK: 2}
    print(torch.cuda.get_device_name())
    print(f"\n| training step | records a second | to the {WANTED:,} wanted |\n|---|---|---|")
    print("\n".join(rows(SETTINGS, SECONDS, WARM_UP, **base)))
    one, many = (side_by_side(trials, SECONDS, WARM_UP, **base) for trials in (1, TRIALS))
    print(f"\n| trials at once, 48 records a step | records a second | wanted |\n|---|---|---|\n| 1 | {one:,.0f} | |")
    print(f"| {TRIALS} | {many:,.0f}, {many / one:.1f} times one | 4 times |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
