"""Who is told what: what can be done while a worker is idle is done in the last stage of a search, and not before."""

import pytest

from search.recorder import Clock, Recorder


@pytest.mark.parametrize("repeats", [0, 6])
def test_an_idle_worker_counts_in_the_last_stage_alone(repeats):
    done = []
    recorder = Recorder(*[None] * 4, Clock(None), repeats, 2, while_idle=done.append)
    recorder.idle(1)
    assert done == ([1] if repeats == 0 else [])
    recorder.last_stage = True
    recorder.idle(3)
    assert done[-1] == 3
