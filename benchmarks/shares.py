"""Where a training step's time goes: data, beats, encoder, estimation, rendering, weights.

    python benchmarks/shares.py

Each part is run and read backwards by itself, cut off from its neighbours, on the batches and with the gradients of a
real training; shares are of the sum of medians. One thread, times of the processor. See `step.py`.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from benchmarks.step import CHUNK, MODE, trainer
from ecggen.curriculum import scene_of_step
from ecggen.losses import loss_terms, total_loss
from ecggen.optimizer import learning_rate
from ecggen.train import Trainer

REPEATS, WARM_UP = 30, 3
SETTINGS: dict[str, dict[str, Any]] = {
    "`vector`, chunk 1": {CHUNK: 1},
    "`vector`, chunk 2": {},
    "`mlp`, chunk 2": {MODE: "mlp"},
}
PARTS = ("data", "beats and tokens", "encoder", "estimation", "rendering and loss", "clipping and optimizer")
Result = TypeVar("Result")


class Parts:
    """One training, its step taken apart; `seconds` gathers what each part took."""

    def __init__(self, training: Trainer) -> None:
        self.training = training
        self.seconds: dict[str, float] = {}

    def timed(self, part: str, work: Callable[[], Result]) -> Result:
        """Do some work on a part's account."""
        began = time.process_time()
        result = work()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - began
        return result

    def step(self) -> dict[str, float]:
        """One training step; seconds of each part."""
        self.seconds = {}
        training, model, cfg = self.training, self.training.model, self.training.cfg
        scene = self.timed("data", lambda: scene_of_step(cfg, training.step, training.train_set, model.tokenizer))
        x, meta = self.timed("beats and tokens", lambda: model.tokenizer(scene.ecg, scene.shown, scene.windows))
        masks = meta["lead_mask"], meta["beat_mask"]
        x_cut = cut(x)
        h = self.timed("encoder", lambda: model.encoder(x_cut, *masks))
        h_cut = cut(h)
        found = self.timed("estimation", lambda: model.ttt(h_cut, *masks))
        w_cut = cut(found["W_seq"])
        loss = self.timed("rendering and loss", lambda: self.loss(w_cut, meta, scene.lead_present))
        for group in training.optimizer.param_groups:
            group["lr"] = learning_rate(cfg, training.step)
        training.optimizer.zero_grad(set_to_none=True)
        self.timed("rendering and loss", loss.backward)
        self.timed("estimation", lambda: found["W_seq"].backward(w_cut.grad))
        self.timed("encoder", lambda: h.backward(h_cut.grad))
        self.timed("beats and tokens", lambda: x.backward(x_cut.grad))
        self.timed("clipping and optimizer", lambda: nn.utils.clip_grad_norm_(model.parameters(), cfg.clip))
        self.timed("clipping and optimizer", training.optimizer.step)
        training.step += 1
        return self.seconds

    def loss(self, w_seq: Tensor, meta: dict[str, Any], present: Tensor) -> Tensor:
        """Render the states of a batch and judge them."""
        model, chunk = self.training.model, self.training.run.model.ttt.chunk_size
        real = meta["beat_mask"][:, ::chunk]
        drawn = {f"{name}_seq": value * real[..., None, None] for name, value in model.render(w_seq).items()}
        out = {**drawn, "W_seq": w_seq, "chunk_mask": real, "meta": meta}
        terms = loss_terms(out, present, model.projection, model.ttt.state.prior, chunk)
        return total_loss(terms, self.training.cfg.loss)


def cut(value: Tensor) -> Tensor:
    """The same numbers as a leaf of their own."""
    return value.detach().requires_grad_()


def measure(repeats: int, warm_up: int = WARM_UP, **base: Any) -> dict[str, dict[str, float]]:
    """Setting -> part -> median seconds a step."""
    torch.manual_seed(0)
    taken = {name: Parts(trainer(own, **base)) for name, own in SETTINGS.items()}
    steps: dict[str, list[dict[str, float]]] = {name: [] for name in taken}
    for turn in range(warm_up + repeats):
        for name, parts in taken.items():
            seconds = parts.step()
            if turn >= warm_up:
                steps[name].append(seconds)
    return {name: {part: median(step[part] for step in of) for part in PARTS} for name, of in steps.items()}


def main() -> None:
    found = measure(REPEATS)
    print(f"| share of a training step | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for part in PARTS:
        shares = (f"{seconds[part] / sum(seconds.values()):.0%}" for seconds in found.values())
        print(f"| {part} | {' | '.join(shares)} |")
    print(f"| ms | {' | '.join(f'{1e3 * sum(seconds.values()):.0f}' for seconds in found.values())} |")


if __name__ == "__main__":
    main()
