"""Half precision, compilation, a GPU: they change how long a training takes, and hardly what it finds."""

import pytest
import torch

from ecggen.acceleration import keep_signals_near
from ecggen.curriculum import scene_of_step
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError
from ecggen.runid import run_hash
from ecggen.train import Trainer, train
from tests.far_device import FAR, far_device
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


WAYS = {
    "vector": {},
    "mlp": {"model__fast_state__mode": "mlp"},
    "ridge": {"model__ttt__estimator": "ridge"},
    "amortised": {"model__ttt__estimator": "amortised"},
    "prior": {"model__ttt__estimator": "prior"},
    "autograd": {"model__ttt__inner_gradient": "autograd"},
    "causal, own view, half": {
        "model__encoder__attention": "causal",
        "model__projection__view": "own",
        "train__precision": "bf16",
        "train__robust": 1.0,
    },
    "conv, all beats": {"model__tokenizer__token": "conv", "model__tokenizer__pace": True, "train__max_beats": 0},
    "equal, mean": {"model__tokenizer__segmentation": "equal", "train__average": 0.9},
}
# PyTorch compiles no gradient of a gradient, which the inner one by autograd asks for.
GRAPHS = [
    pytest.param(way, marks=[] if way in ("vector", "mlp") else pytest.mark.slow) for way in WAYS if way != "autograd"
]


@pytest.fixture
def gpu(monkeypatch):
    """One that is not there, see `far_device`."""
    monkeypatch.setattr("ecggen.train.resolve_device", lambda name: FAR)
    with far_device(monkeypatch) as device:
        yield device


def three_steps(trainer):
    found = []
    for trainer.step in range(3):
        found.append(trainer.train_step())
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_step_on_a_gpu_finds_the_same_and_waits_for_it_once(monkeypatch, gpu, way):
    far = Trainer(tiny_run(**WAYS[way]), None)
    assert far.train_set.move_signals(FAR, 10**9)
    gpu.waits.clear()
    found = three_steps(far)
    assert gpu.waits == ["aten._to_copy.default"] * 3
    monkeypatch.undo()
    assert found == pytest.approx(
        three_steps(Trainer(tiny_run(**WAYS[way]), None)), rel=1e-3 if "half" in way else 1e-5
    )


def test_a_step_that_waits_or_mixes_devices_is_noticed(gpu, monkeypatch):
    far = Trainer(tiny_run(), None)
    whole = far.model.ttt.state.initial
    for fault in (
        lambda w: w + w[w > 0].sum(),
        lambda w: w * float(w.detach().sum()),
        lambda w: w * (2 if w.any() else 1),
    ):
        monkeypatch.setattr(far.model.ttt.state, "initial", lambda batch, fault=fault: fault(whole(batch)))
        gpu.waits.clear()
        far.train_step()
        assert len(gpu.waits) == 2
    monkeypatch.setattr(far.model.ttt.state, "initial", lambda batch: whole(batch) + torch.zeros(batch, 1))
    with pytest.raises(RuntimeError, match="same device"):
        far.train_step()


def test_the_next_step_is_laid_out_before_a_gpu_is_waited_for_and_taken_only_in_its_turn(monkeypatch, gpu):
    far, laid_out = Trainer(tiny_run(train__steps=4), None), []

    def noted(cfg, step, dataset, tokenizer):
        laid_out.append((step, len(gpu.waits)))
        return scene_of_step(cfg, step, dataset, tokenizer)

    monkeypatch.setattr("ecggen.train.scene_of_step", noted)
    gpu.waits.clear()
    for far.step in range(4):
        far.train_step()
    assert laid_out == [(0, 0), (1, 0), (2, 1), (3, 2)]
    far.step = 1  # carried on from an earlier state
    far.train_step()
    assert [step for step, _ in laid_out[4:]] == [1, 2]


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # here it is done all the same
def test_a_training_on_a_gpu_is_the_same_and_is_carried_on(tmp_path, monkeypatch, gpu):
    run = tiny_run(train__average=0.9)
    first = train(run, lambda step, _: step == 3, tmp_path, quiet=True)
    assert first.stopped and first.model.projection.bias.device.type == FAR.type
    far = train(run, folder=tmp_path, resume=True, quiet=True)
    weights = {name: value.cpu() for name, value in far.model.state_dict().items()}
    monkeypatch.undo()
    near = train(run, quiet=True)
    assert far.best["val_r"] == pytest.approx(near.best["val_r"], abs=1e-3)
    for name, value in near.model.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=0.01, atol=1e-3)


@pytest.mark.filterwarnings("ignore")  # PyTorch's compiler warns of its own ways
@pytest.mark.parametrize("way", GRAPHS)
def test_a_step_is_one_graph_of_one_shape_and_finds_the_same(way):
    """What CUDA graphs need; `max_beats` bounds the shape, and without it few sizes."""
    plain, whole = (Trainer(tiny_run(**WAYS[way], train__compile=compiled), None) for compiled in (False, True))
    shapes = []

    def kept(graph, inputs):
        shapes.append([tuple(value.shape) for value in inputs])
        return graph

    whole.loss_of = torch.compile(whole._loss, fullgraph=True, dynamic=False, backend=kept)
    for step in range(3):
        plain.step = whole.step = step
        assert whole.train_step() == pytest.approx(plain.train_step(), rel=1e-3 if "half" in way else 1e-5)
    assert len(shapes) == 1


def test_compilation_without_a_compiler_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"train\.compile: expected a C\+\+ compiler.*got none; install one"):
        Trainer(tiny_run(train__compile=True), None)


def test_compilation_of_a_gradient_of_a_gradient_is_refused():
    with pytest.raises(UserError, match=r"train\.compile: expected model\.ttt\.inner_gradient=analytic.*got autograd"):
        tiny_run(train__compile=True, model__ttt__inner_gradient="autograd")
    tiny_run(train__compile=True, model__ttt__inner_gradient="autograd", model__ttt__estimator="ridge")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["vector", "mlp"])
def test_a_compiled_training_has_the_same_losses(mode):
    changes = {"model__fast_state__mode": mode}
    assert losses(4, train__compile=True, **changes) == pytest.approx(losses(4, **changes), rel=1e-4)
