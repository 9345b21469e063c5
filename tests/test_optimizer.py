"""How weights move: a rate that comes and goes, and a decay for matrices alone."""

import copy
import itertools
import subprocess
import sys

import pytest
import torch

from ecggen.config import TrainConfig
from ecggen.optimizer import EagerAdamW, RunningMean, learning_rate, make_optimizer
from ecggen.train import Trainer
from tests.tiny import tiny_run


def test_learning_rate_warms_up_and_comes_down():
    cfg = TrainConfig(steps=100, warmup=0.1, lr=1.0)
    rates = [learning_rate(cfg, s) for s in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(1.0) and rates.index(max(rates)) in (9, 10)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:])) and rates[-1] < 0.05


def test_only_matrices_decay():
    trainer = Trainer(tiny_run(), None)
    groups = make_optimizer(trainer.model, trainer.cfg).param_groups
    kept = {id(p) for p in groups[1]["params"]}
    model = trainer.model
    for p in (model.vcg.basis, model.ttt.raw_step, model.ttt.state.prior, model.projection.gain):
        assert id(p) in kept


def test_the_running_mean_looks_back_over_a_ninth_of_the_steps_and_then_over_a_fixed_number():
    mean, model = RunningMean(torch.nn.Linear(1, 1), 0.75), torch.nn.Linear(1, 1)
    for steps, left in ((1, 2 / 11), (10, 11 / 20), (10**6, 0.75)):
        mean.n_averaged.fill_(steps)
        torch.nn.init.zeros_(mean.module.weight)
        torch.nn.init.ones_(model.weight)
        mean.update(model)
        assert mean.module.weight.item() == pytest.approx(1 - left) and mean.n_averaged == steps + 1


def test_the_running_mean_begins_with_the_weights_of_the_first_step():
    mean, model = RunningMean(torch.nn.Linear(3, 2), 0.75), torch.nn.Linear(3, 2)
    mean.update(model)
    assert torch.equal(mean.module.weight, model.weight) and torch.equal(mean.module.bias, model.bias)


def moved(kind, steps, state=None):
    """Weights after some steps on a known loss, and the optimizer's state."""
    weight = torch.nn.Parameter(torch.linspace(-1, 2, 12).reshape(3, 4))
    optimizer = kind([{"params": [weight], "weight_decay": 0.1}], lr=0.05, betas=(0.9, 0.98))
    if state is not None:
        optimizer.load_state_dict(state)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        (weight.sin().sum() ** 2).backward()
        optimizer.step()
    return weight.detach(), copy.deepcopy(optimizer.state_dict())


def test_the_optimizer_moves_weights_as_torchs_own_does_also_after_it_was_loaded():
    ours, state = moved(EagerAdamW, 5)
    theirs, other = moved(torch.optim.AdamW, 5)
    assert torch.equal(ours, theirs)
    assert torch.equal(moved(EagerAdamW, 3, state)[0], moved(torch.optim.AdamW, 3, other)[0])


COMPILER = """
import copy, sys, torch
from ecggen.optimizer import EagerAdamW
weight = torch.nn.Parameter(torch.ones(3))
optimizer = EagerAdamW([weight])
optimizer.zero_grad(set_to_none=True)
weight.sum().backward()
optimizer.step()
optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
print("torch._dynamo" in sys.modules)
"""


def test_the_optimizer_loads_no_compiler():
    done = subprocess.run([sys.executable, "-c", COMPILER], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
