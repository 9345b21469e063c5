"""The Optuna study: true states, whatever happened between it and the ledger."""

import math
import warnings

import optuna
import pytest
from optuna.trial import TrialState

from ecggen.runid import two_digits
from search.ledger import Ledger
from search.study import ALGORITHMS, Study, draw
from search.trialfile import COMPLETED, REUSED
from tests.fake_search import BASE, METRIC, TABLE, completed, curve, failed, new_trial, reread, space_of, stopped
from tests.fake_search import write_result as write_trial_result
from tests.tiny import tiny_run
from tests.user_fault import fault_of

pytestmark = pytest.mark.usefixtures("quick_studies")
LRS = [0.001, 0.002, 0.003, 0.004, 0.005, 0.006]
SPACE = space_of({"train.lr": {"choice": LRS}})
RANGE = space_of({"train.lr": {"loguniform": [1e-4, 1e-2]}})


@pytest.fixture
def ledger(tmp_path):
    (tmp_path / "now").mkdir()
    return Ledger(tmp_path / "now")


def open_study(ledger, algorithm="random", seed=0):
    return Study(ledger.folder, algorithm, METRIC, seed)


def suggest(space=SPACE):
    return lambda live: space.suggest(live, BASE, TABLE)


def ask(study, lr):
    number, params = study.ask(suggest(), {"train.lr": lr})
    assert params == {"train.lr": lr}
    return number


def stored(ledger):
    """The study as anybody else reads it: the file, not the object that wrote it."""
    return optuna.load_study(study_name="ecggen", storage=f"sqlite:///{ledger.folder}/study.db").trials


def said(ledger):
    """State, value, learning curve and parameters of every trial of the study."""
    return [(one.state.name, one.value, one.intermediate_values, one.params) for one in stored(ledger)]


def tell_all(ledger):
    """One trial of each kind, told as they end; what the study then has to say."""
    study = open_study(ledger)
    study.end(completed(ledger, 0.001, 0.7, 0.3, study=ask(study, 0.001)))
    study.end(stopped(ledger, 0.002, 0.2, study=ask(study, 0.002)))
    study.end(failed(ledger, 0.003, 0.4, study=ask(study, 0.003)))
    study.end(completed(ledger, 0.004, math.nan, math.nan, study=ask(study, 0.004)))
    study.end(stopped(ledger, 0.005, study=ask(study, 0.005)))
    trial, _ = new_trial(ledger, 0.006, ask(study, 0.006))
    study.name(trial.study, trial)
    return [
        ("COMPLETE", 0.7, {3: 0.7, 6: 0.3}, {"train.lr": 0.001}),
        ("PRUNED", 0.2, {3: 0.2}, {"train.lr": 0.002}),
        ("FAIL", None, {3: 0.4}, {"train.lr": 0.003}),
        ("FAIL", None, {}, {"train.lr": 0.004}),
        ("FAIL", None, {}, {"train.lr": 0.005}),
        ("RUNNING", None, {}, {"train.lr": 0.006}),
    ]


# States


def test_the_study_says_what_became_of_each_trial(ledger):
    expected = tell_all(ledger)
    assert said(ledger) == expected
    trials = stored(ledger)
    assert trials[1].last_step == 3 and trials[1].user_attrs["reason"] == "ASHA, at step 3"
    assert trials[2].user_attrs["reason"] == "loss is not finite"
    assert trials[5].user_attrs == {"runid": "m1s1k1", "trial": "trials/0006_m1s1k1"}


def test_a_best_value_is_that_of_the_checkpoint_that_was_kept(ledger):
    study = open_study(ledger)
    study.end(stopped(ledger, 0.002, 0.9, study=ask(study, 0.002)))
    study.end(completed(ledger, 0.001, 0.5, 0.3, study=ask(study, 0.001)))
    found = optuna.load_study(study_name="ecggen", storage=f"sqlite:///{ledger.folder}/study.db")
    assert (found.best_value, found.best_params, found.metric_names) == (0.5, {"train.lr": 0.001}, [METRIC])


def test_reports_arrive_one_by_one_and_once(ledger):
    study = open_study(ledger)
    trial, _ = new_trial(ledger, 0.001, ask(study, 0.001))
    study.report(trial)
    assert stored(ledger)[0].intermediate_values == {}
    for row in curve(0.1, math.nan, 0.3):
        trial.add_row(row)
        study.report(trial)
        study.report(trial)
    assert stored(ledger)[0].intermediate_values == {3: 0.1, 9: 0.3}
    reopened = open_study(ledger)  # a trial that goes on says everything again
    for row in curve(0.1, math.nan, 0.3, 0.4):
        trial.curve = [row]
        reopened.report(trial)
    assert stored(ledger)[0].intermediate_values == {3: 0.1, 9: 0.3, 12: 0.4}


