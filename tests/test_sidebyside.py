"""Work side by side: the same outcomes in the same order, on one torch thread each, and no work nobody waits for."""

import resource
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from ecggen.judging import evaluate
from ecggen.models.ecggen import ECGGenModel
from ecggen.sidebyside import MOST, one_by_one, side_by_side
from tests.tiny import tiny_run


@pytest.fixture
def several_torch_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 3])
def test_outcomes_come_in_the_order_of_their_items(threads):
    def late(item):
        time.sleep(0.02 * (3 - item))
        return item * item

    with side_by_side(threads) as each:
        first, second = each(late, range(4)), each(late, [3])
        assert (second(), first()) == ([9], [0, 1, 4, 9])


def test_each_item_has_one_torch_thread_and_afterwards_all_is_as_before(several_torch_threads):
    for threads in (1, 2):
        with side_by_side(threads) as each:
            assert each(lambda _: torch.get_num_threads(), range(4))() == [1] * 4
        assert torch.get_num_threads() == 2
        with suppress(KeyError), side_by_side(threads):
            raise KeyError
        assert torch.get_num_threads() == 2


def test_two_items_are_worked_on_at_a_time():
    met = threading.Barrier(2, timeout=20)
    with side_by_side(2) as each:
        assert sorted(each(lambda _: met.wait(), range(2))()) == [0, 1]


def test_no_more_at_a_time_than_memory_is_meant_for():
    now, most, lock = 0, 0, threading.Lock()

    def counted(_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    with side_by_side(10 * MOST) as each:
        each(counted, range(4 * MOST))()
    assert 1 < most <= MOST


def test_one_thread_is_this_one():
    with side_by_side(1) as each:
        assert each is one_by_one
        assert each(lambda _: threading.current_thread(), range(2))() == [threading.main_thread()] * 2


def test_with_limited_memory_items_take_turns_and_have_all_torch_threads(monkeypatch, several_torch_threads):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**31, resource.RLIM_INFINITY))
    with side_by_side(3) as each:
        assert each is one_by_one
        assert each(lambda _: torch.get_num_threads(), range(2))() == [3, 3]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("left_by", [KeyboardInterrupt, ValueError])
def test_what_has_not_begun_when_it_is_left_never_begins(left_by):
    begun, go_on = [], threading.Event()

    def held(item):
        begun.append(item)
        go_on.wait(20)

    with pytest.raises(left_by), side_by_side(2) as each:
        each(held, range(50))
        while len(begun) < 2:
            time.sleep(0.001)
        threading.Timer(0.05, go_on.set).start()
        raise left_by
    assert len(begun) == 2 and go_on.is_set()  # what had begun was waited for


def test_a_fault_is_raised_where_the_outcome_is_wanted():
    def faulty(item):
        return 1 / item

    for threads in (1, 2):
        with side_by_side(threads) as each, pytest.raises(ZeroDivisionError):
            each(faulty, [1, 0, 2])()


def test_no_threads_is_refused():
    with pytest.raises(ValueError, match="expected 1 or more, got 0"), side_by_side(0):
        pass


def test_a_card_does_not_depend_on_the_number_of_threads():
    run = tiny_run(data__simulator__records=150)
    torch.manual_seed(0)
    model = ECGGenModel(run.model).eval()
    cards = {}
    for threads in (1, 3):
        own = replace(run, train=replace(run.train, threads=threads))
        cards[threads] = evaluate(model, own, "m1s1k1", own_head=True)
    assert cards[1]["probe"]["records"] > 0
    for part in cards[1]:
        assert figures(cards[3][part]) == pytest.approx(figures(cards[1][part]), rel=1e-9, nan_ok=True), part


def figures(card, name=""):
    """Every number on a card by its place."""
    if isinstance(card, dict):
        return {at: value for key, part in card.items() for at, value in figures(part, f"{name}/{key}").items()}
    if isinstance(card, list):
        return {at: value for key, part in enumerate(card) for at, value in figures(part, f"{name}/{key}").items()}
    return {name: float(card)} if isinstance(card, (int, float)) else {name + f"={card}": 0.0}
