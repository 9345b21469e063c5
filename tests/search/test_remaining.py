"""How long a search still has to go, on ledgers whose every step took a tenth of a second."""

import pytest

from search.remaining import seconds_left, steps_left
from search.trialfile import RUNNING
from tests.fake_search import completed, curve, failed, new_trial, order_of, stopped

BUDGET = 6  # steps


def running(ledger, lr, *values):
    trial, _ = new_trial(ledger, lr)
    for row in curve(*values):
        trial.add_row(row)
    return trial


def left(ledger, at_once=1, to_come=0, proving=False, **order):
    return seconds_left(ledger, order_of(**order), at_once, to_come, proving)


def test_nothing_is_guessed_before_there_is_a_basis(ledger):
    assert left(ledger, to_come=10) is None
    running(ledger, 0.001)
    assert left(ledger, to_come=9) is None and left(ledger, to_come=9, asha=False) is None  # no step has a price yet
    running(ledger, 0.002, 0.5)
    assert left(ledger, to_come=8) is None  # how far ASHA lets them come is not known
    assert left(ledger, to_come=8, asha=False, seeds=0) == pytest.approx(0.1 * (6 + 3 + 8 * 6))


def test_trials_to_come_cost_what_others_did_on_average(ledger):
    completed(ledger, 0.001, 0.5, 0.6)
    stopped(ledger, 0.002, 0.4)
    assert steps_left(ledger, order_of(), 4, False) == ([4.5] * 4, [6.0] * 4)
    assert left(ledger, to_come=4) == pytest.approx(0.1 * (4 * 4.5 + 2 * 2 * BUDGET))
    assert left(ledger, to_come=4, at_once=2) == pytest.approx(0.1 * (4 * 4.5 + 2 * 2 * BUDGET) / 2)


def test_a_running_trial_goes_on_as_those_did_that_came_further(ledger):
    stopped(ledger, 0.002, 0.4)
    running(ledger, 0.003)
    running(ledger, 0.004, 0.5)
    assert steps_left(ledger, order_of(seeds=0), 0, False) == ([3.0, 3.0], [])
    # One that is further than all that are over counts as one of the full budget, for those to come too.
    assert steps_left(ledger, order_of(seeds=0), 1, False) == ([3.0, 3.0, 4.5], [])


def test_a_runner_up_goes_to_its_end(ledger):
    first, second = stopped(ledger, 0.001, 0.4), stopped(ledger, 0.002, 0.3)
    for trial in (first, second):
        ledger.revive(trial)
    assert steps_left(ledger, order_of(), 0, False)[0] == [3.0, 3.0]


def test_company_makes_no_single_training_faster(ledger):
    stopped(ledger, 0.001, 0.4)
    completed(ledger, 0.002, 0.4, 0.5)
    assert left(ledger, at_once=4, to_come=1, seeds=0) == pytest.approx(0.45)


def test_only_repeats_that_are_left_count_while_proving(ledger):
    trial = completed(ledger, 0.001, 0.5, 0.6)
    run = ledger.run_of(trial)
    repeat = ledger.begin_finalist(run, trial.runid, {})
    repeat.add_row(curve(0.5)[0])
    ledger.begin_finalist(run, "m2s1k1", {}).status = "completed"
    assert repeat.status == RUNNING
    assert steps_left(ledger, order_of(), 0, True) == ([], [3.0])


def test_trials_that_failed_say_nothing_of_how_far_others_come(ledger):
    failed(ledger, 0.001, 0.1)
    assert left(ledger, to_come=1) is None
    completed(ledger, 0.002, 0.4, 0.5)
    assert steps_left(ledger, order_of(seeds=0), 1, False) == ([6.0], [])
