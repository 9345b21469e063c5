"""A training on screen: a bar that redraws on a terminal, a line now and then elsewhere."""

import math
import re

import pytest

from ecggen import progress
from ecggen.progress import TrainingBar, about, clock
from tests.fake_terminal import Terminal, console_on

METRIC = "val_hidden_r"
LAST, BEST = {"step": 3.0, METRIC: 0.61}, {"step": 2.0, METRIC: 0.7}


def watched(monkeypatch, width, steps=6, done=0, quiet=False, total=1200, **environment):
    """What is on a terminal after so many steps, before the bar is left."""
    terminal = Terminal(width)
    monkeypatch.setattr(progress, "Console", lambda stderr: console_on(terminal, **environment))
    with TrainingBar(total, done, METRIC, quiet) as bar:
        for _ in range(steps):
            bar.advance(0.25, LAST, BEST)
        if bar.bar is not None:
            bar.bar.refresh()
        return terminal.screen, terminal


def test_a_terminal_shows_step_loss_metric_its_best_and_the_time_left(monkeypatch):
    screen, terminal = watched(monkeypatch, 100)
    words = r"6/1200  loss 0\.250, val_hidden_r 0\.610, best 0\.700  0:0\d, \d+:\d\d left"
    assert re.search(words, screen) and terminal.cursor


@pytest.mark.parametrize("width", [50, 60, 79, 80, 81, 120, 300])
def test_it_is_one_line_that_leaves_room(monkeypatch, width):
    monkeypatch.setattr(TrainingBar, "seconds_left", lambda bar: 1330.0)
    screen, _ = watched(monkeypatch, width, steps=1, done=1195, total=1200)
    assert "\n" not in screen and len(screen) <= width
    assert ("22:10 left" in screen and METRIC in screen) or width < 60
    assert ("best 0.700" in screen) == (width >= 80)
    assert len(screen) <= width - 2 or width < 60  # a terminal writes ^C there


def test_before_the_first_validation_figures_are_dashes(monkeypatch):
    terminal = Terminal(100)
    monkeypatch.setattr(progress, "Console", lambda stderr: console_on(terminal))
    with TrainingBar(10, 0, METRIC, False) as bar:
        assert "loss nan" not in terminal.screen
        bar.advance(0.25, {}, {})
        bar.bar.refresh()
        assert "val_hidden_r -, best -" in terminal.screen


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}])
def test_where_nothing_can_be_redrawn_there_are_lines(monkeypatch, capsys, environment):
    screen, _ = watched(monkeypatch, 80, done=4, total=10, **environment)
    assert screen == ""
    expected = "training: step 10 of 10, loss 0.250, val_hidden_r 0.610, best 0.700, a few seconds left"
    assert capsys.readouterr().err.splitlines() == [expected]


def test_quiet_shows_nothing(monkeypatch, capsys):
    assert watched(monkeypatch, 80, quiet=True)[0] == "" == capsys.readouterr().err


def test_time_left_counts_the_steps_of_this_session_alone(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = TrainingBar(100, 60, METRIC, True)
    assert math.isnan(bar.seconds_left())
    now[0] = 110.0
    for _ in range(5):  # two seconds a step, 35 to go
        bar.advance(0.5, {}, {})
    assert bar.seconds_left() == 70.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "a few seconds"),
        (44, "about 40 s"),
        (89, "about 90 s"),
        (91, "about 2 min"),
        (240, "about 4 min"),
        (9000, "about 2.5 h"),
    ],
)
def test_a_guess_at_a_time_is_round(seconds, said):
    assert about(seconds) == said


@pytest.mark.parametrize(("seconds", "said"), [(7.9, "0:07"), (760, "12:40"), (3723, "1:02:03")])
def test_a_clock_shows_hours_where_there_are_any(seconds, said):
    assert clock(seconds) == said