def test_a_trial_without_a_study_is_told_to_nobody(ledger):
    study = open_study(ledger)
    trial = completed(ledger, 0.001, 0.5)
    study.report(trial)
    study.end(trial)
    assert stored(ledger) == []


@pytest.mark.parametrize(
    ("make", "state"), [(completed, "COMPLETE"), (stopped, "PRUNED"), (failed, "FAIL"), (None, "FAIL")]
)
def test_an_equal_suggestion_is_told_what_became_of_its_twin(ledger, make, state):
    study = open_study(ledger)
    first = ask(study, 0.001)
    twin = make(ledger, 0.001, 0.4, study=first) if make else new_trial(ledger, 0.001, first)[0]
    again = ask(study, 0.001)
    study.drop(again, twin)
    second = stored(ledger)[again]
    assert (second.state.name, second.value) == (state, 0.4 if state in ("COMPLETE", "PRUNED") else None)
    assert second.user_attrs["equal_to"] == twin.key
    assert stored(ledger)[first].state == TrialState.RUNNING


def test_a_point_that_cannot_be_trained_fails_with_its_reason(ledger):
    study = open_study(ledger)
    study.fail(ask(study, 0.001), "basis_k: expected less")
    assert said(ledger) == [("FAIL", None, {}, {"train.lr": 0.001})]
    assert stored(ledger)[0].user_attrs["reason"] == "basis_k: expected less"


# After a kill


def test_a_study_that_agrees_is_left_alone(ledger):
    expected = tell_all(ledger)
    open_study(ledger).reconcile(reread(ledger), SPACE.entries)
    assert said(ledger) == expected


def test_what_the_ledger_knows_is_told(ledger):
    """Killed after the ledger was written and before the study was: every kind of end."""
    study = open_study(ledger)
    for make, lr in ((completed, 0.001), (stopped, 0.002), (failed, 0.003)):
        make(ledger, lr, 0.5, study=ask(study, lr))
    trial, run = new_trial(ledger, 0.004, ask(study, 0.004))  # killed even before the ledger was written
    write_trial_result(ledger.folder / trial.key, run, (0.6, 0.8))
    assert {one.state for one in stored(ledger)} == {TrialState.RUNNING}
    again = reread(ledger)
    open_study(ledger).reconcile(again, SPACE.entries)
    assert said(ledger) == [
        ("COMPLETE", 0.5, {3: 0.5}, {"train.lr": 0.001}),
        ("PRUNED", 0.5, {3: 0.5}, {"train.lr": 0.002}),
        ("FAIL", None, {3: 0.5}, {"train.lr": 0.003}),
        ("COMPLETE", 0.8, {3: 0.6, 6: 0.8}, {"train.lr": 0.004}),
    ]
    assert [one.study for one in again.trials] == [0, 1, 2, 3]


def test_a_suggestion_that_never_became_a_trial_fails(ledger):
    study = open_study(ledger)
    study.ask(suggest())
    new_trial(ledger, 0.002, ask(study, 0.002))
    open_study(ledger).reconcile(reread(ledger), SPACE.entries)
    assert [one.state.name for one in stored(ledger)] == ["FAIL", "RUNNING"]
    assert "before this trial began" in stored(ledger)[0].user_attrs["reason"]


def test_a_study_that_is_lost_is_made_again(ledger):
    expected = tell_all(ledger)
    names = [one.user_attrs.get("trial") for one in stored(ledger)]
    (ledger.folder / "study.db").unlink()
    again = reread(ledger)
    study = open_study(ledger)
    study.reconcile(again, SPACE.entries)
    assert said(ledger) == expected
    distributions = {one.distributions["train.lr"] for one in stored(ledger)}
    assert distributions == {optuna.distributions.CategoricalDistribution(LRS)}
    assert [one.user_attrs["trial"] for one in stored(ledger)] == [one.key for one in again.trials]
    assert names[-1] == again.trials[-1].key
    open_study(ledger).reconcile(reread(ledger), SPACE.entries)  # and once is enough
    assert said(ledger) == expected
    # the trial that was under way goes on
    trial = again.unfinished()[0]
    write_trial_result(ledger.folder / trial.key, tiny_run(train__lr=0.006), (0.1, 0.9))
    again.end(trial, COMPLETED)
    study.end(trial)
    assert said(ledger)[-1] == ("COMPLETE", 0.9, {3: 0.1, 6: 0.9}, {"train.lr": 0.006})


def test_a_lost_study_is_made_again_though_suggestions_lay_between(ledger):
    study = open_study(ledger)
    first = completed(ledger, 0.001, 0.5, study=ask(study, 0.001))
    study.end(first)
    study.drop(ask(study, 0.001), first)
    second, _ = new_trial(ledger, 0.002, ask(study, 0.002))
    assert second.study == 2
    (ledger.folder / "study.db").unlink()
    again = reread(ledger)
    open_study(ledger).reconcile(again, SPACE.entries)
    assert [one.study for one in again.trials] == [one.study for one in reread(ledger).trials] == [0, 1]
    assert [one[3]["train.lr"] for one in said(ledger)] == [0.001, 0.002]


