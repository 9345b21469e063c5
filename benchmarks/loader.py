"""How long a training step waits for its data: PTB-XL from its cache, a trial's one thread.

    records        `ECGDataset.signals`: one gather from the memory-mapped store, one conversion to single precision
    what is shown  the order of the records, the leads that a step shows, the beat windows
    the rest       what computes: forward, estimation, loss, backward, optimizer

The three are timed inside the very steps of `ecggen.train`. Run as `python benchmarks/loader.py --data-root DIR`;
without a folder three folds of PTB-XL are unpacked. The cache is the user's, or one that is removed where PTB-XL was
unpacked.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sandbox.ptbxl import REPO, ptbxl

from ecggen import train as training
from ecggen.config import RunConfig
from ecggen.configfile import apply_settings, load_run_config
from ecggen.train import Trainer

V1 = REPO / "configs" / "train" / "v1.yaml"
WARM, STEPS = 10, 150  # steps before the clock, and under it
MOST = 3.0  # per cent of a step that its data may take


class Timed:
    """A function that notes how long each call takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The call itself."""
        begin = time.perf_counter()
        try:
            return self.function(*args, **options)
        finally:
            self.seconds += time.perf_counter() - begin

    def taken(self) -> float:
        """Seconds since this was asked last."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def steps(run: RunConfig) -> list[tuple[float, float, float]]:
    """Seconds of the records, of what is shown, and of all, for each step of a training."""
    torch.set_num_threads(1)
    trainer = Trainer(run, None)
    records = Timed(trainer.train_set.signals)
    trainer.train_set.signals = records  # type: ignore[method-assign]
    scene = Timed(training.scene_of_step)
    training.scene_of_step = scene  # type: ignore[assignment]
    found = []
    for _ in range(WARM + STEPS):
        begin = time.perf_counter()
        trainer.train_step()
        trainer.step += 1
        read = records.taken()
        found.append((read, scene.taken() - read, time.perf_counter() - begin))
    training.scene_of_step = scene.function  # type: ignore[assignment]
    return found[WARM:]


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", default="", help="folder of PTB-XL")
    args = parser.parse_args()
    with ptbxl(args.data_root, folds=(1, 2, 9)) as root, tempfile.TemporaryDirectory() as folder:
        own = {} if root == Path(args.data_root) else {"data.cache": folder}
        data = {"data.source": "ptbxl", "data.root": str(root), "train.threads": 1, "train.device": "cpu", **own}
        base = apply_settings(load_run_config(V1), data)
        print(f"Shares of a training step, medians of {STEPS} steps; {base.train.batch_size} records each")
        print("| state | step, ms | records | what is shown | together | worst tenth | wanted |")
        print("|---" * 7 + "|")
        for mode in ("vector", "mlp"):
            found = steps(apply_settings(base, {"model.fast_state.mode": mode}))
            whole = statistics.median(step for _, _, step in found)
            shares = [
                [100 * part / step for part in (records, shown, records + shown)] for records, shown, step in found
            ]
            cells = [f"{statistics.median(column):.1f} %" for column in zip(*shares, strict=True)]
            worst = statistics.quantiles([share[-1] for share in shares], n=10)[-1]
            print(f"| {mode} | {1e3 * whole:.1f} | {' | '.join(cells)} | {worst:.1f} % | <= {MOST:g} % |", flush=True)


if __name__ == "__main__":
    main()
