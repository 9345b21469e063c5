"""ASHA's rungs, of orders as they are asked for and as hands may leave them."""

import pytest

from search.rungs import rungs
from tests.fake_search import order_of


def test_rungs_grow_by_the_reduction_and_end_below_the_budget():
    assert rungs(order_of()) == [3]  # of 6 steps
    assert rungs(order_of(grace=1, reduction=2)) == [1, 2, 4]
    assert rungs(order_of(grace=2, reduction=3)) == [2]  # 6 is the budget itself
    assert rungs(order_of(asha=False)) == []


@pytest.mark.parametrize(
    "changes", [{"reduction": 1}, {"reduction": 0}, {"reduction": -2}, {"grace": 0}, {"grace": -3}]
)
def test_an_order_that_was_edited_by_hand_ends(changes):
    assert rungs(order_of(**changes)) == []
