"""The entry point on other people's data and in clumsy hands; every case was a fault once."""

import csv
import json

import numpy as np
import pytest

import main as entry
from ecggen.leaderboard import merge_leaderboard
from tests.models.conftest import hearts
from tests.test_leaderboard import standing
from tests.tiny import as_options


def write_arrays(folder, records=40, labels=("a", "b")):
    folder.mkdir(parents=True)
    np.save(folder / "signals.npy", hearts(records, 1000).numpy())
    with (folder / "records.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("id", "fs", "unit", "leads", "label"))
        leads = "I;II;III;aVR;aVL;aVF;V1;V2;V3;V4;V5;V6"
        for n in range(records):
            writer.writerow((f"r{n}", 100, "mV", leads, labels[n % len(labels)]))
    return folder


def run(results, *words):
    return entry.main(["--results", str(results), "--quiet", *words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A results folder with one run, trained on arrays, and the folder of the arrays."""
    base = tmp_path_factory.mktemp("arrays")
    data = write_arrays(base / "data #1: mine")
    results = base / "results"
    words = ["--data", "arrays", "--data-root", str(data), *as_options(data__limit=30)]
    assert run(results, *words) == 0
    (folder,) = results.glob("*_step6")
    return results, folder, data, words


def test_a_folder_is_named_as_it_is_and_not_read_as_yaml(trained):
    assert "data #1: mine" in (trained[1] / "config.yaml").read_text()


def test_force_keeps_the_finished_run_where_the_data_are_gone(trained, capsys):
    results, folder, data, words = trained
    away = data.rename(data.with_name("away"))
    try:
        assert run(results, *words, "--force") == 2
        assert "data #1: mine" in capsys.readouterr().err
    finally:
        away.rename(data)
    assert (folder / "DONE").is_file() and (folder / "model.safetensors").is_file()


def test_other_data_are_encoded_whole_whatever_the_training_was_limited_to(trained, tmp_path):
    results, folder, _, _ = trained
    other = write_arrays(tmp_path / "other", records=35)
    out = tmp_path / "records.npz"
    words = ("--mode", "encode", "--data", "arrays", "--data-root", str(other), "--out", str(out))
    assert run(results, "--runid", folder.name, *words) == 0
    with np.load(out, allow_pickle=False) as states:
        assert len(states["id"]) == 35


def test_other_data_are_judged_whole_and_said_to_be_other(trained, tmp_path, capsys):
    results, folder, _, _ = trained
    before = (folder / "metrics.json").read_text()
    other = write_arrays(tmp_path / "other", records=9)
    words = ("--mode", "eval", "--data", "arrays", "--data-root", str(other))
    assert run(results, "--runid", folder.name, *words) == 0
    assert "not trained on" in capsys.readouterr().out
    (card,) = folder.glob("metrics_arrays_*.json")
    assert json.loads(card.read_text())["records"] == 9
    assert (folder / "metrics.json").read_text() == before


@pytest.mark.parametrize("setting", ["model.signal.fs=250", "model.ttt.inner_steps=5", "train.lr=1"])
def test_a_trained_model_cannot_be_changed_afterwards(trained, capsys, setting):
    results, folder, _, _ = trained
    before = (folder / "metrics.json").read_text()
    assert run(results, "--runid", folder.name, "--mode", "eval", "--set", setting) == 2
    assert "is trained" in capsys.readouterr().err
    assert (folder / "metrics.json").read_text() == before


def test_settings_beside_a_finished_folder_are_refused_and_not_ignored(trained, capsys):
    results, folder, _, _ = trained
    assert run(results, "--runid", folder.name, "--steps", "50") == 2
    assert "no settings beside" in capsys.readouterr().err


def test_one_class_gives_a_run_without_a_head(tmp_path, capsys):
    data = write_arrays(tmp_path / "data", labels=("a",))
    assert run(tmp_path / "results", "--data", "arrays", "--data-root", str(data), *as_options()) == 0
    assert "no head" in capsys.readouterr().out
    (folder,) = (tmp_path / "results").glob("*_step6")
    assert "probe" not in json.loads((folder / "metrics.json").read_text())


def test_a_source_with_nothing_to_judge_on_fails_before_training(tmp_path, capsys):
    data = write_arrays(tmp_path / "data", records=1)  # it can be in one split only
    words = ("--data", "arrays", "--data-root", str(data), *as_options())
    assert run(tmp_path / "results", *words) == 2
    assert "split" in capsys.readouterr().err
    assert not list((tmp_path / "results").glob("*_step*"))


@pytest.mark.parametrize("content", ["{}", "[]", "not json", '{"runid": "m1s1k1"}'])
def test_a_card_that_is_none_is_one_line(tmp_path, capsys, content):
    folder = tmp_path / "m1s1k1_step6"
    folder.mkdir()
    (folder / "DONE").touch()
    (folder / "metrics.json").write_text(content)
    assert run(tmp_path, "--runid", "m1s1k1") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_encode_into_a_folder_or_below_a_file_is_refused_before_any_work(trained, tmp_path, capsys):
    results, folder, _, _ = trained
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file" / "states.npz"):
        assert run(results, "--runid", folder.name, "--mode", "encode", "--out", str(out)) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture
def best(trained):
    """The trained run stands first in the leaderboard, above a better one on simulated hearts."""
    results, folder, _, _ = trained
    (results / "leaderboard.csv").unlink(missing_ok=True)
    merge_leaderboard(results, "one", "simulator", "2026-01-01T00:00:00", [standing("m2s2k2", mean=0.99)])
    own = standing(folder.name.split("_")[0], folder=folder.name, mean=0.5)
    merge_leaderboard(results, "two", "arrays", "2026-01-02T00:00:00", [own])
    return results, folder


def test_best_is_the_first_row_of_the_leaderboard_wherever_a_run_is_named(best, tmp_path, capsys):
    results, folder = best
    assert run(results, "--runid", "best") == 0
    assert str(folder) in capsys.readouterr().out
    assert run(results, "--runid", "best", "--mode", "eval") == 0
    assert run(results, "--runid", "best", "--mode", "encode", "--out", str(tmp_path / "states.npz")) == 0
    assert (tmp_path / "states.npz").is_file()


@pytest.mark.parametrize("whole_name", [True, False])
def test_training_a_finished_folder_again_reuses_it_and_says_how_not_to(best, capsys, whole_name):
    results, folder = best
    before = (folder / "DONE").stat().st_mtime_ns
    assert run(results, "--runid", folder.name if whole_name else "best", "--mode", "train") == 0
    assert "reused; --force trains it anew" in capsys.readouterr().out
    assert (folder / "DONE").stat().st_mtime_ns == before


def test_a_finished_folder_gives_its_settings_to_another_training(best, capsys):
    results, folder = best
    assert run(results, "--runid", "best", "--mode", "train", "--steps", "4", "--seed", "9") == 0
    (other,) = results.glob("*_step4")
    assert other.name.split("_")[0] == folder.name.split("_")[0]
    theirs, ours = ((place / "config.yaml").read_text() for place in (folder, other))
    changed = theirs.replace("steps: 6", "steps: 4").replace(f"seed: {_seed(theirs)}", "seed: 9")
    assert ours.split("train:")[1] == changed.split("train:")[1]
    assert ours.split("train:")[0] == theirs.split("train:")[0]


def _seed(config):
    return config.split("train:")[1].split("seed: ")[1].split()[0]


def test_settings_that_a_code_stands_for_change_the_run_id(best, capsys):
    results, folder = best
    words = ("--mode", "train", "--dry-run", "--set", "model.ttt.chunk_size=2")
    assert run(results, "--runid", folder.name, *words) == 0
    assert f"run id {folder.name.split('_')[0]}," not in capsys.readouterr().out


def test_best_without_a_leaderboard_is_one_line_with_a_remedy(tmp_path, capsys):
    assert run(tmp_path, "--runid", "best") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "leaderboard.csv" in line and "run a search" in line


FIGURES = {f"{name}.{kind}" for name in ("ecg", "vcg", "basis", "states") for kind in ("png", "svg")}


def drawn_in(folder):
    return {path.name for path in folder.iterdir()}


def test_plot_draws_a_record_of_the_judged_split_into_the_run_s_folder_and_prints_where(trained, capsys):
    results, folder, _, _ = trained
    assert run(results, "--runid", folder.name, "--mode", "plot") == 0
    printed = capsys.readouterr().out.split()
    figures = folder / "figures"
    (name,) = {path.name.rsplit("_", 1)[0] for path in figures.iterdir()}
    assert drawn_in(figures) == {f"{name}_{end}" for end in FIGURES}
    assert {word for word in printed if word.startswith(str(figures))} == {str(path) for path in figures.iterdir()}
    assert run(results, "--runid", folder.name) == 0  # the folder is still that of a finished run


@pytest.mark.parametrize("words", [("--record-id", "r1/7"), ("--index", "6")])
def test_plot_on_other_data_takes_any_record_and_makes_its_id_a_file_s_name(trained, tmp_path, capsys, words):
    results, folder, _, _ = trained
    other = write_arrays(tmp_path / "other", records=8)
    table = other / "records.csv"
    table.write_text(table.read_text().replace("\nr", "\nr1/"))
    words = (*words, "--visible", "v2, avr", "--start", "4", "--out", str(tmp_path / "out"))
    data = ("--data", "arrays", "--data-root", str(other))
    assert run(results, "--runid", folder.name, "--mode", "plot", *data, *words) == 0
    name = "r1_7" if "--record-id" in words else "r1_6"
    assert drawn_in(tmp_path / "out") == {f"{name}_{end}" for end in FIGURES}
    said = capsys.readouterr().out
    assert "shown to the model: aVR, V2" in said and "of 8 in split all" in said
    assert not (folder / "figures" / f"{name}_ecg.png").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--index", "99"), "--index: expected 0 to"),
        (("--index", "-1"), "--index"),
        (("--record-id", "r999"), "such as r"),
        (("--record-id", "r1", "--index", "1"), "expected one of them, got both"),
        (("--visible", "I,V7"), "expected leads out of I, II"),
        (("--visible", " , "), "expected leads out of I, II"),
        (("--start", "10"), "expected 0 to below 10 s"),
        (("--start", "nan"), "--start"),
        (("--seconds", "5"), "expected --mode data beside it, got --mode plot"),
        (("--steps", "3"), "is trained"),
    ],
)
def test_a_fault_in_what_to_plot_is_one_line_and_draws_nothing(trained, tmp_path, capsys, words, says):
    results, folder, _, _ = trained
    try:
        code = run(results, "--runid", folder.name, "--mode", "plot", "--out", str(tmp_path / "out"), *words)
    except SystemExit as left:
        code = left.code
    assert code == 2 and not (tmp_path / "out").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def write_raw(folder):
    """One good record, one of 700 mV, one of nothing, as 20 s of three leads at 250 Hz in uV."""
    folder.mkdir(parents=True)
    signal = hearts(3, 5000).numpy()[:, :3] * 1000
    signal[1] *= 700
    signal[2] = np.nan
    np.save(folder / "signals.npy", signal)
    rows = "".join(f"{name},250,uV,MLII V1 resp\n" for name in ("good", "huge", "nothing"))
    (folder / "records.csv").write_text("id,fs,unit,leads\n" + rows)
    return folder


def test_a_raw_recording_is_drawn_and_described_without_a_run_and_without_a_cache(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ECGGEN_CACHE", str(tmp_path / "cache"))
    data = ("--mode", "data", "--data", "arrays", "--data-root", str(write_raw(tmp_path / "raw")))
    assert run(tmp_path / "results", *data) == 0
    said = capsys.readouterr().out
    for line in (
        "3 records",
        "record: good, index 0, 20.00 s at 250 Hz",
        "leads: MLII as II, V1; not standard, not used: resp; never recorded: I, III, aVR",
        "used: all 2 windows",
        "beats: ",
    ):
        assert line in said
    assert drawn_in(tmp_path / "results" / "figures") == {"good_recording.png", "good_recording.svg"}
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("record", "reason"), [("huge", "amplitude"), ("nothing", "no usable lead"), ("huge@10", "amplitude")]
)
def test_a_rejected_recording_is_drawn_all_the_same_and_says_why(tmp_path, capsys, record, reason):
    data = ("--mode", "data", "--data", "arrays", "--data-root", str(write_raw(tmp_path / "raw")))
    assert run(tmp_path, *data, "--record-id", record, "--out", str(tmp_path / "out")) == 0
    said = capsys.readouterr().out
    assert f"2 of 2 windows left out: {reason}" in said and "beats: " not in said
    assert len(drawn_in(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--index", "3"), "--index: expected 0 to 2"),
        (("--record-id", "goood"), "such as good"),
        (("--start", "20"), "below 20 s"),
        (("--seconds", "0"), "--seconds"),
        (("--seconds", "61"), "--seconds: expected above 0 to 60"),
        (("--visible", "I"), "expected --mode plot beside it, got --mode data"),
        (("--out", "{file}"), "expected a folder to write to"),
        (("--data-root", "{empty}"), "signals.npy"),
    ],
)
def test_a_fault_in_what_to_look_at_is_one_line(tmp_path, capsys, words, says):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    words = [word.format(file=tmp_path / "file", empty=tmp_path / "empty") for word in words]
    data = ("--mode", "data", "--data", "arrays", "--data-root", str(write_raw(tmp_path / "raw")))
    try:
        code = run(tmp_path / "results", *data, *words)
    except SystemExit as left:
        code = left.code
    assert code == 2 and not (tmp_path / "results").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


@pytest.mark.parametrize(
    "words",
    [
        ("--index", "0"),
        ("--start", "0", "--mode", "eval"),
        ("--out", "x", "--mode", "train"),
        ("--visible", "I", "--mode", "encode"),
        ("--force", "--mode", "data"),
    ],
)
def test_an_option_that_the_mode_would_ignore_is_refused(trained, capsys, words):
    results, folder, _, _ = trained
    assert run(results, "--runid", folder.name, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words[0] in line and "beside it" in line
