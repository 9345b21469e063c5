"""The proof: who is repeated, with which seeds, where, and what is compared."""

import math
import os
import time

import numpy as np
import pytest

from ecggen.config import RunConfig
from ecggen.configfile import apply_settings
from ecggen.leaderboard import LEADERBOARD_FILE, read_leaderboard
from ecggen.runid import run_hash
from search.compare import rank
from search.finals import candidates, certain, conclude, data_words, finalists, judged_sums, repeats, with_seed
from search.keepers import Keepers
from search.ledger import Ledger, equal_runs
from search.trialfile import COMPLETED, FAILED, REUSED, RUNNING, STOPPED
from tests.fake_search import (
    METRIC,
    as_text,
    completed,
    failed,
    new_trial,
    order_of,
    reread,
    row,
    stopped,
    write_result,
)
from tests.tiny import tiny_run
from tests.user_fault import fault_of


def judge(ledger, trial, rho):
    """The sums of 20 records whose r is `rho`, as a trial leaves them."""
    sums = np.zeros((20, 12, 6))
    sums[..., [0, 3, 4]] = 100
    sums[..., 5] = 100 * rho
    np.savez(ledger.folder / trial.key / "judged.npz", hidden=sums[:, :5], all=sums)


def end_repeat(ledger, repeat, rho, status=COMPLETED):
    write_result(ledger.folder / repeat.key, ledger.run_of(repeat), (0.1, rho))
    judge(ledger, repeat, rho)
    ledger.end(repeat, status)


# Who


def test_finalists_are_the_best_of_the_full_budget(ledger):
    low, high, middle = (completed(ledger, lr, value) for lr, value in ((0.001, 0.2), (0.002, 0.6), (0.003, 0.4)))
    stopped(ledger, 0.004, 0.99)
    failed(ledger, 0.005, 0.98)
    new_trial(ledger, 0.006)[0].add_row(row(3, 0.97))
    completed(ledger, 0.007, math.nan)
    assert finalists(ledger, METRIC, 2) == [high, middle]
    assert finalists(ledger, METRIC, 9) == [high, middle, low]
    assert finalists(ledger, METRIC, 0) == [] == finalists(ledger, "val_unknown", 3)


def test_a_repeat_is_no_finalist(ledger):
    best = completed(ledger, 0.001, 0.2)
    (repeat,) = repeats(ledger, [best], 1, {})
    end_repeat(ledger, repeat, 0.9)
    assert finalists(ledger, METRIC, 3) == [best]


# Repeats


def test_repeats_have_seeds_of_their_own_and_go_seed_by_seed(ledger):
    """After the first seed of each, all finalists can be compared, however soon the time is over."""
    chosen = [completed(ledger, lr, 0.2) for lr in (0.001, 0.002)]
    made = repeats(ledger, chosen, 3, {})
    assert [(one.seed, ledger.run_of(one).train.lr) for one in made] == [
        (seed, lr) for seed in (1, 2, 3) for lr in (0.001, 0.002)
    ]
    assert chosen[0].seed == 0 and not {run_hash(ledger.run_of(one)) for one in made} & {one.hash for one in chosen}
    for one in made:
        lr = ledger.run_of(one).train.lr
        assert ledger.run_of(one) == with_seed(tiny_run(train__lr=lr), one.seed)
        assert (one.status, one.runid, one.params) == (RUNNING, "m1s1k1", {"train.lr": lr})
    assert ledger.trials == chosen and as_text(reread(ledger).finalists) == as_text(made)


def test_fresh_seeds_follow_the_searchs_own(ledger):
    run = tiny_run(train__seed=7)
    trial = ledger.begin(run, "m1s1k1", {})
    write_result(ledger.folder / trial.key, run, (0.5,))
    ledger.end(trial, COMPLETED)
    assert [one.seed for one in repeats(ledger, [trial], 2, {})] == [8, 9]


def test_two_finalists_of_one_run_id_have_folders_of_their_own(ledger):
    chosen = [completed(ledger, lr, 0.2) for lr in (0.001, 0.002)]
    made = repeats(ledger, chosen, 2, {})
    assert len({one.key for one in made}) == 4 and len({one.hash for one in made}) == 4
    assert made[0].key == "finalists/m1s1k1/seed1" and made[1].key.startswith("finalists/m1s1k1_")


