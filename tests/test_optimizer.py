"""How weights move: a rate that comes and goes, and a decay for matrices alone."""

import itertools

import pytest
import torch

from ecggen.config import TrainConfig
from ecggen.optimizer import learning_rate, make_optimizer, running_mean
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
    advanced = running_mean(0.75)
    mean, value = torch.tensor([0.0]), torch.tensor([1.0])
    assert advanced(mean, value, 0).item() == pytest.approx(0.9)  # of the first weights a tenth is left
    assert advanced(mean, value, 10).item() == pytest.approx(1 - 11 / 20)
    assert advanced(mean, value, 10**6).item() == pytest.approx(0.25)
