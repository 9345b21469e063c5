"""What a terminal shows of a search whose every figure is known."""

import math
import re

import pytest

from search import view as view_module
from search.live import Frame
from search.trialfile import COMPLETED, FAILED, LATE, REUSED, STOPPED
from search.view import ENDED, KEEPING, LEAVING, PROOF, START, TRIALS, View
from tests.fake_search import FOUR, completed, curve, failed, new_trial, order_of, stopped
from tests.fake_terminal import Terminal, console_on


class Clock:
    """Stands still until it is told otherwise."""

    time = 100.0

    def __call__(self):
        return self.time


def view_of(ledger, stage=TRIALS, time_left=None, **order):
    clock = Clock()
    view = View(ledger, order_of(**order), 2, lambda: time_left, clock)
    view.stage, clock.time = stage, 175.0
    return view


def begin(view, lr, *values, **params):
    trial, _ = new_trial(view.ledger, lr, **params)
    for row in curve(*values):
        trial.add_row(row)
    view.table.live[trial.key] = 170.0
    return trial


def drawn(view, width=80, height=24, **environment):
    """The view's rows, as they stand on a terminal."""
    terminal = Terminal(width)
    console_on(terminal, height, **environment).print(Frame(view))
    return terminal.screen.splitlines()


def row(view, name, **size):
    """What a line of the heading says."""
    return next(line for line in drawn(view, **size) if line.startswith(name)).removeprefix(name).strip()


def rows(view, **size):
    """The words of the table's rows."""
    lines = drawn(view, **size)
    header = next(at for at, line in enumerate(lines) if "run id" in line)
    return [line.split() for line in lines[header + 1 :] if line.strip() and "Ctrl-C" not in line]


@pytest.fixture
def busy(ledger):
    """Two trials run, one is completed, three are stopped, one failed, one was reused; three are to come."""
    view = view_of(ledger, trials=11)
    completed(ledger, 0.001, 0.5, 0.8)
    for rate, value in ((0.002, 0.3), (0.003, 0.4), (0.004, 0.2)):
        stopped(ledger, rate, value)
    ledger.trials[-1].reason = f"{LATE}, at step 3"
    failed(ledger, 0.005)
    completed(ledger, 0.006, 0.1, 0.7).status = REUSED
    begin(view, 0.007, 0.6)
    begin(view, 0.008)
    return view


def test_trials_are_counted_by_state_of_the_asked_number(busy):
    counts = "2 running, 1 completed, 1 reused, 2 stopped by ASHA, 1 stopped by the time budget, 1 failed, 3 to come"
    assert row(busy, "trials", width=140) == f"11: {counts}"
    busy.stage = KEEPING
    assert "to come" not in row(busy, "trials", width=140)


def test_rungs_say_who_came_so_far_and_the_best_figure_there(busy):
    assert row(busy, "rungs") == "step 3: 6 trials, best 0.6000"
    assert not [line for line in drawn(view_of(busy.ledger, asha=False)) if line.startswith("rungs")]


def test_the_best_is_one_of_the_full_budget_and_before_that_the_best_so_far(ledger):
    view = view_of(ledger)
    assert row(view, "best") == "-"
    begin(view, 0.001, 0.9)
    assert row(view, "best") == "0.9000 m1s1k1, trial 1, by step 3 of 6"
    completed(ledger, 0.002, 0.8, 0.7)
    assert row(view, "best") == "0.8000 m1s1k1, trial 2, kept at step 3"


def test_time_that_passed_and_a_guess_at_what_is_left(ledger):
    view = view_of(ledger)
    assert row(view, "now") == "trials, 1:15 so far"
    completed(ledger, 0.001, 0.5, 0.8).seconds = 600.0  # 100 s a step
    # Nine to come of six steps each and four repeats, two at a time: 39 steps.
    assert row(view, "now") == "trials, 1:15 so far, about 65 min left"
    assert row(view_of(ledger, time_left=45.0), "now") == "trials, 1:15 so far, about 40 s left"
    assert row(view_of(ledger, KEEPING), "now") == f"{KEEPING}, 1:15"


def test_those_under_way_come_first_then_repeats_then_the_best_that_are_over(busy):
    run = busy.ledger.run_of(busy.ledger.trials[0])
    busy.ledger.begin_finalist(run, "m1s1k1", {})
    words = rows(busy, height=40)
    assert [one[0] for one in words] == ["7", "8", "f1", "1", "6", "3", "2", "4", "5"]
    states = ["running", "running", "waiting", COMPLETED, REUSED, STOPPED, STOPPED, STOPPED, FAILED]
    assert [state in one for one, state in zip(words, states, strict=True)] == [True] * 9


