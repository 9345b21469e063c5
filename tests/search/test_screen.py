"""The end of a search on screen: what is proved, what could not be kept, what to do next."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from search.finals import Outcome
from search.ledger import Ledger
from search.screen import leaderboard_table, lost_line, next_command, nothing_line, verdict_line
from tests.fake_search import METRIC, completed, stopped
from tests.test_leaderboard import standing


def text_of(table):
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return console.file.getvalue()


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
