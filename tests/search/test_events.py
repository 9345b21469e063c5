"""The event files of a search's trials follow what the searcher tells."""

from search.events import EventFiles
from tests.fake_search import METRIC, completed, curve, new_trial, stopped
from tests.test_events import points


def followed(ledger):
    return EventFiles(ledger, METRIC)


def shown(ledger, trial):
    return points(ledger.folder / trial.key).get(METRIC)


def test_a_trial_is_followed_row_by_row(ledger):
    events = followed(ledger)
    trial, _ = new_trial(ledger, 0.001)
    events.began(trial)
    for row in curve(0.25, 0.5):
        trial.add_row(row)
        events.reported(trial)
    events.ended(trial)
    assert shown(ledger, trial) == [(3, 0.25), (6, 0.5)]


def test_a_trial_that_goes_on_has_each_step_once(ledger):
    events = followed(ledger)
    trial = stopped(ledger, 0.001, 0.25)
    events.began(trial)
    trial.add_row(curve(0.25, 0.5)[1])
    events.reported(trial)
    events.close()
    assert shown(ledger, trial) == [(3, 0.25), (6, 0.5)]


def test_a_curve_that_came_as_a_whole_is_written_as_a_whole(ledger):
    trial = completed(ledger, 0.001, 0.25, 0.5)
    followed(ledger).ended(trial)
    assert shown(ledger, trial) == [(3, 0.25), (6, 0.5)]


def test_all_files_can_be_made_again_but_for_those_under_way(ledger):
    done = [completed(ledger, 0.001, 0.25, 0.5), stopped(ledger, 0.002, 0.125)]
    running, _ = new_trial(ledger, 0.003)
    followed(ledger).rebuild()
    assert [shown(ledger, trial) for trial in done] == [[(3, 0.25), (6, 0.5)], [(3, 0.125)]]
    assert shown(ledger, running) is None