def test_a_reused_result_is_a_complete_one(ledger):
    study = open_study(ledger)
    trial, run = new_trial(ledger, 0.001, ask(study, 0.001))
    write_trial_result(ledger.folder / trial.key, run, (0.6, 0.8))
    ledger.end(trial, REUSED, "equal to a/trials/0001_m1s1k1")
    study.end(trial)
    expected = [("COMPLETE", 0.8, {3: 0.6, 6: 0.8}, {"train.lr": 0.001})]
    assert said(ledger) == expected
    (ledger.folder / "study.db").unlink()
    open_study(ledger).reconcile(reread(ledger), SPACE.entries)
    assert said(ledger) == expected
    assert stored(ledger)[0].user_attrs["reason"] == "equal to a/trials/0001_m1s1k1"


@pytest.mark.parametrize("ended", [True, False])
def test_a_stopped_trial_that_goes_on_is_a_new_one_of_the_study(ledger, ended):
    """Killed right after the ledger knew; what the study was told of the stop stays told."""
    study = open_study(ledger)
    trial = stopped(ledger, 0.002, 0.9, study=ask(study, 0.002))
    study.end(trial)
    ledger.revive(trial)
    if ended:
        write_trial_result(ledger.folder / trial.key, tiny_run(train__lr=0.002), (0.9, 0.8))
        ledger.end(trial, COMPLETED)
        study.report(trial)  # to a trial that is closed: nobody hears it
        study.end(trial)
    for _ in range(2):
        open_study(ledger).reconcile(reread(ledger), SPACE.entries)
    point = {"train.lr": 0.002}
    went_on = ("COMPLETE", 0.9, {3: 0.9, 6: 0.8}, point) if ended else ("RUNNING", None, {}, point)
    assert said(ledger) == [("PRUNED", 0.9, {3: 0.9}, point), went_on]
    assert reread(ledger).trials[0].study == 1


@pytest.mark.parametrize("reconciled", [True, False])
def test_a_point_that_was_left_in_the_queue_is_not_handed_out_as_another(ledger, reconciled):
    study = open_study(ledger)
    study._study.enqueue_trial({"train.lr": 0.005})  # killed before it was asked for
    study._study.enqueue_trial({"train.lr": 0.006})
    study = open_study(ledger)
    if reconciled:
        study.reconcile(ledger, SPACE.entries)
    ask(study, 0.001)
    ask(study, 0.005)
    by_state = {name: [one for one in stored(ledger) if one.state.name == name] for name in ("FAIL", "RUNNING")}
    assert [one.params["train.lr"] for one in by_state["RUNNING"]] == [0.001, 0.005]
    assert len(by_state["FAIL"]) == 2 and len(stored(ledger)) == 4


def test_nothing_is_left_in_the_queue_of_a_sampler(ledger):
    study = open_study(ledger)
    study._study.enqueue_trial({"train.lr": 0.003})
    study = open_study(ledger)
    study.reconcile(ledger, SPACE.entries)
    assert [one.state for one in stored(ledger)] == [TrialState.FAIL]
    study.ask(suggest())
    assert len(stored(ledger)) == 2 and TrialState.WAITING not in [one.state for one in stored(ledger)]


def test_a_trial_under_way_keeps_its_own_point_where_the_queue_held_another(ledger):
    """The study's copy is older than the ledger."""
    trial, _ = new_trial(ledger, 0.002, study=5)
    study = open_study(ledger)
    study._study.enqueue_trial({"train.lr": 0.005})
    open_study(ledger).reconcile(ledger, SPACE.entries)
    assert stored(ledger)[trial.study].params == {"train.lr": 0.002}


# Suggestions


def numbers(study, count=8):
    return [study.ask(suggest(RANGE))[1]["train.lr"] for _ in range(count)]


@pytest.mark.parametrize("algorithm", ["random", "optuna"])
def test_a_study_that_is_opened_again_draws_other_numbers(ledger, algorithm):
    first = numbers(open_study(ledger, algorithm))
    again = numbers(open_study(ledger, algorithm))
    assert len(set(first)) > 4
    assert len(set(first) & set(again)) < len(first) / 2


@pytest.mark.parametrize("algorithm", ["random", "optuna"])
def test_a_study_that_is_made_again_draws_other_numbers(ledger, algorithm):
    study = open_study(ledger, algorithm)
    first = []
    for _ in range(6):
        number, params = study.ask(suggest(RANGE))
        first.append(params["train.lr"])
        study.end(completed(ledger, params["train.lr"], 0.5, study=number))
    (ledger.folder / "study.db").unlink()
    study = open_study(ledger, algorithm)
    study.reconcile(reread(ledger), RANGE.entries)
    assert len(set(first) & set(numbers(study, 6))) < 3


