"""A training step beside that of a plain transformer of as many weights, on the same tokens of the same records.

    python benchmarks/peers.py

The plain one is a vision transformer's encoder with beats for patches: a linear token, a lead embedding, a class token,
PyTorch's own layers over all tokens (absent ones masked, not left out), and one linear read-out of the class token into
the mean beat of all twelve leads. Same records, beats, shown leads, optimizer and clipping; one thread, times of the
processor, turns taken. See `step.py`; `resnet.py` has another peer.
"""

from collections.abc import Callable
from statistics import median
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from benchmarks.step import CHUNK, MODE, interleaved, moved_weights, ratio, stepping, trainer
from ecggen.config import EncoderConfig
from ecggen.curriculum import scene_of_step
from ecggen.leads import LEADS
from ecggen.optimizer import make_optimizer
from ecggen.train import Trainer

REPEATS, WARM_UP = 30, 3
LAYERS = 2  # with the wide read-out the nearest number of weights to ours
OURS: dict[str, dict[str, Any]] = {
    "ecggen, `vector`, chunk 2": {},
    "ecggen, `mlp`, chunk 2": {MODE: "mlp"},
    "ecggen, `vector`, chunk 1": {CHUNK: 1},
}
PLAIN = "plain transformer"


class PlainTransformer(nn.Module):
    """Tokens [B, L, N, T'] and which are present [B, L, N] -> the mean beat of all leads [B, L, T']."""

    def __init__(self, beat_len: int, cfg: EncoderConfig, layers: int) -> None:
        super().__init__()
        self.token = nn.Linear(beat_len, cfg.d_model)
        self.lead = nn.Parameter(0.1 * torch.randn(len(LEADS), 1, cfg.d_model))
        self.record = nn.Parameter(0.1 * torch.randn(1, 1, cfg.d_model))
        layer = nn.TransformerEncoderLayer(
            cfg.d_model, cfg.heads, cfg.feedforward, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, layers, nn.LayerNorm(cfg.d_model), enable_nested_tensor=False)
        self.out = nn.Linear(cfg.d_model, len(LEADS) * beat_len)

    def forward(self, beats: Tensor, present: Tensor) -> Tensor:
        """See the class."""
        tokens = (self.token(beats) + self.lead).flatten(1, 2)
        tokens = torch.cat([self.record.expand(len(beats), -1, -1), tokens], 1)
        seen = nn.functional.pad(present.flatten(1), (1, 0), value=True)
        read = self.body(tokens, src_key_padding_mask=~seen)[:, 0]
        return self.out(read).unflatten(1, (len(LEADS), -1))


class PlainTraining:
    """A training of the plain one on what `training` would see at each step."""

    def __init__(self, training: Trainer, layers: int) -> None:
        self.seen, self.step = training, 0
        model = training.run.model
        self.model = PlainTransformer(model.tokenizer.beat_len, model.encoder, layers)
        self.optimizer = make_optimizer(self.model, training.cfg)

    def train_step(self) -> float:
        """One optimizer step; the loss."""
        seen, cfg = self.seen, self.seen.cfg
        scene = scene_of_step(cfg, self.step, seen.train_set, seen.model.tokenizer)
        meta = seen.model.tokenizer.cut(scene.ecg, scene.shown, scene.windows)
        real = meta["beat_mask"][:, None, :]
        present = scene.shown[:, :, None] & real
        drawn = self.model(meta["beats"] * present[..., None], present)
        kept = (scene.lead_present[:, :, None] & real)[..., None]
        loss = ((drawn[:, :, None] - meta["beats"]) * kept).square().sum() / kept.sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), cfg.clip)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())


class Peer(Protocol):
    """A training of another model, on what `seen` would see at each step."""

    seen: Trainer
    model: nn.Module

    def train_step(self) -> float:
        """One optimizer step; the loss."""
        ...


def beside(name: str, peer: Peer, repeats: int, warm_up: int, **base: Any) -> list[str]:
    """One row a model, the peer's first: ours take turns with it."""
    trainings = {own: trainer(settings, **base) for own, settings in OURS.items()}
    tasks: dict[str, Callable[[], object]] = {name: peer.train_step}
    tasks |= {own: stepping(training) for own, training in trainings.items()}
    seconds = interleaved(tasks, repeats, warm_up)
    weights = {name: sum(p.numel() for p in peer.model.parameters())}
    weights |= {own: moved_weights(training) for own, training in trainings.items()}
    records = min(peer.seen.cfg.batch_size, len(peer.seen.train_set))
    return [
        f"| {who} | {weights[who]:,} | {records / median(own):,.0f} | {ratio(own, seconds[name]):.2f} |"
        for who, own in seconds.items()
    ]


def main() -> None:
    print("| training step | weights | records a second | time / plain transformer |\n|---|---|---|---|")
    print("\n".join(beside(PLAIN, PlainTraining(trainer({}), LAYERS), REPEATS, WARM_UP)))


if __name__ == "__main__":
    main()
