"""Commands on the page: right where they are typed, without a path of the machine."""

import shlex

import pytest

from search.ledger import Ledger
from search.order import write_order
from search.report.__main__ import main
from search.report.commands import ELSEWHERE, commands, is_used_up, next_command, where
from search.report.facts import gather
from search.report.page import write_report
from tests.fake_search import BASE, FOUR, TABLE, finish, order_of, small_search, space_of

AGAIN, ADD, PAGE = "Make tables, leaderboard and this page anew", "Add eight trials", "Make this page anew"


def words(folder):
    """What each command says, by what it is for."""
    return {one.what: one.words for one in commands(gather(folder))}


def test_below_the_working_folder_results_are_named_from_there(tmp_path, monkeypatch):
    folder = small_search(tmp_path / "out" / "mine")
    monkeypatch.chdir(tmp_path)
    said = words(folder)
    assert said[AGAIN] == "python run_search.py --rebuild now --results out/mine"
    assert said[PAGE] == "python -m search.report now --results out/mine"
    assert where(gather(folder)) == ""
    assert main(shlex.split(said[PAGE])[3:]) == 0


def test_elsewhere_no_path_is_told(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    usual, other = small_search(tmp_path / "results"), small_search(tmp_path / "mine")
    assert words(usual)[AGAIN] == "python run_search.py --rebuild now"
    assert where(gather(usual)) == "To be typed in the folder that holds results."
    assert words(other)[AGAIN] == f"python run_search.py --rebuild now --results {ELSEWHERE}"
    assert where(gather(other)) == "DIR stands for the results folder of this search."
    for folder in (usual, other):
        assert str(tmp_path) not in write_report(folder).read_text(encoding="utf-8")


def test_a_search_that_is_named_by_a_dot_has_its_name(tmp_path, monkeypatch, capsys):
    folder = small_search(tmp_path / "results")
    (tmp_path / "results" / "m1s1k1_step6").rename(tmp_path / "away")
    monkeypatch.chdir(folder)
    assert main(["."]) == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<span>--rebuild</span> <span>now</span>" in text and "<span>&#39;&#39;</span>" not in text
    assert next_command(gather(folder.relative_to(folder))).words == "python run_search.py --rebuild now"
    assert words(folder)[PAGE] == "python -m search.report now"


def test_a_renamed_folder_has_its_new_name_everywhere(tmp_path):
    folder = small_search(tmp_path / "results", name="before")
    folder = folder.rename(folder.with_name("after"))
    text = write_report(folder).read_text(encoding="utf-8")
    assert "<title>after: " in text and "before" not in text.split("<style>")[0]
    assert "--resume after" in words(folder)[ADD]


def test_a_search_outside_of_a_results_folder_is_named_beside_itself(tmp_path, monkeypatch, capsys):
    folder = small_search(tmp_path / "results").rename(tmp_path / "taken")
    monkeypatch.chdir(tmp_path)
    assert words(folder)[PAGE] == "python -m search.report taken"
    assert main(["taken"]) == 0


@pytest.mark.parametrize("algorithm", ["grid", "optuna"])
def test_a_space_that_is_used_up_takes_no_more_trials(tmp_path, algorithm):
    folder = tmp_path / "results" / "searches" / "now"
    write_order(folder, order_of(FOUR, name="now", algorithm=algorithm))
    ledger, space = Ledger(folder), space_of(FOUR)
    *points, last = space.grid(BASE, TABLE)
    for point in points:
        ledger.begin(space.run(point, BASE, TABLE), "m1s1k1", point)
    finish(folder)
    assert ADD in words(folder)
    ledger.begin(space.run(last, BASE, TABLE), "m1s1k1", last)
    assert ADD not in words(folder) and PAGE in words(folder)
    for trial in ledger.trials:  # as an older version of the package hashed its runs
        trial.hash = "ab" * 32
        ledger.write(trial)
    assert ADD not in words(folder)


def test_a_range_is_never_used_up(tmp_path):
    assert not is_used_up(gather(small_search(tmp_path / "results")))
