"""A search on screen: lines while it runs, a view on a terminal; at its end what is proved and what to do next."""

import io
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from search.finals import Outcome
from search.ledger import Ledger
from search.screen import Screen, leaderboard_table, lost_line, next_command
from search.trialtable import TrialTable
from search.verdict import nothing_line, verdict_line
from search.view import PROOF
from tests.fake_search import METRIC, completed, failed, new_trial, order_of, stopped
from tests.fake_terminal import Growing, Terminal, console_on
from tests.test_leaderboard import standing


def text_of(table):
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return console.file.getvalue()


def played(ledger, console, quiet=False):
    """What a search of two trials tells its screen, one of which fails; the screen, seen while it runs and after."""
    screen = Screen(console, ledger, order_of(trials=2), quiet)
    with screen.live(2, lambda: None):
        good, _ = new_trial(ledger, 0.001)
        screen.began(good)
        screen.reported(good)
        ledger.trials.remove(good)
        for trial in (completed(ledger, 0.002, 0.5, 0.8), failed(ledger, 0.003)):
            screen.ended(trial)
        screen.stage(PROOF)
        screen.say("2 finalists, [none] of them :warning:")
    screen.say("afterwards")
    return console.file


def lines_of(text):
    """Lines without the time that they begin with."""
    return [re.sub(r"^\[ *\d+ s\] ", "", line) for line in text.splitlines()]


def test_where_there_is_no_terminal_every_event_is_a_line(ledger):
    said = played(ledger, Console(file=io.StringIO(), width=132, soft_wrap=True)).getvalue()
    assert lines_of(said) == [
        "trial 2/2 m1s1k1: completed 6 steps in 1 s, val_hidden_r 0.8000; best 0.8000 m1s1k1",
        "trial 3/2 m1s1k1: failed at step 0 of 6 (loss is not finite); best 0.8000 m1s1k1",
        "2 finalists, [none] of them :warning:",
        "afterwards",
    ]


def test_a_terminal_has_lines_of_what_went_wrong_and_the_view_below(ledger):
    terminal = played(ledger, console_on(Terminal(100)))
    lines = terminal.screen.splitlines()
    assert lines_of("\n".join(lines[:2])) == [
        "trial 3/2 m1s1k1: failed at step 0 of 6 (loss is not finite)",
        "2 finalists, [none] of them :warning:",
    ]
    assert lines[3].startswith("search   now: mine on simulator") and lines[4].startswith("now      done")
    assert lines[-1] == "afterwards" and terminal.screen.count("search ") == 1


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_terminal_that_cannot_redraw_gets_lines(ledger, environment):
    terminal = played(ledger, console_on(Terminal(132), **environment))
    assert len(terminal.screen.splitlines()) == 4 and "search " not in terminal.screen


def test_a_file_gets_lines_even_where_colours_are_forced(ledger):
    console = Console(file=io.StringIO(), force_terminal=True, width=132, soft_wrap=True, _environ={"TERM": "xterm"})
    assert len(played(ledger, console).getvalue().splitlines()) == 4


@pytest.mark.parametrize("console", [console_on(Terminal(80)), Console(file=io.StringIO(), width=132)])
def test_quiet_says_nothing(ledger, console):
    assert (played(ledger, console, quiet=True).getvalue(), getattr(console.file, "raw", "")) == ("", "")


def test_what_is_said_while_the_view_is_drawn_anew_leaves_no_half_of_it(ledger, monkeypatch):
    view, terminal = Growing(), Terminal(80)
    view.table = TrialTable(ledger, METRIC)
    monkeypatch.setattr("search.screen.View", lambda *given: view)
    monkeypatch.setattr("search.live.EVERY", 0.02)
    screen = Screen(console_on(terminal), ledger, order_of(), False)
    with screen.live(2, lambda: None):
        view.rows = 5
        screen.say("event")
    assert terminal.screen.splitlines() == ["event", *(f"row {at} of 5" for at in range(5))]