def test_repeats_that_are_asked_for_again_are_the_same(ledger):
    chosen = [completed(ledger, lr, 0.2) for lr in (0.001, 0.002)]
    made = repeats(ledger, chosen, 2, {})
    assert repeats(ledger, chosen, 2, {}) == made
    end_repeat(ledger, made[0], 0.4)
    ledger.end(made[1], FAILED, "loss is not finite")
    again = reread(ledger)
    left = repeats(again, finalists(again, METRIC, 2), 2, {})
    assert [one.key for one in left] == [one.key for one in made[2:]]
    assert len(again.finalists) == 4
    more = repeats(again, finalists(again, METRIC, 2), 3, {})
    assert [one.seed for one in more] == [2, 2, 3, 3] and len(again.finalists) == 6


def test_a_repeat_that_time_cut_short_goes_on_when_there_is_more(ledger):
    best = completed(ledger, 0.001, 0.2)
    (repeat,) = repeats(ledger, [best], 1, {})
    repeat.add_row(row(3, 0.3))
    ledger.end(repeat, STOPPED, "time budget")
    again = reread(ledger)
    (left,) = repeats(again, again.trials, 1, {})
    assert (left.key, left.status, left.step) == (repeat.key, RUNNING, 3)
    assert reread(ledger).finalists[0].status == RUNNING


def test_an_equal_run_of_an_earlier_search_is_reused(ledger, tmp_path):
    old = Ledger(tmp_path / "old")
    other = completed(old, 0.001, 0.1)
    (earlier,) = repeats(old, [other], 1, {})
    end_repeat(old, earlier, 0.7)
    chosen = [completed(ledger, lr, 0.2) for lr in (0.001, 0.002)]
    elsewhere = equal_runs(path for path in sorted(tmp_path.iterdir()) if path.name != "now")
    made = repeats(ledger, chosen, 1, elsewhere)
    assert [ledger.run_of(one).train.lr for one in made] == [0.002]
    taken = ledger.finalists[0]
    assert (taken.status, taken.metrics[METRIC], taken.reason) == (REUSED, 0.7, f"equal to old/{earlier.key}")
    assert judged_sums(ledger, taken)["hidden"][0, 0, 5] == pytest.approx(70)
    assert [one.key for one in repeats(ledger, chosen, 1, elsewhere)] == [made[0].key]


def test_an_earlier_run_that_is_damaged_is_trained(ledger, tmp_path):
    old = Ledger(tmp_path / "old")
    (earlier,) = repeats(old, [completed(old, 0.001, 0.1)], 1, {})
    end_repeat(old, earlier, 0.7)
    elsewhere = equal_runs(path for path in sorted(tmp_path.iterdir()) if path.name != "now")
    (tmp_path / "old" / earlier.key / "result.json").write_text("{")
    (made,) = repeats(ledger, [completed(ledger, 0.001, 0.2)], 1, elsewhere)
    assert made.status == RUNNING and not (ledger.folder / made.key / "result.json").exists()


# What is compared


def test_a_finalist_is_judged_by_its_repeats_and_not_by_itself(ledger):
    first, second = (completed(ledger, lr, value) for lr, value in ((0.001, 0.9), (0.002, 0.8)))
    for trial in (first, second):
        judge(ledger, trial, 0.99)
    for repeat in repeats(ledger, [first, second], 2, {}):
        end_repeat(ledger, repeat, {0.001: 0.5, 0.002: 0.7}[ledger.run_of(repeat).train.lr] + repeat.seed / 1000)
    found = candidates(ledger, [first, second], 2)
    assert [(one.runid, one.hash, one.step, one.seeds, one.fresh) for one in found] == [
        ("m1s1k1", trial.hash, 6, [1, 2], True) for trial in (first, second)
    ]
    winner, loser = rank(found, METRIC, 50)
    assert (winner.hash, loser.hash) == (second.hash, first.hash)
    assert (winner.mean, winner.n, winner.proved) == (pytest.approx(0.7015), 2, True)
    assert loser.mean == pytest.approx(0.5015)


