"""Half precision, compilation, signals on a device: they change how long a training takes, and hardly what it finds."""

import pytest
import torch

from ecggen.acceleration import compile_model, keep_signals_near
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError
from ecggen.runid import run_hash
from ecggen.train import Trainer
from tests.models.conftest import hearts, small_model
from tests.tiny import tiny_run


def losses(steps=6, **changes):
    trainer = Trainer(tiny_run(**changes), None)
    found = []
    for _ in range(steps):
        found.append(trainer.train_step())
        trainer.step += 1
    return found


@pytest.mark.parametrize(("mode", "kind"), [("vector", "gradient"), ("mlp", "gradient"), ("vector", "ridge")])
def test_half_precision_trains_close_to_full(mode, kind):
    changes = {"model__fast_state__mode": mode, "model__ttt__estimator": kind}
    half, full = (losses(train__precision=name, **changes) for name in ("bf16", "fp32"))
    assert half != full
    assert half == pytest.approx(full, rel=0.02)


def test_half_precision_is_for_tokens_and_not_for_the_state_or_the_leads():
    model, ecg = small_model(), hearts(2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        out = model.forward_gen(ecg)
        alone = model.render(out["W"])["E_hat"]
    assert out["X"].dtype == torch.bfloat16
    assert {out[name].dtype for name in ("W_seq", "proxy", "V", "E_hat")} == {torch.float32}
    with torch.no_grad():
        whole = model.render(out["W"])["E_hat"]
    torch.testing.assert_close(out["E_hat"], whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-6)


def test_a_run_in_full_precision_keeps_its_hash_and_one_in_half_has_its_own():
    assert run_hash(tiny_run(train__precision="bf16")) != run_hash(tiny_run())


def test_signals_on_a_device_are_the_same_signals_and_only_where_they_fit():
    dataset, cpu = ECGDataset(tiny_run(), "train"), torch.device("cpu")
    before = dataset.batch([3, 0, 7])
    size = len(dataset) * before["ecg"][0].numel() * 2  # stored in half precision
    assert not dataset.move_signals(cpu, size - 1) and dataset.moved is None
    assert dataset.move_signals(cpu, size)
    after = dataset.batch([3, 0, 7])
    assert torch.equal(before["ecg"], after["ecg"]) and before["id"] == after["id"]


def test_a_cpu_keeps_no_signals():
    dataset = ECGDataset(tiny_run(), "train")
    assert not keep_signals_near(dataset, torch.device("cpu")) and dataset.moved is None


def test_compilation_without_a_compiler_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"train\.compile: expected a C\+\+ compiler.*got none; install one"):
        compile_model(small_model())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # PyTorch's compiler warns of its own ways
def test_a_compiled_training_has_the_same_losses_and_weights_of_the_same_names():
    assert losses(4, train__compile=True) == pytest.approx(losses(4), rel=1e-4)
    model, plain = small_model(), small_model()
    compile_model(model)
    assert model.state_dict().keys() == plain.state_dict().keys()
