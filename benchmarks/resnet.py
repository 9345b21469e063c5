"""A training step beside that of a residual network of as many weights, `torch_ecg`'s, on the same records.

    make bench-peer

makes it an environment of its own: torch_ecg brings some thirty packages that nothing else needs, and asks for other
releases than our pins. The peer is its `resnet_nature_comm`, narrowed: records of twelve leads and ten seconds in, five
classes out; no beats, no leads hidden. Same records, batch, optimizer and clipping; one thread, times of the processor,
turns taken. See `step.py`.
"""

import sys
from copy import deepcopy
from importlib import import_module

import torch
from torch import nn

from benchmarks.peers import REPEATS, WARM_UP, beside
from benchmarks.step import trainer
from ecggen.curriculum import records_of_step
from ecggen.leads import LEADS
from ecggen.optimizer import make_optimizer
from ecggen.train import Trainer

NAME = "resnet_nature_comm"
STEM, HEAD, CLASSES = 10, 64, 5  # channels, with these as many weights as ours
PEER = "torch_ecg, residual network"


def residual_network(fs: float) -> nn.Module:
    """torch_ecg's: [B, L, T] mV -> logits [B, 5]. Raises ImportError without torch_ecg."""
    config = deepcopy(import_module("torch_ecg.model_configs").ECG_CRNN_CONFIG)
    config.fs, config.cnn.name, config.rnn.name, config.attn.name = int(fs), NAME, "none", "none"
    config.clf.out_channels = [HEAD]
    width = config.cnn[NAME]
    width.stem.num_filters, width.num_filters = STEM, [times * STEM for times in (2, 3, 4, 5)]  # as 64 to 128..320
    made: nn.Module = import_module("torch_ecg.models").ECG_CRNN([str(y) for y in range(CLASSES)], len(LEADS), config)
    return made


class ClassTraining:
    """A training of a model of whole records, on those that `training` would see at each step."""

    def __init__(self, training: Trainer, model: nn.Module) -> None:
        self.seen, self.step, self.model = training, 0, model
        self.optimizer = make_optimizer(model, training.cfg)

    def train_step(self) -> float:
        """One optimizer step; the loss. The classes are of no matter here, and drawn."""
        seen = self.seen
        batch = seen.train_set.batch(records_of_step(seen.cfg, self.step, len(seen.train_set)))
        goal = torch.randint(2, (len(batch["ecg"]), CLASSES)).float()
        loss = nn.functional.binary_cross_entropy_with_logits(self.model(batch["ecg"]), goal)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), seen.cfg.clip)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())


def main() -> int:
    """Prints the table; 2 without torch_ecg."""
    try:
        model = residual_network(fs=100.0)
    except ImportError as missing:
        print(f"torch_ecg: expected it installed, got: {missing}; call make bench-peer", file=sys.stderr)
        return 2
    print(f"| training step | weights | records a second | time / {PEER} |\n|---|---|---|---|")
    print("\n".join(beside(PEER, ClassTraining(trainer({}), model), REPEATS, WARM_UP)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
