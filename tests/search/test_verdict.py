"""Words about standings are the same on the screen and on the page."""

import math

import pytest

from search import compare, screen, verdict
from tests.fake_search import completed, standing


@pytest.fixture
def pair(ledger):
    """Two whole trials of one run id."""
    return completed(ledger, 0.001, 0.5, 0.9), completed(ledger, 0.002, 0.5, 0.8)


@pytest.mark.parametrize(
    ("word", "proved", "repeats"),
    [
        ("wins", True, 3),
        ("tie", True, 3),
        ("unproved", True, 3),
        ("alone", True, 3),
        ("tie", False, 0),
        ("tie", False, 1),
    ],
)
def test_the_page_says_what_the_screen_says(pair, word, proved, repeats):
    names = [f"m1s1k1_{trial.hash[:6]}" for trial in pair]
    first = standing(1, pair[0], 0.9, -0.01, 0.02, names[1], word, proved=proved, repeats=repeats)
    both = (first, standing(2, pair[1], 0.8, -0.02, 0.01, names[0], "tie", repeats=1))
    assert verdict.verdict_line(both) == screen.verdict_line(both)
    assert verdict.run_names(both) == compare.run_names(both) == names


def test_what_proves_is_the_same_for_both(pair):
    assert (verdict.FRESH_SEEDS, verdict.UNPROVED) == (compare.FRESH_SEEDS, compare.UNPROVED)
    for trials in ((), pair):
        assert verdict.nothing_line(trials, "val_r") == screen.nothing_line(trials, "val_r")


def test_a_row_without_proof_says_so(pair):
    alone = standing(1, pair[0], 0.9, math.nan, math.nan, "", "alone", proved=False)
    assert verdict.verdict_word(alone) == "alone, unproved"
