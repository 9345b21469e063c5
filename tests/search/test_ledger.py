"""The ledger: what a kill leaves on disk is all that a search needs to know."""

import json
import math

import pytest

from ecggen.atomic import UNFINISHED
from ecggen.configfile import load_run_config
from ecggen.runid import run_hash
from search.ledger import Ledger, equal_runs, ranked
from search.trialfile import COMPLETED, FAILED, REUSED, RUNNING, STOPPED
from tests.fake_search import (
    METRIC,
    as_text,
    completed,
    failed,
    new_trial,
    reread,
    row,
    stopped,
    write_result,
)
from tests.tiny import tiny_run

# Keeping


def test_a_trial_is_on_disk_before_it_starts(ledger):
    run = tiny_run(train__lr=0.001)
    trial = ledger.begin(run, "m1s1k1", {"train.lr": 0.001}, study=7)
    place = ledger.folder / "trials" / "0001_m1s1k1"
    assert place == ledger.folder / trial.key
    assert load_run_config(place / "config.yaml") == run == ledger.run_of(trial)
    kept = json.loads((place / "trial.json").read_text())
    assert (kept["status"], kept["number"], kept["study"], kept["hash"]) == ("running", 1, 7, run_hash(run))
    assert (kept["params"], kept["seed"], kept["steps"]) == ({"train.lr": 0.001}, 0, 6)


def test_a_repeat_is_on_disk_before_it_starts(ledger):
    run = tiny_run(train__seed=3)
    repeat = ledger.begin_finalist(run, "m1s1k1", {})
    assert repeat.key == "finalists/m1s1k1/seed3"
    assert load_run_config(ledger.folder / repeat.key / "config.yaml") == run
    assert as_text(reread(ledger).finalists) == as_text([repeat])
    assert not ledger.trials and not ledger.unfinished()


def test_a_ledger_read_again_equals_the_one_in_memory(ledger):
    new_trial(ledger, 0.001, study=3)
    completed(ledger, 0.002, 0.5, 0.4)
    stopped(ledger, 0.003, 0.1)
    failed(ledger, 0.004)
    stopped(ledger, 0.005)
    trial, _ = new_trial(ledger, 0.006, study=0)
    ledger.begin_finalist(tiny_run(train__seed=1), "m1s1k1", {"train.lr": 0.001})
    again = reread(ledger)
    assert as_text(again) == as_text(ledger)
    assert [each.status for each in again.trials] == [RUNNING, COMPLETED, STOPPED, FAILED, STOPPED, RUNNING]
    assert [each.number for each in again.unfinished()] == [1, 6]
    assert again.equal(trial.hash).key == trial.key and again.equal("0" * 64) is None


def test_trials_are_in_the_order_of_their_numbers_however_they_are_named(ledger):
    for number, runid in enumerate(("m9s1k1", "m1s1k1", "m5s1k1"), 1):
        ledger.begin(tiny_run(train__lr=number / 1000), runid, {})
    assert [trial.number for trial in reread(ledger).trials] == [1, 2, 3]


def test_nan_comes_back_as_nan(ledger):
    trial = completed(ledger, 0.001, math.nan, math.nan)
    assert "NaN" not in (ledger.folder / trial.key / "trial.json").read_text()
    (again,) = reread(ledger).trials
    assert math.isnan(again.metrics[METRIC]) and again.metrics["train_loss"] == 1.5
    assert [math.isnan(each[METRIC]) for each in again.curve] == [True, True]
    assert as_text([again]) == as_text([trial])
    again.seconds = math.nan
    ledger.write(again)
    assert math.isnan(reread(ledger).trials[0].seconds)


def test_a_whole_trial_has_the_figures_of_the_checkpoint_that_was_kept(ledger):
    trial = completed(ledger, 0.001, 0.7, 0.3)
    assert (trial.step, trial.best_step, trial.metrics[METRIC]) == (6, 3, 0.7)
    assert [each[METRIC] for each in trial.curve] == [0.7, 0.3]
    assert "step" not in trial.metrics and trial.seconds == 0.6