def test_a_row_has_steps_figures_and_time(ledger):
    view = view_of(ledger)
    begin(view, 0.001, 0.9, 0.8).steps = 12
    assert rows(view)[0] == ["1", "m1s1k1", "running", "6/12", "━━━━━─────", "0.8000", "0.9000", "0:05"]


def test_a_runner_up_is_called_so(ledger):
    view = view_of(ledger)
    ledger.revive(trial := stopped(ledger, 0.001, 0.5))
    assert "waiting" in rows(view)[0]
    view.table.live[trial.key] = 170.0
    assert "runner-up" in rows(view)[0] and "1 running" in row(view, "trials")


def test_repeats_are_counted_and_have_their_seeds(ledger):
    view = view_of(ledger, PROOF)
    trial = completed(ledger, 0.001, 0.5, 0.8)
    repeat = ledger.begin_finalist(ledger.run_of(trial), "m1s1k1", {})
    repeat.seed = 17
    view.table.live[repeat.key] = 170.0
    assert row(view, "repeats") == "1: 1 running"
    assert ["f1", "m1s1k1", "17", "running"] in [words[:4] for words in rows(view)]


def test_what_does_not_fit_is_counted(ledger):
    view = view_of(ledger, trials=40)
    for number in range(40):
        stopped(ledger, 0.001 + number / 1000, 0.5)
    for height in (16, 24, 40):
        lines = drawn(view, height=height)
        rows = sum("stopped  " in line for line in lines)
        assert len(lines) < height and f"... and {40 - rows} more" in lines
        assert rows > height - 15


def test_a_narrow_terminal_wraps_nothing_and_loses_no_column(busy):
    busy.ledger.begin_finalist(busy.ledger.run_of(busy.ledger.trials[0]), "m1s1k1", {})
    for width in (60, 80, 120):
        lines = drawn(busy, width=width)
        assert max(map(len, lines)) <= width
        header = next(line for line in lines if "run id" in line)
        assert header.split()[:5] == ["run", "id", "seed", "state", "step"]
        assert "last" in header and "best" in header and "time" in header
        assert ("what it tries" in header) == (width == 120)
    for width, height in ((40, 24), (20, 10), (5, 3), (1, 1)):
        assert len(drawn(busy, width=width, height=height)) <= height


def test_what_a_trial_tries_is_shown_where_there_is_room_and_is_no_markup(ledger):
    view = view_of(ledger)
    begin(view, 0.001, **{"data.val_folds": "[red]"})
    assert any("lr=0.001 val_folds=[red]" in line for line in drawn(view, width=120))


def test_without_colour_the_same_is_said(busy):
    assert drawn(busy, NO_COLOR="1") == drawn(busy)
    for environment, colours in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = Terminal(80)
        console_on(terminal, **environment).print(Frame(busy))
        assert (re.search(r"\x1b\[3\dm", terminal.raw) is not None) == colours


def test_figures_that_are_none_are_dashes(ledger):
    view = view_of(ledger)
    begin(view, 0.001, math.nan)
    assert row(view, "best") == "-" and row(view, "rungs") == "step 3: 1 trial"
    assert rows(view)[0][-3:] == ["-", "-", "0:05"]


def test_the_picture_that_stays_has_trials_alone_and_no_hint(busy):
    busy.ledger.begin_finalist(busy.ledger.run_of(busy.ledger.trials[0]), "m1s1k1", {})
    assert any("Ctrl-C leaves it, --resume now" in line for line in drawn(busy))
    busy.stage = ENDED
    lines = drawn(busy)
    assert not [line for line in lines if "Ctrl-C" in line or line.startswith("f1")]
    assert row(busy, "now") == "done, 1:15"


def test_after_ctrl_c_the_view_says_what_happens_and_guesses_no_more(busy, monkeypatch):
    monkeypatch.setattr(view_module, "asked", lambda: True)
    assert row(busy, "now") == f"{LEAVING}, 1:15"


def test_before_the_first_trial_there_is_a_heading(ledger):
    lines = drawn(view_of(ledger, START))
    assert lines[1] == f"search   now: mine on simulator, by {order_of(FOUR).metric}"
    assert row(view_of(ledger, START), "trials") == "10: 10 to come"
