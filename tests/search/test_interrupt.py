"""Ctrl-C: what is to be tidied before the last words is tidied as long as it is there, and no longer."""

import signal

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
