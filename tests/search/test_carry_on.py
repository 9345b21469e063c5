"""A search that is killed, interrupted or extended goes on as if nothing had happened; the faults are real ones."""

import os
import random
import re
import shlex
import shutil
import signal
import time

import pytest

from tests.live_search import Live, check_whole, figures, of_kind, rows, session, states, tiny_words

GRID = """
about: eight settings
search: {trials: 5, steps: 45, finalists: 1, seeds: 1}
space:
  m: [1, 2]
  model.vcg.basis_k: {choice: [8, 10, 12, 16]}
"""
WHOLE_GRID = ("--algorithm", "grid", "--trials", 5, "--no-asha")


def begin(base, *words, space=GRID, name="one", **environment):
    """A new search."""
    (base / "mine.yaml").write_text(space)
    return Live(base, "--space", base / "mine.yaml", "--name", name, "--results", "out", *words, **environment)


def of(base, name="one"):
    return base / "out" / "searches" / name


def resume(base, *words, name="one", **environment):
    return Live(base, "--resume", name, "--results", "out", *words, **environment)


def under_way(folder, *numbers):
    """Whether all these trials can be taken up again."""
    return all(list(folder.glob(f"trials/{number:04d}_*/training.pt")) for number in numbers)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The search that nothing happens to."""
    base = tmp_path_factory.mktemp("undisturbed")
    live = begin(base, *WHOLE_GRID, *tiny_words())
    assert live.end() == 0, live.err
    return base, live


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """The same one: a worker is killed, then the driver; then Ctrl-C; then it is carried on as it was told to be.

    Base folder, and what was seen on the way.
    """
    base, seen = tmp_path_factory.mktemp("disturbed"), {}
    folder = of(base)
    live = begin(base, *WHOLE_GRID, *tiny_words())
    live.until(lambda: under_way(folder, 1, 2))
    os.kill(live.workers()[0], signal.SIGKILL)
    live.until(lambda: under_way(folder, 3))
    live.kill()
    seen["over when killed"] = states(folder)

    live = resume(base)
    live.until(lambda: under_way(folder, 5))
    live.interrupt()
    seen["code"], seen["interrupted"] = live.end(), live
    seen["over when interrupted"] = states(folder)

    words = shlex.split(live.err.strip().partition("carry on with: ")[2])
    live = Live(base, *words[2:])
    live.until(lambda: any("raylet" in words for _, words in session(live.process.pid)))
    seen["beside"] = beside = resume(base, "--extend", 1)
    seen["beside code"] = beside.end()
    assert live.end() == 0, live.err
    seen["last"] = live
    return base, seen


def test_after_kills_and_ctrl_c_every_trial_is_as_if_nothing_had_happened(undisturbed, disturbed):
    assert figures(of(disturbed[0])) == figures(of(undisturbed[0]))
    check_whole(of(disturbed[0]), disturbed[0] / "out")


def test_nothing_that_was_over_is_touched_again(disturbed):
    base, seen = disturbed
    now = states(of(base))
    assert len(seen["over when killed"]) >= 1
    for moment in ("over when killed", "over when interrupted"):
        assert {key: now[key] for key in seen[moment]} == seen[moment]


def test_the_leaderboard_is_that_of_an_undisturbed_search(undisturbed, disturbed):
    assert rows(of(disturbed[0]) / "leaderboard.csv") == rows(of(undisturbed[0]) / "leaderboard.csv")
    assert "Leaderboard of one" in disturbed[1]["last"].out


def test_ctrl_c_is_one_line_with_the_command_that_goes_on(disturbed):
    seen = disturbed[1]
    assert seen["code"] == 130
    said = r"interrupted, [34] of 5 trials are over and kept; carry on with: python run_search.py --resume one --results out\n"
    assert re.fullmatch(said, seen["interrupted"].err)


def test_a_search_has_one_process(disturbed):
    beside = disturbed[1]["beside"]
    assert disturbed[1]["beside code"] == 2
    assert beside.err == "error: one: expected a search that nobody runs, another process does; wait for it\n"
    assert len(of_kind(of(disturbed[0]), "trial")) == 5  # what was refused added nothing


def test_nothing_of_rays_own_is_said(undisturbed):
    live = undisturbed[1]
    assert live.err == ""
    assert not re.search(r"\bray\b|Ray|WARN|Warning|Traceback|╭|Trial status|pid=", live.out)
