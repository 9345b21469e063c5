"""Result folders, evaluation and the entry point, on runs that train in a second."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import ecggen
import main as entry
from ecggen.card import read_card
from ecggen.configfile import load_run_config
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError
from ecggen.eval import effective_rank
from ecggen.observe import observe
from ecggen.portrait import read_portrait
from ecggen.probe import encode_states
from ecggen.runid import run_hash
from ecggen.runs import keep_trained, load_run, run_and_keep
from ecggen.stepfolder import claim_folder
from ecggen.train import train
from tests.conftest import REPO
from tests.tiny import tiny_run
from tests.user_fault import fault_of

FILES = {"config.yaml", "model.safetensors", "metrics.json", "history.csv", "rejected.csv", "record.png"}
FILES |= {"record.npz", "run_info.json", "DONE"}


def _runid(folder) -> str:
    return folder.name.split("_")[0]


def test_one_command_trains_judges_draws_and_marks_as_done(finished):
    _, folder, screen = finished
    assert folder.name.endswith("_step6")
    assert {p.name for p in folder.iterdir() if not p.name.startswith((".", "events."))} == FILES
    assert "I,II,V2" in screen and "linear regression" in screen and "macro AUROC" in screen
    assert (folder / "record.png").read_bytes().startswith(b"\x89PNG")


def test_the_portrait_of_a_record_is_kept_with_the_map_to_the_true_source(finished):
    folder = finished[1]
    portrait = read_portrait(folder / "record.npz")
    model, run = load_run(folder)
    judged = ECGDataset(run, "test")
    again = observe(model, judged[judged.ids.index(portrait.id)], ("I", "II", "V2"))
    np.testing.assert_allclose(portrait.rendered, again.rendered, atol=1e-5)
    np.testing.assert_array_equal(portrait.source, again.source)
    np.testing.assert_array_equal(portrait.source_map, read_card(folder)["source"]["map"])
    assert portrait.shown.sum() == 3 and portrait.hidden.sum() == 9


def test_a_worker_of_a_search_loads_nothing_that_draws():
    code = "import sys, ecggen.runs; assert not [name for name in sys.modules if name.startswith('matplotlib')]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REPO)
    assert done.returncode == 0, done.stderr


def test_history_is_the_learning_curve(finished):
    with (finished[1] / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["step"]) for row in rows] == [3, 6]


def test_without_a_mode_the_finished_card_is_shown_and_nothing_trained(finished, capsys):
    results, folder, _ = finished
    before = (folder / "DONE").stat().st_mtime_ns
    for name in (_runid(folder), folder.name):
        assert entry.main(["--results", str(results), "--runid", name]) == 0
        assert "I,II,V2" in capsys.readouterr().out
    assert (folder / "DONE").stat().st_mtime_ns == before


def test_the_same_settings_again_reuse_the_folder_and_others_go_beside_it(finished):
    results, folder, _ = finished
    run, said = tiny_run(), []
    assert run_and_keep(run, _runid(folder), results, quiet=True, say=said.append) == folder
    assert "reused" in said[0]
    other = run_and_keep(tiny_run(train__seed=5), _runid(folder), results, quiet=True, say=said.append)
    assert other != folder and other.name.startswith(folder.name + "_")
    assert entry.main(["--results", str(results), "--runid", other.name]) == 0


def test_the_model_loads_in_one_line_and_classifies(finished):
    model = ecggen.load(finished[1])
    logits = model.forward_cls(torch.randn(2, 12, 1000) * 0.1)
    assert logits.shape == (2, len(model.classes))


def test_encode_writes_states_and_all_twelve_leads(finished, tmp_path):
    results, folder, _ = finished
    out = tmp_path / "states.npz"
    words = ["--results", str(results), "--runid", folder.name, "--mode", "encode", "--out", str(out)]
    assert entry.main(words) == 0
    with np.load(out, allow_pickle=False) as states, out.with_suffix(".index.csv").open() as stream:
        rows = list(csv.DictReader(stream))
        n = len(states["id"])
        assert states["W"].shape == (n, 24) and states["rendered"].shape == (n, 12, 40)
        assert states["V"].shape == (n, 3, 40) and states["W_seq"].shape[2] == 24
        assert [row["id"] for row in rows] == list(states["id"])
        chunks = (~np.isnan(states["W_seq"][:, :, 0])).sum(1)
        last = states["W_seq"][np.arange(n), chunks - 1]
        np.testing.assert_array_equal(last, states["W"])


def test_dry_run_prints_settings_that_load_and_writes_nothing(tmp_path, capsys):
    words = ["--results", str(tmp_path / "none"), "--dry-run", "--runid", "m2s2k1", "--steps", "7"]
    assert entry.main(words) == 0 and not (tmp_path / "none").exists()
    settings = tmp_path / "again.yaml"
    settings.write_text(capsys.readouterr().out)
    run = load_run_config(settings)
    assert (run.train.steps, run.model.fast_state.mode, run.model.ttt.chunk_size) == (7, "mlp", 2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "model.fast_state.mode=vectr"], "vector"),
        (["--set", "model.fast_state.sise=3"], "size"),
        (["--set", "train.steps=many"], "train.steps"),
        (["--runid", "m1s1"], "m1s1k1"),
        (["--runid", "m99s1k1"], "99"),
        (["--runid", "m1s1k1", "--set", "model.fast_state.mode=mlp"], "leave out --runid"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--data", "ptbxl", "--mode", "train"], "data.root"),
        (["--data", "wfdb", "--data-root", "nowhere", "--mode", "train"], "nowhere"),
        (["--mode", "eval"], "--runid"),
        (["--mode", "encode", "--runid", "m1s1k1"], "--out"),
        (["--mode", "eval", "--runid", "m7s7k6"], "finished run"),
    ],
)
def test_faults_are_one_line_with_exit_code_2_and_leave_nothing(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    assert entry.main(["--results", str(tmp_path / "r"), *words]) == 2
    screen = capsys.readouterr().err.strip()
    assert len(screen.splitlines()) == 1 and says in screen, screen
    assert not list(tmp_path.glob("r/*_step*")), "a folder was left behind"


def test_an_unfinished_run_is_carried_on_only_when_asked(tmp_path):
    run = tiny_run()
    with claim_folder(tmp_path, "m1s1k1", 6, run_hash(run)) as claim:
        train(run, lambda step, _: step == 3, claim.folder, quiet=True)
    with pytest.raises(UserError, match="--resume.*--force"):
        run_and_keep(run, "m1s1k1", tmp_path, quiet=True)
    folder = run_and_keep(run, "m1s1k1", tmp_path, resume=True, quiet=True)
    assert {p.name for p in folder.iterdir() if not p.name.startswith((".", "events."))} == FILES


def _header_and_weights(folder):
    """A safetensors file in two parts; the library writes the entries of the header in any order."""
    content = (folder / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def same_card(one, other):
    """Equal to the bit, but for the least squares of LAPACK, whose last bits depend on where in memory it works."""
    ours, theirs = one.pop("source"), other.pop("source")
    return one == other and ours["r"] == pytest.approx(theirs["r"], rel=1e-9)


def test_a_run_trained_elsewhere_is_kept_as_if_it_had_been_trained_here(tmp_path):
    run = tiny_run()
    here = run_and_keep(run, "m1s1k1", tmp_path / "a", quiet=True, say=lambda _: None)
    info = {"search": "of last night"}
    elsewhere = keep_trained(run, "m1s1k1", tmp_path / "b", train(run, quiet=True), 7000.0, extra_info=info)
    assert {p.name for p in elsewhere.iterdir() if not p.name.startswith((".", "events."))} == FILES
    assert elsewhere.name == here.name and (elsewhere / "DONE").read_text() == (here / "DONE").read_text()
    assert _header_and_weights(elsewhere) == _header_and_weights(here)
    for name in ("config.yaml", "rejected.csv"):
        assert (elsewhere / name).read_text() == (here / name).read_text()
    assert same_card(read_card(elsewhere), read_card(here))
    infos = [json.loads((folder / "run_info.json").read_text()) for folder in (here, elsewhere)]
    assert infos[1].keys() == infos[0].keys() | {"search"} and infos[1]["search"] == "of last night"
    assert infos[1]["seconds"] >= 7000


def test_a_keeping_that_was_cut_off_is_written_over_and_a_finished_one_is_reused(tmp_path):
    run, said = tiny_run(), []
    with claim_folder(tmp_path, "m1s1k1", 6, run_hash(run)) as claim:
        (claim.folder / "history.csv").write_text("half a")
    folder = keep_trained(run, "m1s1k1", tmp_path, train(run, quiet=True), 1.0, say=said.append)
    assert folder == claim.folder and (folder / "DONE").is_file() and "written over" in said.pop()
    assert (folder / "history.csv").read_text().startswith("step")
    before = (folder / "DONE").stat().st_mtime_ns
    assert keep_trained(run, "m1s1k1", tmp_path, train(run, quiet=True), 1.0, say=said.append) == folder
    assert (folder / "DONE").stat().st_mtime_ns == before and "reused" in said.pop()


def test_a_finished_folder_is_reused_where_the_recordings_are_gone(tmp_path):
    gone = {"data__source": "wfdb", "data__root": str(tmp_path / "gone")}
    run, said = tiny_run(**gone), []
    with claim_folder(tmp_path, "m1s1k1", 6, run_hash(run)) as claim:
        claim.finish()
    assert keep_trained(run, "m1s1k1", tmp_path, None, 1.0, say=said.append) == claim.folder
    assert "reused" in said.pop()
    assert "gone" in fault_of(keep_trained, tiny_run(**gone, train__seed=5), "m1s1k1", tmp_path, None, 1.0)
    assert (claim.folder / "DONE").is_file()


@pytest.mark.slow
def test_the_main_job_on_the_simulator(tmp_path):
    """What `make run` does: the source is found, W is not a few numbers, and without W the rendering collapses."""
    run = load_run_config(REPO / "configs" / "train" / "v1.yaml")
    card = read_card(run_and_keep(run, "m1s1k1", tmp_path, quiet=True))
    assert card["source"]["r"] >= 0.95
    model, _ = load_run(tmp_path / f"m1s1k1_step{run.train.steps}")
    w = encode_states(model, ECGDataset(run, "train"), 256).w
    assert effective_rank(w) > model.state_size / 4
    rivals = card["reconstruction"]["all twelve"]["rivals"]
    ours, frozen, average = (rivals[n]["r2"]["value"] for n in ("model", "W0 (no estimation)", "mean beat"))
    # Simulated hearts are alike: their mean beat explains more than half already, and W0 may be as good as that.
    assert frozen < average + 0.02
    assert (1 - frozen) > 8 * (1 - ours)
    linear = card["reconstruction"]["I,II"]
    assert linear["r_over_linear_regression"][0] > 0