# What a kill leaves


def test_a_result_that_nobody_had_time_to_note_counts(ledger):
    trial, run = new_trial(ledger, 0.001)
    write_result(ledger.folder / trial.key, run, (0.4, 0.6))
    (again,) = reread(ledger).trials
    assert (again.status, again.metrics[METRIC], again.best_step, again.step) == (COMPLETED, 0.6, 6, 6)
    repeat = ledger.begin_finalist(tiny_run(train__seed=1), "m1s1k1", {})
    write_result(ledger.folder / repeat.key, tiny_run(train__seed=1), (0.4, 0.6))
    assert reread(ledger).finalists[0].status == COMPLETED


def test_a_trial_that_was_stopped_stays_stopped_though_its_result_is_there(ledger):
    trial = stopped(ledger, 0.001, 0.9)
    write_result(ledger.folder / trial.key, tiny_run(train__lr=0.001), (0.9, 0.9))
    assert reread(ledger).trials[0].status == STOPPED


def test_the_folder_of_a_trial_that_cannot_be_read_is_not_given_to_another(ledger):
    """Its state and result belong to other settings: whoever went on from them would report another run's figures."""
    completed(ledger, 0.001, 0.1, 0.2)
    lost, run = new_trial(ledger, 0.002)
    write_result(ledger.folder / lost.key, run, (0.9, 0.9))
    (ledger.folder / lost.key / "trial.json").write_text("{")
    again = reread(ledger)
    trial, _ = new_trial(again, 0.003)
    assert trial.key == "trials/0003_m1s1k1" and trial.number == 3
    assert not (ledger.folder / trial.key / "result.json").exists()
    assert again.run_of(trial).train.lr == 0.003

    repeat = again.begin_finalist(tiny_run(train__seed=1, train__lr=0.001), "m1s1k1", {})
    (again.folder / repeat.key / "trial.json").unlink()
    other = reread(again).begin_finalist(tiny_run(train__seed=1, train__lr=0.002), "m1s1k1", {})
    assert other.key != repeat.key


def test_a_folder_without_a_search_is_an_empty_ledger(tmp_path):
    assert not list(Ledger(tmp_path / "nowhere"))
    (tmp_path / "trials" / "0001_m1s1k1").mkdir(parents=True)
    (tmp_path / "trials" / "note.txt").write_text("mine")
    ledger = Ledger(tmp_path)
    assert not list(ledger)
    assert new_trial(ledger, 0.001)[0].key == "trials/0002_m1s1k1"


# Ranking


def test_only_the_full_budget_is_ranked(ledger):
    low, high = completed(ledger, 0.001, 0.2, 0.3), completed(ledger, 0.002, 0.1, 0.4)
    stopped(ledger, 0.003, 0.9)
    failed(ledger, 0.004, 0.95)
    running, _ = new_trial(ledger, 0.005)
    running.add_row(row(3, 0.99))
    none = completed(ledger, 0.006, math.nan, math.nan)
    assert ledger.whole() == [low, high, none]
    assert ranked(ledger.whole(), METRIC) == [high, low, none]
    assert ranked(reversed(ledger.whole()), METRIC) == [high, low, none]
    with pytest.raises(AssertionError, match="full budget"):
        ranked(ledger.trials, METRIC)


def test_a_figure_that_no_trial_has_ranks_nobody_before_another(ledger):
    trials = [completed(ledger, 0.001, 0.2), completed(ledger, 0.002, 0.1)]
    assert ranked(trials, "val_unknown") == trials


