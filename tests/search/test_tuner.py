"""ASHA as a round of the search uses it: told what is known, deaf to what must be trained to its end."""

import math
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from search.trialfile import Trial
from search.tuner import NewestFirst, asha, teach

METRIC = "val_hidden_r"


def known(number, *figures, grace=10):
    trial = Trial(number, f"trials/{number:04d}_m1s1k1", "m1s1k1", f"{number:x}", 0, 90)
    for at, figure in enumerate(figures, 1):
        trial.add_row({"step": at * grace, "seconds": 1.0, METRIC: figure})
    return trial


def live(name="new", full=False):
    return SimpleNamespace(trial_id=name, config={"full": full})


def decide(scheduler, trial, step, figure):
    return scheduler.on_trial_result(None, trial, {"step": step, METRIC: figure})


@pytest.fixture
def scheduler():
    """Rungs at 10 and 30 of 90 steps; three trials have passed the first one."""
    scheduler = asha(90, 10, 3, METRIC, [known(1, 0.2), known(2, 0.4), known(3, 0.6)])
    scheduler.on_trial_add(None, live())
    return scheduler


@pytest.mark.parametrize(("figure", "decision"), [(0.7, "CONTINUE"), (0.45, "STOP"), (0.1, "STOP")])
def test_a_search_that_is_carried_on_compares_with_the_trials_before(scheduler, figure, decision):
    assert decide(scheduler, live(), 10, figure) == getattr(TrialScheduler, decision)


def test_nothing_known_stops_nobody():
    scheduler = asha(90, 10, 3, METRIC, [])
    scheduler.on_trial_add(None, live())
    assert decide(scheduler, live(), 10, 0.1) == TrialScheduler.CONTINUE


def test_a_trial_between_two_rungs_is_left_alone(scheduler):
    assert decide(scheduler, live(), 10, 0.9) == TrialScheduler.CONTINUE
    assert decide(scheduler, live(), 20, 0.0) == TrialScheduler.CONTINUE


def test_what_has_to_be_whole_is_never_stopped(scheduler):
    scheduler.on_trial_add(None, live("runner-up", full=True))
    assert decide(scheduler, live("runner-up", full=True), 10, 0.0) == TrialScheduler.CONTINUE


def test_repeats_do_not_raise_the_bar_for_trials(scheduler):
    for number in range(20):
        scheduler.on_trial_add(None, live(f"repeat {number}", full=True))
        decide(scheduler, live(f"repeat {number}", full=True), 10, 0.99)
    assert decide(scheduler, live(), 10, 0.7) == TrialScheduler.CONTINUE


def test_a_known_figure_that_is_no_number_is_not_compared_with():
    scheduler = asha(90, 10, 3, METRIC, [known(1, math.nan), known(2, math.nan)])
    scheduler.on_trial_add(None, live())
    assert decide(scheduler, live(), 10, 0.1) == TrialScheduler.CONTINUE


def test_a_result_that_is_taken_over_in_mid_search_is_compared_with_too(scheduler):
    for number in range(4, 12):
        teach(scheduler, known(number, 0.9), 90, METRIC)
    assert decide(scheduler, live(), 10, 0.7) == TrialScheduler.STOP


def test_a_decision_of_before_the_search_was_left_stands(scheduler):
    """But what is said again counts for the others."""
    again = {"step": 10, METRIC: 0.1, "again": True}
    assert scheduler.on_trial_result(None, live(), again) == TrialScheduler.CONTINUE
    assert decide(scheduler, live(), 30, 0.1) == TrialScheduler.CONTINUE
    scheduler.on_trial_add(None, live("other"))
    assert decide(scheduler, live("other"), 10, 0.41) == TrialScheduler.CONTINUE


@pytest.mark.parametrize("scheduler", [NewestFirst(), asha(90, 10, 3, METRIC, [])])
@pytest.mark.parametrize(
    ("states", "chosen"), [("PENDING PENDING", 1), ("PENDING RUNNING", 0), ("RUNNING TERMINATED", None), ("", None)]
)
def test_a_trial_that_waits_for_a_worker_of_its_own_is_left_to_it(scheduler, states, chosen):
    trials = [SimpleNamespace(status=state, PENDING="PENDING") for state in states.split()]
    found = scheduler.choose_trial_to_run(SimpleNamespace(get_trials=lambda: trials))
    assert found is (None if chosen is None else trials[chosen])
