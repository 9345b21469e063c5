"""The scripts that time and weigh a training step: every row they promise, from what they say they measured."""

import sys

import pytest
import torch

from benchmarks import gpu, inference, memory, peers, resnet, shares, step
from tests.tiny import TINY

BASE = {path: value for path, value in TINY.items() if path not in (step.CHUNK, "train.steps")}


def cells(row):
    return [cell.strip() for cell in row.strip("| ").split(" | ")]


def test_turns_are_taken_and_warm_up_is_not_counted():
    turns = []
    seconds = step.interleaved({name: lambda name=name: turns.append(name) for name in "ab"}, repeats=2, warm_up=1)
    assert turns == list("ababab") and [len(own) for own in seconds.values()] == [2, 2]


def test_a_ratio_is_the_median_of_neighbours_and_a_slow_moment_cancels():
    assert step.ratio([2.0, 200.0, 2.0], [1.0, 100.0, 1.0]) == 2


def test_a_row_a_setting_with_the_bounds_beside_those_they_are_for():
    settings = {name: step.SETTINGS[name] for name in (step.AMORTISED, *step.BOUNDS)}
    rows = [cells(row) for row in step.measure(settings, 2, 1, **BASE)]
    assert [row[0] for row in rows] == list(settings)
    assert rows[0][3] == "1.00" and [row[4] for row in rows[1:]] == ["<= 1.25", "<= 1.6"]


def test_weights_that_no_gradient_reaches_are_not_counted():
    training = step.trainer(step.SETTINGS[step.AMORTISED], **BASE)
    training.train_step()
    state = training.model.ttt.state
    everything = sum(p.numel() for p in training.model.parameters())
    assert step.moved_weights(training) == everything - state.decode.numel() - state.offset.numel()


def test_the_parts_of_a_step_are_the_step_itself():
    whole, apart = step.trainer({}, **BASE), shares.Parts(step.trainer({}, **BASE))
    for _ in range(2):
        whole.train_step()
        whole.step += 1
        assert set(apart.step()) == set(shares.PARTS)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(apart.training.model.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_memory_grows_with_beats_and_is_the_same_twice():
    few, many = ({"train.max_beats": beats} for beats in (2, 8))
    assert memory.kept_bytes(few, **BASE) == memory.kept_bytes(few, **BASE)
    assert memory.kept_bytes(many, **BASE)[0] > 2 * memory.kept_bytes(few, **BASE)[0]


def test_inference_has_a_row_for_every_way_and_stage():
    rows = [cells(row) for row in inference.measure(1, 0, 4, **BASE)]
    assert [row[0] for row in rows][: len(inference.MODELS)] == list(inference.MODELS)
    assert sum(row[0].startswith("of it") for row in rows) == 5 and "4 records" in rows[-1][0]


def test_the_plain_transformer_looks_at_shown_tokens_alone_and_learns():
    plain = peers.PlainTraining(step.trainer({}, **BASE), 1)
    beats, present = torch.randn(2, 12, 3, 40), torch.ones(2, 12, 3, dtype=torch.bool)
    present[:, 5] = False
    other = torch.where(present[..., None], beats, 9.0)
    with torch.no_grad():
        torch.testing.assert_close(plain.model(other, present), plain.model(beats, present))
    losses = [plain.train_step() for _ in range(30)]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_the_plain_transformer_has_about_as_many_weights_as_ours():
    ours = step.trainer({}, **{path: BASE[path] for path in BASE if path.startswith("data.")})
    plain = peers.PlainTraining(ours, peers.LAYERS)
    own, other = (sum(p.numel() for p in each.model.parameters()) for each in (ours, plain))
    assert other == pytest.approx(own, rel=0.2)


class Averages(torch.nn.Module):
    """Classes from the mean of each lead."""

    def __init__(self):
        super().__init__()
        self.out = torch.nn.Linear(12, resnet.CLASSES)

    def forward(self, ecg):
        return self.out(ecg.mean(2))


def test_a_peer_on_whole_records_has_its_row_first_and_ours_are_measured_against_it():
    peer = resnet.ClassTraining(step.trainer({}, **BASE), Averages())
    rows = [cells(row) for row in peers.beside(resnet.PEER, peer, 2, 1, **BASE)]
    assert [row[0] for row in rows] == [resnet.PEER, *peers.OURS]
    assert rows[0][1] == "65" and rows[0][3] == "1.00"


def test_without_torch_ecg_its_benchmark_says_what_to_call(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch_ecg.model_configs", None)
    assert resnet.main() == 2
    said = capsys.readouterr().err
    assert "make bench-peer" in said and said.count("\n") == 1


def test_trainings_for_a_gpu_have_a_row_each_and_several_run_at_once():
    settings = {name: own for name, own in gpu.SETTINGS.items() if not own.get(gpu.COMPILE)}
    rows = [cells(row) for row in gpu.rows(settings, 0.01, 1, **BASE)]
    assert [row[0] for row in rows] == list(settings)
    assert all(float(row[1].replace(",", "")) > 0 for row in rows)
    assert gpu.side_by_side(2, 0.05, 1, **BASE) > 0


def test_without_a_gpu_its_benchmark_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 0
    assert capsys.readouterr().out.count("\n") == 1
