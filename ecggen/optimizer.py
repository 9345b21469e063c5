"""How weights move: the learning rate of each step, the optimizer, and the running mean that is judged and kept."""

import copy
import inspect
import math

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ecggen.config import TrainConfig

FINAL_LR = 0.02  # share of the learning rate left at the end of the cosine
BETAS = (0.9, 0.98)


def learning_rate(cfg: TrainConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to FINAL_LR."""
    warm = max(1, round(cfg.warmup * cfg.steps))
    if step < warm:
        return cfg.lr * (step + 1) / warm
    done = (step - warm) / max(1, cfg.steps - warm)
    return cfg.lr * (FINAL_LR + (1 - FINAL_LR) * 0.5 * (1 + math.cos(math.pi * done)))


class EagerAdamW(torch.optim.AdamW):
    """torch's AdamW without the wrappers in which its own compiler would see it; the arithmetic is torch's.

    The first call of any wrapper loads that compiler, .6 s in every process that trains. Here the loss may be compiled,
    never the optimizer.
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def make_optimizer(model: nn.Module, cfg: TrainConfig) -> torch.optim.AdamW:
    """AdamW; only matrices decay. Offsets, gains, W0, step sizes and the basis curves have a meaning at their size."""
    learned = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for name, p in learned if p.ndim > 1 and not name.endswith((".basis", "raw_step", "lead_vectors"))]
    ids = {id(p) for p in decayed}
    others = [p for _, p in learned if id(p) not in ids]
    groups = [{"params": decayed, "weight_decay": cfg.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return EagerAdamW(groups, lr=cfg.lr, betas=BETAS, fused=learned[0][1].is_cuda or None)


class RunningMean(nn.Module):
    """Weights averaged over about the last 1 / (1 - decay) steps, at the start over the last ninth of those that were.

    `module` is a copy of the model that holds them; buffers are constants here. How many steps there were stays on the
    CPU, where nothing has to be waited for to know it.
    """

    n_averaged: Tensor

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        self.decay = decay
        self.register_buffer("n_averaged", torch.tensor(0))

    def kept(self) -> float:
        """Share of the mean that the next step leaves."""
        steps = int(self.n_averaged)
        # The first weights know nothing: with a decay of .999 they would be half of the mean for 700 steps.
        return min(self.decay, (1 + steps) / (10 + steps)) if steps else 0.0

    def update(self, model: nn.Module) -> None:
        """Take in the weights of one more step."""
        own, new = ([p.detach() for p in of.parameters()] for of in (self.module, model))
        get_ema_multi_avg_fn(self.kept())(own, new, None)
        self.n_averaged += 1