def test_a_repeat_that_is_not_whole_does_not_count(ledger):
    trial = completed(ledger, 0.001, 0.9)
    done, failing, cut, running = repeats(ledger, [trial], 4, {})
    end_repeat(ledger, done, 0.5)
    for repeat, status in ((failing, FAILED), (cut, STOPPED), (running, RUNNING)):
        judge(ledger, repeat, 0.99)
        if status != RUNNING:
            ledger.end(repeat, status)
    (found,) = candidates(ledger, [trial], 4)
    assert found.seeds == [1] and found.fresh
    (standing,) = rank([found], METRIC, 50)
    assert standing.mean == pytest.approx(0.5) and not standing.proved  # one seed proves nothing


@pytest.mark.parametrize("seeds", [0, 2])
def test_without_a_whole_repeat_the_trial_itself_is_judged_and_nothing_is_proved(ledger, seeds):
    trial = completed(ledger, 0.001, 0.9)
    judge(ledger, trial, 0.6)
    for repeat in repeats(ledger, [trial], seeds, {}):
        ledger.end(repeat, FAILED, "loss is not finite")
    (found,) = candidates(ledger, [trial], seeds)
    assert found.seeds == [0] and not found.fresh
    (standing,) = rank([found], METRIC, 50)
    assert standing.mean == pytest.approx(0.6) and not standing.proved and standing.n == 1


def whole_sums(records=3):
    return {"hidden": np.ones((records, 5, 6)), "all": np.ones((records, 12, 6))}


OTHERS = {
    "none": None,
    "other names": {"shown": np.ones((3, 5, 6)), "all": np.ones((3, 12, 6))},
    "one of two": {"all": np.ones((3, 12, 6))},
    "fewer leads": whole_sums() | {"hidden": np.ones((3, 4, 6))},
    "other sums": whole_sums() | {"all": np.ones((3, 12, 5))},
    "no records": whole_sums() | {"all": np.ones((12, 6))},
    "a number": whole_sums() | {"hidden": np.array(1.0)},
    "words": whole_sums() | {"all": np.full((3, 12, 6), "x")},
    "yes or no": whole_sums() | {"all": np.ones((3, 12, 6), bool)},
}


@pytest.mark.parametrize("there", OTHERS)
def test_what_was_not_judged_or_holds_other_arrays_is_judged_now_and_once(ledger, monkeypatch, there):
    judged = []

    def judge_model(run, model, path):
        judged.append((run, model))
        np.savez(path, **whole_sums())

    monkeypatch.setattr("search.finals.judge_model", judge_model)
    monkeypatch.setattr("search.finals.load_model", lambda path: path)
    trial = completed(ledger, 0.001, 0.9)
    if OTHERS[there] is not None:
        np.savez(ledger.folder / trial.key / "judged.npz", **OTHERS[there])
    for _ in range(2):
        sums = judged_sums(ledger, trial)
        assert (sums["hidden"].shape, sums["all"].shape) == ((3, 5, 6), (3, 12, 6))
    assert judged == [(tiny_run(train__lr=0.001), ledger.folder / trial.key / "model.safetensors")]


def test_other_arrays_without_the_model_are_one_line(ledger):
    trial = completed(ledger, 0.001, 0.9)
    np.savez(ledger.folder / trial.key / "judged.npz", **OTHERS["other names"])
    (ledger.folder / trial.key / "model.safetensors").unlink(missing_ok=True)
    assert "model.safetensors: expected" in fault_of(candidates, ledger, [trial], 0)


def test_one_that_was_judged_on_other_records_is_named(ledger):
    chosen = [completed(ledger, lr, 0.9) for lr in (0.001, 0.002, 0.003)]
    for trial in chosen:
        np.savez(ledger.folder / trial.key / "judged.npz", **whole_sums(4 if trial is chosen[1] else 3))
    message = fault_of(candidates, ledger, chosen, 0)
    place = ledger.folder / chosen[1].key / "judged.npz"
    assert message.startswith(f"{place}: expected sums of 3 and 3 records (hidden and all) as the other finalists have")
    assert "got 4 and 4; remove the file" in message
    np.savez(place, **whole_sums())
    assert len(candidates(ledger, chosen, 0)) == 3