@pytest.mark.parametrize(("count", "lrs"), [(-2, []), (0, []), (1, [0.004]), (3, [0.004, 0.002, 0.001]), (9, 4)])
def test_runners_up_came_furthest_and_then_stood_best(ledger, count, lrs):
    for lr, values in ((0.001, (0.5,)), (0.002, (0.7,)), (0.003, (math.nan,)), (0.004, (0.1, 0.2))):
        stopped(ledger, lr, *values)
    stopped(ledger, 0.005)
    completed(ledger, 0.006, 0.9)
    failed(ledger, 0.007, 0.9)
    new_trial(ledger, 0.008)
    found = [trial.params["train.lr"] for trial in ledger.runners_up(METRIC, count)]
    assert found == lrs or len(found) == lrs


def test_a_stopped_trial_that_goes_on_keeps_what_it_has(ledger):
    trial = stopped(ledger, 0.001, 0.5)
    ledger.revive(trial)
    (again,) = reread(ledger).unfinished()
    assert as_text([again]) == as_text([trial])
    assert (again.status, again.reason, again.full, again.step) == (RUNNING, "", True, 3)
    assert not again.add_row(row(3, 0.9)) and again.add_row(row(6, 0.6))


# Two finalists of one run id


def test_finalists_of_one_run_id_have_folders_of_their_own(ledger):
    first = ledger.begin_finalist(tiny_run(train__seed=1, train__lr=0.001), "m1s1k1", {})
    second = ledger.begin_finalist(tiny_run(train__seed=1, train__lr=0.002), "m1s1k1", {})
    assert first.key == "finalists/m1s1k1/seed1"
    assert second.key == f"finalists/m1s1k1_{second.hash[:6]}/seed1"
    assert (first.number, second.number) == (1, 2)
    assert as_text(reread(ledger).finalists) == as_text([first, second])


# Earlier searches


def test_equal_runs_are_whole_ones_of_other_searches(tmp_path):
    searches = {name: Ledger(tmp_path / name) for name in ("a", "b", "now")}
    first = completed(searches["a"], 0.001, 0.2, 0.3)
    completed(searches["b"], 0.001, 0.2, 0.3)
    stopped(searches["b"], 0.002, 0.9)
    new_trial(searches["b"], 0.003)
    gone = completed(searches["b"], 0.004, 0.1)
    (tmp_path / "b" / gone.key / "model.safetensors").unlink()
    unnoted, run = new_trial(searches["b"], 0.005)
    write_result(tmp_path / "b" / unnoted.key, run, (0.5, 0.5))
    repeat = searches["b"].begin_finalist(tiny_run(train__seed=1), "m1s1k1", {})
    write_result(tmp_path / "b" / repeat.key, tiny_run(train__seed=1), (0.1, 0.1))
    searches["b"].end(repeat, REUSED, "equal to another")
    completed(searches["now"], 0.006, 0.2)
    (tmp_path / "file").write_text("no search")
    (tmp_path / "empty").mkdir()
    assert equal_runs(path for path in sorted(tmp_path.iterdir()) if path.name != "now") == {
        first.hash: tmp_path / "a" / first.key,
        unnoted.hash: tmp_path / "b" / unnoted.key,
        repeat.hash: tmp_path / "b" / repeat.key,
    }
    assert equal_runs([tmp_path / "nowhere"]) == {}


def test_a_trial_that_was_killed_between_its_settings_and_its_note_leaves_nothing(ledger):
    trial, _ = new_trial(ledger, 0.001)
    for name, files in {
        "0002_m1s1k1": ["config.yaml", f".trial.json.77{UNFINISHED}"],
        "0003_m1s1k1": ["config.yaml", "training.pt"],
    }.items():
        (ledger.folder / "trials" / name).mkdir()
        for file in files:
            (ledger.folder / "trials" / name / file).touch()
    ledger = Ledger(ledger.folder)  # as the search that goes on reads it
    ledger.forget_unbegun()
    there = sorted(place.name for place in (ledger.folder / "trials").iterdir())
    assert there == [trial.key.split("/")[1], "0003_m1s1k1"]
    assert new_trial(ledger, 0.002)[0].number == 4  # a folder with a state keeps its number
