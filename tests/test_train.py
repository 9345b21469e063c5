"""Training: that it learns, that it resumes to the bit, and how it stops."""

import math

import pytest
import torch

from ecggen.errors import Interrupted, UserError
from ecggen.eval import validate
from ecggen.train import (
    Trainer,
    train,
)
from tests.tiny import tiny_run


def same_weights(a, b) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def test_training_lowers_the_loss_and_reports_the_same_metrics_each_time():
    rows = []
    result = train(
        tiny_run(train__steps=60, train__validate_every=20), lambda step, row: rows.append((step, row)), quiet=True
    )
    assert [step for step, _ in rows] == [20, 40, 60]
    assert all(set(row) == set(rows[0][1]) for _, row in rows)
    assert {"val_hidden_r", "val_r", "val_r2", "train_loss", "step", "seconds"} <= set(rows[0][1])
    assert rows[-1][1]["train_loss"] < 0.8 * rows[0][1]["train_loss"]
    assert result.best["val_hidden_r"] == max(row["val_hidden_r"] for _, row in rows)
    assert result.step == 60 and not result.stopped


def test_equal_seeds_give_equal_weights_and_others_do_not():
    a, b = (train(tiny_run(), quiet=True).model for _ in range(2))
    other = train(tiny_run(train__seed=1), quiet=True).model
    assert same_weights(a, b) and not same_weights(a, other)


@pytest.mark.parametrize(("mode", "average", "robust"), [("vector", 0.0, 0.0), ("mlp", 0.0, 0.0), ("vector", 0.5, 1.0)])
def test_interrupted_at_three_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, mode, average, robust):
    run = tiny_run(
        model__fast_state__mode=mode,
        model__encoder__dropout=0.1,
        train__average=average,
        train__robust=robust,
    )
    whole = train(run, quiet=True)
    first = train(run, lambda step, _: step == 3, tmp_path, quiet=True)
    assert first.stopped and first.step == 3
    assert not same_weights(first.model, whole.model)
    resumed = train(run, folder=tmp_path, resume=True, quiet=True)
    assert same_weights(resumed.model, whole.model)
    assert [_without_time(r) for r in resumed.history] == [_without_time(r) for r in whole.history]


def test_the_running_mean_of_the_weights_is_what_is_judged_and_kept():
    trainer = Trainer(tiny_run(train__average=0.75), None)
    expected = None
    for done in range(3):
        trainer.losses.append(trainer.train_step())
        trainer.step += 1
        now = trainer.model.projection.gain.detach().clone()
        decay = min(0.75, (1 + done) / (10 + done))
        expected = now if expected is None else decay * expected + (1 - decay) * now
    row = trainer.judge()
    kept = trainer.result(False).model
    torch.testing.assert_close(kept.projection.gain.detach(), expected)
    assert validate(kept, trainer.val_set, trainer.cfg.validate_records)["val_r"] == pytest.approx(row["val_r"])
    plain = Trainer(tiny_run(), None)
    for _ in range(3):
        plain.train_step()
        plain.step += 1
    assert torch.equal(plain.model.projection.gain, now), "the mean is only read, training goes as without it"


def test_a_running_mean_over_more_steps_than_there_were_does_not_hold_on_to_the_first_weights():
    trainer = Trainer(tiny_run(train__average=0.999), None)
    start = trainer.model.vcg.basis.detach().clone()
    for _ in range(20):
        trainer.train_step()
        trainer.step += 1
    now, mean = trainer.model.vcg.basis.detach(), trainer.mean.module.vcg.basis.detach()
    assert (mean - now).norm() < 0.5 * (mean - start).norm()


def _without_time(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "seconds"}


def test_ctrl_c_saves_the_step_and_the_resumed_run_is_the_same(tmp_path, monkeypatch):
    import os
    import signal

    run = tiny_run()
    whole = train(run, quiet=True)
    step = Trainer.train_step

    def interrupt_in_step_two(self):
        if self.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self)

    monkeypatch.setattr(Trainer, "train_step", interrupt_in_step_two)
    with pytest.raises(Interrupted, match="step 2 of 6"):
        train(run, folder=tmp_path, quiet=True)
    monkeypatch.undo()
    resumed = train(run, folder=tmp_path, resume=True, quiet=True)
    assert same_weights(resumed.model, whole.model)
    assert [_without_time(r) for r in resumed.history] == [_without_time(r) for r in whole.history]


def test_a_loss_that_is_not_finite_stops_with_the_step_and_a_remedy(monkeypatch):
    monkeypatch.setattr("ecggen.train.total_loss", lambda terms, weights: terms["reconstruction"] * math.nan)
    with pytest.raises(UserError, match=r"finite.*nan at step 1.*train\.lr"):
        train(tiny_run(), quiet=True)


def test_an_empty_validation_split_trains_all_the_same():
    result = train(tiny_run(data__simulator__records=4), quiet=True)
    assert result.step == 6 and all(p.isfinite().all() for p in result.model.parameters())


def test_a_training_state_of_another_model_is_refused(tmp_path):
    train(tiny_run(), lambda step, _: True, tmp_path, quiet=True)
    with pytest.raises(UserError, match="expected one of this model"):
        train(tiny_run(model__fast_state__size=20), folder=tmp_path, resume=True, quiet=True)


def test_a_damaged_training_state_is_refused(tmp_path):
    (tmp_path / "training.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="damaged file.*--force"):
        train(tiny_run(), folder=tmp_path, resume=True, quiet=True)