def test_reports_draw_nothing_by_themselves(ledger):
    """Two hundred trials may report many times a second; the view is drawn by the clock."""
    terminal = Terminal(80)
    screen = Screen(console_on(terminal), ledger, order_of(), False)
    trial = completed(ledger, 0.002, 0.5, 0.8)
    with screen.live(2, lambda: None):
        before = len(terminal.raw)
        for _ in range(1000):
            screen.began(trial)
            screen.reported(trial)
        assert len(terminal.raw) - before < 10_000  # a single drawing at most


def test_the_leaderboard_fits_eighty_columns():
    pair = (standing("m1s10k1", against="m21s11k1"), standing("m21s11k1", against="m1s10k1"))
    console = Console(file=io.StringIO(), width=80)
    console.print(leaderboard_table(pair, "ttt_mode-20260501-120000"))
    lines = console.file.getvalue().splitlines()
    assert len([line for line in lines if line.strip()]) == 5 and "…" not in console.file.getvalue()


def test_screen_and_file_have_the_same_words():
    pair = (standing("m1s1k1", verdict="wins", against="m2s1k1"), standing("m2s1k1", verdict="loses", against="m1s1k1"))
    shown = text_of(leaderboard_table(pair, "night"))
    assert "wins" in shown and "loses" in shown and "behind" not in shown
    assert verdict_line(pair).startswith("m1s1k1 wins: better than m2s1k1 by")


def test_runs_of_one_id_are_told_apart():
    pair = (
        standing(verdict="wins", against="m1s1k1_cdcdcd"),
        standing(verdict="loses", against="m1s1k1_ababab", hash="cd" * 32),
    )
    shown = text_of(leaderboard_table(pair, "night"))
    assert shown.count("m1s1k1 (ababab)") == 2 == shown.count("m1s1k1 (cdcdcd)")
    assert verdict_line(pair).startswith("m1s1k1 (ababab) wins: better than m1s1k1 (cdcdcd) by")


@pytest.mark.parametrize(("repeats", "says"), [(0, "no repeat with another seed is whole"), (1, "1 repeat with")])
def test_what_is_missing_for_a_proof_is_said_as_it_is(repeats, says):
    weak = standing(proved=False, n=1, repeats=repeats, verdict="unproved", against="m2s1k1")
    assert "not proved: " + says in verdict_line((weak,)) and "2 are needed" in verdict_line((weak,))
    strong = standing("m2s1k1", verdict="unproved", against="m1s1k1", repeats=3)
    line = verdict_line((strong, weak))
    assert line.startswith("m2s1k1 is best so far; not proved to be better than m1s1k1") and says in line
    shown = text_of(leaderboard_table((strong, weak), "night"))
    assert shown.count("unproved") == 2
    assert "alone, unproved" in text_of(leaderboard_table((standing(proved=False, verdict="alone"),), "night"))


def test_what_could_not_be_kept_is_a_line():
    assert lost_line(Outcome((standing(),))) == ""
    line = lost_line(Outcome((standing(),), ("m1s1k1_ababab", "m2s1k1")))
    assert "m1s1k1 (ababab), m2s1k1" in line and "--rebuild" in line and "\n" not in line


def test_the_next_command_names_a_folder_that_is_there(tmp_path):
    here = ["--results", str(tmp_path)]
    again = " ".join(["python", "run_search.py", "--rebuild", "night", *here])
    for folder in ("", "m1s1k1_step6"):
        assert next_command((standing(folder=folder),), tmp_path, "night") == again
    (tmp_path / "m1s1k1_step6").mkdir()
    (tmp_path / "m1s1k1_step6" / "DONE").write_text("ab" * 32)
    assert next_command((standing(),), tmp_path, "night") == " ".join(
        ["python", "main.py", "--runid", "m1s1k1_step6", *here]
    )
    assert next_command((standing(folder=""),), Path("results"), "night") == "python run_search.py --rebuild night"


def test_why_there_are_no_standings(tmp_path):
    ledger = Ledger(tmp_path)
    stopped(ledger, 0.001, 0.5)
    assert "reached its budget, got none of 1" in nothing_line(ledger.trials, METRIC)
    completed(ledger, 0.002, math.nan)
    assert f"figure of {METRIC}, got none among the 1" in nothing_line(ledger.trials, METRIC)
