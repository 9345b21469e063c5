"""Ctrl-C: what is to be tidied before the last words is tidied as long as it is there, and no longer."""

import os
import signal
import subprocess
import sys

import pytest

from search import interrupt


@pytest.fixture
def handler():
    with interrupt.twice(lambda: "last words"):
        yield signal.getsignal(signal.SIGINT)


def test_what_is_left_by_a_fault_is_not_tidied_any_more(handler):
    done = []
    with pytest.raises(KeyboardInterrupt), interrupt.before_end(lambda: done.append(1)):
        handler.before_end()
        raise KeyboardInterrupt
    handler.before_end()
    assert done == [1]


def test_a_fault_at_the_start_leaves_the_first_ctrl_c_a_first_one(handler):
    with pytest.raises(ValueError), interrupt.at_once():
        assert interrupt.asked()
        raise ValueError
    assert not interrupt.asked()


TERMINATED = """
import os, signal
from search import interrupt
with interrupt.twice(lambda: "last words"), interrupt.before_end(lambda: print("tidy", flush=True)):
    signal.signal(interrupt.RAY_LISTENS, lambda *_: None)  # a round of Ray's is under way
    os.kill(os.getpid(), signal.SIGTERM)
    print("goes on")
"""


def test_sigterm_ends_at_once_with_the_last_words():
    done = subprocess.run([sys.executable, "-c", TERMINATED], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "tidy\n", "last words\n")


def test_sigterm_ends_what_nobody_reads_any_more():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", TERMINATED], stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    assert done.returncode == 130


def test_outside_sigterm_is_what_it_was():
    before = signal.getsignal(signal.SIGTERM)
    with interrupt.twice(lambda: "last words"):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
