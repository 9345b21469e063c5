"""Numbers at their ends: too few records, beats, leads or classes, and losses that leave all bounds.

Each is trained for real from a folder of recordings, and ends as a whole run of finite numbers, or in one line that
leaves no result behind.
"""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import main as entry
from ecggen.data.sources.arrays import INDEX, SIGNALS
from ecggen.leads import LEADS
from ecggen.losses import total_loss
from ecggen.models.ecggen import ECGGenModel
from ecggen.train import Trainer, train
from tests.data.layouts import hearts, table
from tests.models.conftest import small_model
from tests.tiny import as_options, tiny_run
from tests.user_fault import fault_of

RECORDS = 12
SPLIT = [1] * 8 + [9, 9, 10, 10]  # folds: train, val, test
TWO = ["NORM", "MI"] * 6


@pytest.fixture(scope="module")
def beating():
    return hearts(RECORDS, 10.0, 100.0)


def one_beat(_):
    """A single QRS in ten seconds of noise."""
    signal = np.random.default_rng(0).normal(0, 0.004, (RECORDS, 12, 1000))
    signal[:, :, 500:510] += np.hanning(10) * np.linspace(0.5, 1.5, 12)[:, None]
    return signal


def some_leads(*names):
    return lambda ecg: ecg[:, [LEADS.index(name) for name in names]], {"leads": names}


def whole(ecg):
    return ecg


def silent(ecg):
    """All leads but two are zero throughout."""
    return np.where((np.arange(12) < 10)[None, :, None], 0.0, ecg)


# name -> (what becomes of the signals, columns of the table, settings)
FINISHED = {
    "one record a split": (lambda ecg: ecg[:3], {"folds": [1, 9, 10]}, {}),
    "a batch of one": (whole, {}, {"train.batch_size": 1}),
    "one beat a record": (one_beat, {}, {}),
    "one beat a step": (whole, {}, {"train.max_beats": 1}),
    "no validation split": (whole, {"folds": [1] * 10 + [10, 10]}, {}),
    "no test split": (whole, {"folds": [1] * 6 + [9] * 6}, {}),
    "one class": (whole, {"labels": ["NORM"] * 12}, {}),
    "one class in training": (whole, {"labels": ["NORM"] * 10 + ["MI", "MI"]}, {}),
    "one class in the test": (whole, {"labels": ["NORM", "MI"] * 5 + ["NORM", "NORM"]}, {}),
    "no labels": (whole, {"labels": [""] * 12}, {}),
    "labels in the test alone": (whole, {"labels": [""] * 10 + ["MI", "NORM"]}, {}),
    "a class for each record": (whole, {"labels": [f"c{number}" for number in range(12)]}, {}),
    "several labels and none": (whole, {"labels": ["NORM;MI", ""] * 6}, {}),
    "one lead": (*some_leads("II"), {}),
    "one precordial": (*some_leads("V1"), {}),
    "nothing hidden": (*some_leads("I", "II", "V2"), {}),
    "silent leads": (silent, {}, {}),
    "equal records": (lambda ecg: np.repeat(ecg[:1], RECORDS, 0), {}, {}),
    "noise": (lambda ecg: np.random.default_rng(0).normal(0, 0.3, ecg.shape), {}, {}),
    "hardly a signal": (lambda ecg: ecg * 0.05, {}, {}),
    "one step": (whole, {}, {"train.steps": 1}),
    "a state of one number": (whole, {}, {"model.vcg.basis_k": 1, "model.fast_state.size": 1}),
    "no bootstrap": (whole, {}, {"eval.bootstrap": 0}),
    "one record judged": (whole, {}, {"train.validate_records": 1, "eval.limit": 1, "eval.baseline_records": 1}),
    "an enormous learning rate": (whole, {}, {"train.lr": 10.0, "train.clip": 1e9, "train.steps": 12}),
}
REFUSED = {
    "one record": (lambda ecg: ecg[:1], {"folds": [1]}, {}, "expected records to judge on, got none of 1"),
    "training alone": (whole, {"folds": [1] * 12}, {}, "expected records to judge on, got none of 12"),
    "no training split": (whole, {"folds": [9] * 6 + [10] * 6}, {}, "split train: expected records, got none of 12"),
    "zeros": (lambda ecg: ecg * 0, {}, {}, "no usable lead (12 times)"),
    "not a number": (lambda ecg: ecg * np.nan, {}, {}, "no usable lead (12 times)"),
    "megavolts": (lambda ecg: ecg * 1e9, {}, {}, "amplitude"),
    "a clip beyond all bounds": (whole, {}, {"train.clip": 1e30}, "expected more than 0, at most 1e+09, got 1e+30"),
    "a weight beyond all bounds": (whole, {}, {"train.loss.energy": 1e300}, "expected 0 or more, at most 1e+09"),
}