def test_with_another_seed_a_run_is_otherwise_the_same():
    run = tiny_run(train__lr=0.005)
    assert with_seed(run, 4) == tiny_run(train__lr=0.005, train__seed=4) and run.train.seed == 0


def test_data_in_a_few_words():
    run = tiny_run(data__simulator__seed=3)
    assert data_words(order_of(base=run, data="simulator-c1f0a2b3c4d5e6f7")) == "simulator 60 seed 3 c1f0a2"
    assert data_words(order_of(base=run, data="")) == "simulator 60 seed 3"


@pytest.mark.parametrize(
    ("source", "folds", "words"),
    [
        ("ptbxl", [9], "ptbxl ward c1f0a2, folds 9"),
        ("ptbxl", [7, 9], "ptbxl ward c1f0a2, folds 7 9"),
        ("wfdb", [9], "wfdb ward c1f0a2"),
        ("wfdb", [3], "wfdb ward c1f0a2, folds 3"),
    ],
)
def test_other_files_or_folds_are_other_words(source, folds, words):
    run = apply_settings(
        RunConfig(),
        {"data.source": source, "data.root": "/records/ward", "data.train_folds": [1], "data.val_folds": folds},
    )
    assert data_words(order_of(base=run, data=f"{source}-c1f0a2b3c4d5e6f7")) == words


# What is left


@pytest.fixture
def proven(ledger):
    """Two finalists of one run id with two repeats each, the second one better."""
    first, second = (completed(ledger, lr, value) for lr, value in ((0.001, 0.9), (0.002, 0.8)))
    for repeat in repeats(ledger, [first, second], 2, {}):
        end_repeat(ledger, repeat, {0.001: 0.5, 0.002: 0.7}[ledger.run_of(repeat).train.lr] + repeat.seed / 1000)
    return first, second


def keep(results, trial, name):
    """A result folder as a promotion leaves it."""
    (results / name).mkdir(parents=True)
    (results / name / "DONE").write_text(f"{trial.hash}\n")


def test_a_leaderboard_is_as_old_as_the_last_training_and_not_as_its_making(ledger, proven, tmp_path, monkeypatch):
    monkeypatch.setattr("search.finals.promote_all", lambda jobs, *rest: [None for _ in jobs])
    for at, trial in enumerate(ledger):
        os.utime(ledger.folder / trial.key / "result.json", (1e9 + at, 1e9 + at))
    conclude(order_of(), ledger, tmp_path, Keepers(1, 1), lambda line: None)
    when = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(1e9 + 5))
    assert {line["when"] for line in read_leaderboard(tmp_path / LEADERBOARD_FILE)} == {when}


def test_what_has_its_folder_already_need_not_be_made(ledger, proven, tmp_path):
    first, second = proven
    assert certain(ledger, proven, tmp_path) == [(ledger.folder / trial.key, "m1s1k1") for trial in proven]
    keep(tmp_path, first, "m1s1k1_step6")
    assert certain(ledger, proven, tmp_path) == [(ledger.folder / second.key, "m1s1k1")]


def test_a_promoted_folder_stays_in_the_leaderboard_whatever_became_of_the_trial(ledger, proven, tmp_path, monkeypatch):
    jobs, results = [], tmp_path / "results"

    def promote_all(wanted, *rest):
        jobs.extend(wanted)
        return [None for _ in wanted]

    monkeypatch.setattr("search.finals.promote_all", promote_all)
    first, second = proven
    keep(results, second, f"m1s1k1_step6_{second.hash[:6]}")
    outcome = conclude(order_of(), ledger, results, Keepers(1, 1), lambda line: None)
    assert jobs == [(ledger.folder / first.key, "m1s1k1")]
    names = [f"m1s1k1_step6_{second.hash[:6]}", ""]
    assert [one.folder for one in outcome.standings] == names
    assert [line["folder"] for line in read_leaderboard(ledger.folder / LEADERBOARD_FILE)] == names
    assert outcome.lost == (f"m1s1k1_{first.hash[:6]}",)
    keep(results, first, "m1s1k1_step6")
    assert conclude(order_of(), ledger, results, Keepers(1, 1), lambda line: None).lost == () and len(jobs) == 1