def test_equal_seeds_draw_equal_numbers_and_other_seeds_others(tmp_path):
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        drawn.append(numbers(Study(tmp_path / name, "random", METRIC, seed), 5))
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_sampler_learns_from_what_it_is_fed(ledger):
    study = open_study(ledger, "optuna")
    fed = {f"old/trials/{at:04d}_m1s1k1": two_digits(1e-4 * 100 ** (at / 24)) for at in range(25)}
    for source, lr in fed.items():
        study.feed({"train.lr": lr}, -(math.log(lr / 0.002) ** 2), source, RANGE.entries)
    assert study.fed() == open_study(ledger, "optuna").fed() == set(fed)
    study.reconcile(ledger, RANGE.entries)
    assert [(state, params["train.lr"]) for state, _, _, params in said(ledger)] == [
        ("COMPLETE", lr) for lr in fed.values()
    ]
    near = [0.0007 < lr < 0.006 for lr in numbers(study, 8)]  # half of the range, in its logarithm
    assert sum(near) >= 7


def test_every_kind_of_entry_is_drawn_as_the_space_draws_it_and_made_again(ledger):
    entries = {
        "s": [1, 4],
        "model.vcg.basis_k": {"int": [8, 16], "step": 4},
        "train.lr": {"loguniform": [1e-3, 1e-2]},
        "train.warmup": {"uniform": [0.0, 0.1]},
        "model.vcg.hidden": {"int": [0, 5]},
        "train.clip": {"choice": [1.0, 2.0], "when": {"s": 4}},
    }
    space = space_of(entries)
    study = open_study(ledger, "optuna")
    for at in range(4):
        number, params = study.ask(suggest(space))
        assert list(params) == [entry.name for entry in space.entries if entry.name in params]
        trial = ledger.begin(tiny_run(train__seed=at), "m1s1k1", params, number)
        study.name(number, trial)
    point = {"s": 4, "model.vcg.basis_k": 12, "train.lr": 0.0042, "train.warmup": 0.03, "model.vcg.hidden": 5}
    fixed = {**point, "train.clip": 2.0}
    number, params = study.ask(suggest(space), fixed)
    assert params == fixed
    ledger.begin(tiny_run(train__seed=9), "m1s1k1", params, number)
    before = [(one.state, one.distributions) for one in stored(ledger)]
    (ledger.folder / "study.db").unlink()
    again = reread(ledger)
    open_study(ledger, "optuna").reconcile(again, space.entries)
    assert [(one.state, one.distributions) for one in stored(ledger)] == before
    assert [one.params for one in stored(ledger)] == [one.params for one in again.trials]


class Asked:
    """A live trial that keeps what it was asked."""

    def __init__(self):
        self.asked = {}

    def __getattr__(self, method):
        def suggest(name, *options, **more):
            self.asked[name] = (method, options, more)

        return suggest


def test_a_rebuilt_trial_is_asked_as_a_space_asks():
    space = space_of(
        {
            "s": [1, 4],
            "model.vcg.basis_k": {"int": [8, 16], "step": 4},
            "train.lr": {"loguniform": [1e-3, 1e-2]},
            "train.warmup": {"uniform": [0.0, 0.1]},
        }
    )
    asked = Asked()
    for entry in space.entries:
        draw(asked, entry)
    assert asked.asked == {
        "s": ("suggest_categorical", ([1, 4],), {}),
        "model.vcg.basis_k": ("suggest_int", (8, 16), {"step": 4}),
        "train.lr": ("suggest_float", (1e-3, 1e-2), {"log": True}),
        "train.warmup": ("suggest_float", (0.0, 0.1), {"log": False}),
    }


def test_an_unknown_algorithm_is_one_line(ledger):
    message = fault_of(open_study, ledger, "annealing")
    assert all(name in message for name in ("annealing", *ALGORITHMS))


def test_opening_a_study_warns_of_nothing(ledger):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for algorithm in ALGORITHMS:
            open_study(ledger, algorithm)


def test_a_damaged_study_is_put_aside(tmp_path):
    (tmp_path / "study.db").write_bytes(b"no database at all" * 100)
    study = Study(tmp_path, "random", "val_r", 0)
    assert study.fed() == set()
    assert (tmp_path / "study.db.damaged").is_file()


def test_a_folder_may_have_signs_that_mean_something_in_a_url(tmp_path):
    odd = tmp_path / "od?d%20#ä"
    odd.mkdir()
    Study(odd, "random", "val_r", 0)
    assert (odd / "study.db").is_file() and not (tmp_path / "od").exists()
