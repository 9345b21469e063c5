"""Who is told what: that a worker has nothing left to do is said where no trial is to come, and not before."""

from types import SimpleNamespace

import pytest

from search.recorder import Clock, Recorder
from search.trialfile import COMPLETED, RUNNING, STOPPED


class Deaf:
    """Hears everything and does nothing."""

    def __getattr__(self, name):
        return lambda *given: None


def told(statuses, trials=4, repeats=0, at_once=2):
    """How often a recorder says that a worker is idle when the last of these trials has ended."""
    said = []
    ledger = [SimpleNamespace(status=status, seconds=1.0) for status in statuses]
    summary = SimpleNamespace(ledger=ledger, refresh=lambda: None)
    recorder = Recorder(
        Deaf(), summary, Deaf(), Deaf(), Clock(None), trials, repeats, at_once, idle=lambda: said.append(1)
    )
    recorder.ended(ledger[-1])
    return len(said)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([RUNNING, RUNNING, COMPLETED], 0),  # one is still to come
        ([COMPLETED, COMPLETED, RUNNING, COMPLETED], 1),
        ([RUNNING, RUNNING, STOPPED, COMPLETED], 0),  # both workers are at work
        ([COMPLETED, STOPPED, COMPLETED, COMPLETED], 1),
    ],
)
def test_a_worker_is_idle_where_fewer_trials_are_left_than_it_takes(statuses, expected):
    assert told(statuses) == expected


def test_repeats_of_finalists_are_still_to_come():
    assert told([COMPLETED] * 4, repeats=2) == 0
    assert told([*[COMPLETED] * 4, RUNNING, COMPLETED], repeats=2) == 1