def trained(tmp_path, signals, settings, leads=LEADS, folds=None, labels=None):
    """The exit code of main.py on a folder of these signals."""
    root, count = tmp_path / "root", len(signals)
    root.mkdir()
    np.save(root / SIGNALS, np.asarray(signals, np.float32))
    rows = zip(range(count), folds or SPLIT, labels or TWO, strict=False)
    lines = [(f"a{number}", 100, "mV", " ".join(leads), fold, label) for number, fold, label in rows]
    table(root / INDEX, ("id", "fs", "unit", "leads", "fold", "label"), *lines)
    places = ("--data", "arrays", "--data-root", str(root), "--results", str(tmp_path / "out"))
    return entry.main(["--mode", "train", *places, "--quiet", *as_options(**settings)])


def check_finished(tmp_path, beating, case):
    change, columns, settings = FINISHED[case]
    assert trained(tmp_path, change(beating), settings, **columns) == 0
    (folder,) = (tmp_path / "out").glob("*/DONE")
    weights = load_file(folder.parent / "model.safetensors")
    assert all(weight.isfinite().all() for weight in weights.values())
    json.loads((folder.parent / "metrics.json").read_text(), parse_constant=pytest.fail)  # no NaN, no Infinity


@pytest.mark.parametrize("case", ["one record a split", "one beat a record", "one lead"])
def test_little_is_enough(tmp_path, beating, case):
    check_finished(tmp_path, beating, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", FINISHED)
def test_a_run_of_little_or_odd_data_is_whole_and_of_finite_numbers(tmp_path, beating, case):
    check_finished(tmp_path, beating, case)


@pytest.mark.parametrize("case", REFUSED)
def test_too_little_is_one_line_and_leaves_no_folder(tmp_path, beating, capsys, case):
    change, columns, settings, says = REFUSED[case]
    assert trained(tmp_path, change(beating), settings, **columns) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("preprocessing")]
    assert len(said) == 1 and says in said[0]
    assert not [path for path in (tmp_path / "out").glob("*") if path.is_dir()]


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(monkeypatch):
    """At the last step too, after which no loss would tell."""
    run = tiny_run(train__steps=3)

    def broken(terms, weights):
        loss = total_loss(terms, weights)
        if trainer.step == 2:
            loss.register_hook(lambda gradient: gradient * math.nan)
        return loss

    trainer = Trainer(run, None)
    monkeypatch.setattr("ecggen.train.total_loss", broken)
    trainer.train_step()
    trainer.step = 2
    assert "gradient: expected finite numbers, got others at step 3; lower train.lr" in fault_of(trainer.train_step)
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_explodes_leaves_the_last_good_weights(monkeypatch, tmp_path, value):
    run = tiny_run(train__steps=6)
    monkeypatch.setattr("ecggen.train.total_loss", lambda terms, _: terms["reconstruction"] * (value if seen() else 1))
    steps = iter(range(100))

    def seen():
        return next(steps) >= 4

    assert f"loss: expected a finite number, got {value} at step 5" in fault_of(train, run, None, tmp_path, False, True)
    state = torch.load(tmp_path / "training.pt", weights_only=True)
    assert state["step"] == 3 and all(weight.isfinite().all() for weight in state["model"].values())


def test_a_record_of_which_nothing_is_shown_is_refused():
    model: ECGGenModel = small_model()
    ecg = torch.from_numpy(hearts(2, 10.0, 100.0)).float()
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[1] = False
    with pytest.raises(AssertionError, match="expected"):
        model.estimate(ecg, mask)


@pytest.mark.parametrize("lead", ["II", "V6"])
def test_one_shown_lead_gives_all_twelve(lead):
    model: ECGGenModel = small_model()
    ecg = torch.from_numpy(hearts(1, 10.0, 100.0)).float()
    mask = torch.zeros(1, 12, dtype=torch.bool)
    mask[0, LEADS.index(lead)] = True
    with torch.no_grad():
        out = model.forward_gen(torch.where(mask[..., None], ecg, torch.nan), mask)
    assert out["E_hat"].shape[1] == 12 and out["E_hat"].isfinite().all() and out["W"].isfinite().all()
