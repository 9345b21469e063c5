"""The card of a run: what is on it, that it can be made again, and that it tells a state that means something."""

import json
import shutil

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import main as entry
from ecggen.data.pipeline import ECGDataset
from ecggen.eval import judge, training_baselines
from ecggen.leads import LEADS
from ecggen.metrics import r_squared
from ecggen.train import train
from tests.tiny import tiny_run


def test_the_card_holds_every_set_with_intervals_and_rivals(finished):
    card = json.loads((finished[1] / "metrics.json").read_text())
    assert set(card["reconstruction"]) == {"all twelve", "I,II,V2", "I,II,V3", "I,II", "I", "II", "six limb leads"}
    entry_ = card["reconstruction"]["I,II,V2"]
    assert entry_["scored"] == ["V1", "V3", "V4", "V5", "V6"]
    for figures in entry_["rivals"].values():
        low, high = figures["r"]["interval"]
        assert low <= figures["r"]["value"] <= high
    assert {"model", "mean beat", "linear regression", "W0 (no estimation)"} <= set(entry_["rivals"])
    assert set(card["probe"]["per_class"]) <= {"NORM", "BBB", "STDEV", "INVT", "LVH"}
    assert 0 <= card["source"]["r"] <= 1


def test_eval_repeats_the_card(finished, tmp_path):
    folder = shutil.copytree(finished[1], tmp_path / finished[1].name)
    before = json.loads((folder / "metrics.json").read_text())
    assert entry.main(["--results", str(tmp_path), "--runid", folder.name, "--mode", "eval"]) == 0
    after = json.loads((folder / "metrics.json").read_text())
    assert after["reconstruction"] == before["reconstruction"]
    assert after["probe"]["auroc"] == before["probe"]["auroc"]


def test_w_carries_the_rendering():
    """The prior or another heart in place of W loses much of the variance explained, on a short but real training."""
    run = tiny_run(
        data__simulator__records=200, train__steps=250, train__batch_size=24, train__validate_every=250, train__lr=5e-3
    )
    model = train(run, quiet=True).model
    judged = judge(model, ECGDataset(run, "val"), LEADS, None, training_baselines(model, run))
    explained = {name: float(r_squared(sums.sum(0))) for name, sums in judged.sums.items()}
    assert explained["model"] > 0.6
    assert explained["W0 (no estimation)"] < explained["model"] - 0.2
    assert explained["W of another record"] < explained["model"] - 0.2


@pytest.mark.parametrize("mode", [["eval"], ["plot"], ["encode", "--out", "states.npz"]])
def test_a_model_whose_weights_are_out_of_all_bounds_is_one_line(finished, tmp_path, capsys, monkeypatch, mode):
    monkeypatch.chdir(tmp_path)
    results = shutil.copytree(finished[0], tmp_path / "results")
    (path,) = results.glob("*/model.safetensors")
    with safe_open(path, "pt") as stream:
        header = stream.metadata()
    save_file({name: 1e30 * value for name, value in load_file(path).items()}, path, metadata=header)
    before = {file.name for file in path.parent.iterdir()}
    assert entry.main(["--runid", path.parent.name, "--results", str(results), "--quiet", "--mode", *mode]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "expected finite states and leads" in said
    assert {file.name for file in path.parent.iterdir()} == before and not (tmp_path / "states.npz").exists()
