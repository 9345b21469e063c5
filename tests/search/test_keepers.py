"""Processes that help to keep the best: started once, only where several can work, and gone whatever happens."""

import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from search.keepers import Keepers


def gone(seconds=60):
    """Whether all processes end soon."""
    end = time.monotonic() + seconds
    while multiprocessing.active_children() and time.monotonic() < end:
        time.sleep(0.05)
    return not multiprocessing.active_children()


@pytest.mark.parametrize(("workers", "trials"), [(1, 3), (4, 1), (1, 1)])
def test_there_are_none_where_they_would_take_turns(workers, trials):
    with Keepers(workers, trials) as keepers:
        keepers.start()
        keepers.begin("work", os.getpid)
        assert keepers.pool is None and not keepers.begun and not multiprocessing.active_children()


def test_as_many_as_there_is_work_for_are_started_before_it_is_there_and_end_with_it():
    with Keepers(5, 2) as keepers:
        keepers.start()
        keepers.start()
        begun = {process.pid for process in multiprocessing.active_children()}
        assert len(begun) == 2 and keepers.pool.submit(os.getpid).result() in begun
        keepers.finish()
    assert gone()


DEAF = """
import multiprocessing, os, signal
from search.keepers import Keepers
with Keepers(2, 2) as keepers:
    keepers.start()
    begun = {process.pid for process in multiprocessing.active_children()}
    for pid in begun:
        os.kill(pid, signal.SIGINT)
    print(len(begun), keepers.pool.submit(os.getpid).result() in begun)
"""


def test_ctrl_c_is_not_heard_by_them_not_even_while_they_load():
    done = subprocess.run([sys.executable, "-c", DEAF], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("2 True\n", "")


def test_a_fault_ends_them_in_the_middle_of_their_work():
    with pytest.raises(KeyboardInterrupt), Keepers(2, 2) as keepers:
        for _ in range(4):
            keepers.pool.submit(time.sleep, 600)
        raise KeyboardInterrupt
    assert gone()


def test_where_no_process_can_be_started_there_is_none(monkeypatch):
    def refuse(*given):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("search.keepers.ProcessPoolExecutor", refuse)
    with Keepers(2, 2) as keepers:
        keepers.start()
        assert keepers.pool is None


def test_what_is_begun_ahead_is_begun_once():
    with Keepers(2, 2) as keepers:
        for _ in range(3):
            keepers.begin("work", os.getpid)
        (outcome,) = keepers.begun.values()
        assert outcome.result() != os.getpid() and keepers.busy == 0


def test_a_fault_before_they_are_started_leaves_others_alone():
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    other.start()
    with pytest.raises(KeyboardInterrupt), Keepers(2, 2):
        raise KeyboardInterrupt
    assert other.is_alive()
    other.kill()
    other.join()


def test_at_least_one_worker_is_wanted():
    with pytest.raises(ValueError, match="got 0"):
        Keepers(0, 1)
