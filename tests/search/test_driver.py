"""A search as a user types it, from its command to its leaderboard; one tiny search serves all tests."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest
import torch
from optuna.trial import TrialState

import main as entry
from ecggen.checkpoint import load_model
from ecggen.configfile import load_run_config
from ecggen.runid import run_hash
from ecggen.runs import run_and_keep
from search import driver
from search.recorder import Recorder
from tests.conftest import REPO
from tests.search_here import search_here
from tests.tiny import as_options

SPACE = """
about: a small space with a condition
search: {trials: 7, steps: 9, finalists: 2, seeds: 2}
space:
  m: [1, 2]
  model.vcg.basis_k: {choice: [8, 12]}
  train.loss.smoothness: {loguniform: [0.001, 0.1], when: {m: 1}}
  train.lr: {choice: [0.002, 0.004]}
"""
# The run-id tables decide these.
OWN = ("model.fast_state.size", "model.vcg.basis_k", "train.steps", "train.validate_every", "train.threads")


def options():
    words = as_options()
    pairs = zip(words[::2], words[1::2], strict=True)
    return [word for pair in pairs if not pair[1].startswith(OWN) for word in pair]


def search(results, *words, **environment):
    """Run the search's command; the finished process."""
    command = [sys.executable, str(REPO / "run_search.py"), "--results", str(results), *words]
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished search: its results folder, its own folder, what it said."""
    base = tmp_path_factory.mktemp("search")
    (base / "mine.yaml").write_text(SPACE)
    results = base / "results"
    words = ("--space", str(base / "mine.yaml"), "--name", "first", "--algorithm", "optuna", "--concurrency", "2")
    said = search(results, *words, *options())
    assert said.returncode == 0, said.stderr
    return results, results / "searches" / "first", said


def rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_asked_number_of_different_trials_each_with_a_run_id(done):
    trials = [row for row in rows(done[1] / "trials.csv") if row["kind"] == "trial"]
    assert len(trials) == 7 == len({row["hash"] for row in trials})
    assert all(re.fullmatch(r"m\d+s\d+k\d+", row["runid"]) for row in trials)
    assert {row["status"] for row in trials} <= {"completed", "stopped"}
    conditional = [row for row in trials if row["train.loss.smoothness"]]
    assert all(row["m"] == "1" for row in conditional) and all(
        row["m"] == "2" for row in trials if row not in conditional
    )


def test_finalists_have_fresh_seeds_and_the_whole_budget(done):
    repeats = [row for row in rows(done[1] / "trials.csv") if row["kind"] == "finalist"]
    assert len(repeats) == 4
    assert {row["seed"] for row in repeats} == {"1", "2"}
    assert {row["step"] for row in repeats} == {"9"} and {row["status"] for row in repeats} == {"completed"}


def test_screen_and_leaderboard_say_the_same(done):
    results, folder, said = done
    board = rows(folder / "leaderboard.csv")
    assert [row["n"] for row in board] == ["2", "2"] and board[0]["verdict"] in ("wins", "tie")
    assert float(board[0]["mean"]) >= float(board[1]["mean"])
    assert f"{float(board[0]['mean']):.4f}" in said.stdout and board[0]["runid"] in said.stdout
    assert rows(results / "leaderboard.csv")[0]["runid"] == board[0]["runid"]


def test_nothing_of_rays_own_is_on_screen(done):
    said = done[2]
    assert not re.search(r"ray|Trial status|WARNING|Traceback|╭|Warning", said.stdout.replace("array", ""))
    assert [line for line in said.stderr.splitlines() if "preprocessing" not in line] == []


def test_the_next_command_shows_the_winners_card(done, capsys):
    command = shlex.split(done[2].stdout.strip().splitlines()[-1].removeprefix("next: "))
    assert command[:2] == ["python", "main.py"]
    assert entry.main(command[2:]) == 0
    shown = capsys.readouterr().out
    assert entry.main(["--runid", "best", "--results", str(done[0])]) == 0
    assert capsys.readouterr().out == shown


def test_promoted_folders_are_whole(done):
    results, folder, _ = done
    for row in rows(folder / "leaderboard.csv"):
        kept = results / row["folder"]
        assert {"DONE", "config.yaml", "model.safetensors", "metrics.json", "history.csv", "record.png"} <= {
            path.name for path in kept.iterdir()
        }
        assert run_hash(load_run_config(kept / "config.yaml")) == row["hash"]


def test_a_trial_equals_the_same_run_alone_to_the_bit(done, tmp_path):
    """The last trial of a search, in a worker that trained others before it."""
    folder = done[1]
    last = [row for row in rows(folder / "trials.csv") if row["kind"] == "finalist"][-1]
    place = folder / last["folder"]
    run = load_run_config(place / "config.yaml")
    alone = run_and_keep(run, last["runid"], tmp_path, quiet=True, say=lambda _: None)
    ours, theirs = (
        load_model(place / "model.safetensors").state_dict(),
        load_model(alone / "model.safetensors").state_dict(),
    )
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    curve = [row for row in rows(folder / "steps.csv") if row["hash"] == last["hash"]]
    history = rows(alone / "history.csv")
    assert [float(row["val_hidden_r"]) for row in curve] == [float(row["val_hidden_r"]) for row in history]


def test_study_has_true_states(done):
    folder = done[1]
    study = optuna.load_study(study_name="ecggen", storage=f"sqlite:///{folder / 'study.db'}")
    known = {trial.user_attrs.get("trial"): trial for trial in study.trials if "equal_to" not in trial.user_attrs}
    for row in rows(folder / "trials.csv"):
        if row["kind"] != "trial":
            continue
        trial = known[row["folder"]]
        if row["status"] == "completed":
            assert trial.state == TrialState.COMPLETE and trial.value == float(row["val_hidden_r"])
        else:
            assert trial.state == TrialState.PRUNED and max(trial.intermediate_values) == int(row["step"])
    assert not [trial for trial in study.trials if not trial.state.is_finished()]


def test_new_codes_are_in_the_results_table(done):
    assert "train.loss.smoothness" in (done[0] / "codes.yaml").read_text()


def test_tables_can_be_made_again_from_the_trials(done):
    results, folder, _ = done
    names = ("trials.csv", "steps.csv", "leaderboard.csv")
    before = {name: (folder / name).read_text() for name in names}
    promoted = results / rows(folder / "leaderboard.csv")[0]["folder"]
    (promoted / "DONE").unlink()
    for name in (*names, "study.db"):
        (folder / name).unlink()
    assert search_here(REPO, "--results", results, "--rebuild", "first") == 0
    assert {name: (folder / name).read_text() for name in names} == before
    assert (promoted / "DONE").is_file()
    test_study_has_true_states(done)


def test_an_equal_search_learns_from_the_first_and_says_so(done, capsys):
    results = done[0]
    words = ("--space", results.parent / "mine.yaml", "--name", "second", "--warm-start", "first", "--no-asha")
    counts = ("--trials", 2, "--finalists", 1, "--seeds", 0)
    assert search_here(REPO, "--results", results, *words, *counts, *options()) == 0
    assert re.search(r"warm start: [1-7] results of first fit", capsys.readouterr().out)
    study = optuna.load_study(study_name="ecggen", storage=f"sqlite:///{results / 'searches' / 'second' / 'study.db'}")
    assert any(trial.user_attrs.get("warm_start", "").startswith("first/") for trial in study.trials)


def test_finalists_are_made_ahead_as_soon_as_they_are_known(done, monkeypatch):
    told, began = [], Recorder.began

    def idle_too(recorder, trial):
        began(recorder, trial)
        recorder.idle(3)

    monkeypatch.setattr(Recorder, "began", idle_too)

    def ahead(jobs, keepers, idle):
        told.append((list(jobs), idle))
        for trial, _ in jobs:
            (trial / "ahead" / "m1s1k1_step9").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(driver, "promote_ahead", ahead)
    words = ("--space", done[0].parent / "mine.yaml", "--name", "third", "--seed", 5, "--trials", 3, "--no-asha")
    counts = ("--finalists", 2, "--seeds", 1)
    assert search_here(REPO, "--results", done[0], *words, *counts, *options()) == 0
    folder = done[0] / "searches" / "third"
    trials = {row["hash"]: folder / row["folder"] for row in rows(folder / "trials.csv")}
    best = [trials[row["hash"]] for row in rows(folder / "leaderboard.csv")]
    assert len(told) == 2  # with the repeats, not with the trials before them
    for jobs, idle in told:
        assert {trial for trial, _ in jobs} == set(best) and idle == 3
    assert not list(folder.rglob("ahead"))  # in the end


def test_pandas_lines_of_the_readme_print_what_they_promise(done, monkeypatch, capsys):
    text = (REPO / "README.md").read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "pandas" in block)
    monkeypatch.chdir(done[0].parent)
    exec(block, {})  # noqa: S102  our own README
    said = capsys.readouterr().out.splitlines()
    board = rows(done[1] / "leaderboard.csv")
    trials = pd.read_csv(done[1] / "trials.csv").query("kind == 'trial'")
    assert said[-1].startswith(f"{board[0]['runid']} {board[0]['verdict']}")
    best = trials[trials.status == "completed"].groupby("runid").val_hidden_r.max()
    assert [(line.split()[0], float(line.split()[1])) for line in said[1:-1]] == list(best.round(3).items())
    assert Path(done[0] / board[0]["folder"]).is_dir()
