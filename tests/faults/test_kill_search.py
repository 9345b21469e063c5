"""A search that is killed at any moment is carried on: nothing that was over is done again, and no row is doubled.

Trials are trained in the driver's own process here, so that every write of a search is a moment to die at. Searches
with Ray and its workers are killed in tests/search/test_carry_on.py and in test_kill_ray.py.
"""

import random

import pytest

from tests.faults.mortal import KILLED, Death
from tests.faults.whole import check_done, check_tidy
from tests.live_search import check_whole, figures, rows, states, tiny_words

SEARCH = "tests.faults.deeds:search"
SPACE = """
about: basis sizes, some without a code
search: {trials: 3, steps: 6, finalists: 2, seeds: 1}
space: {model.vcg.basis_k: {choice: [8, 9, 10]}}
"""
GOES_ON = "`--resume` goes on; trials, tables and folders as without the kills"
TINY = {"data__simulator__records": 30, "train__head": "none", "eval__bootstrap": 2}
# Writes of each kind in their order, and after how many of them: trials, repeats, promotions, the end.
AIMED = [
    ("search.yaml", 1), ("trial.json", 1), ("training.pt", 2), ("codes.yaml", 1), ("model.safetensors", 1),
    ("result.json", 2), ("judged.npz", 1), ("trials.csv", 1), ("steps.csv", 1), ("metrics.json", 1), ("DONE", 1),
    ("leaderboard.csv", 1), ("report.html", 1), ("DONE", 1),
]  # fmt: skip


class Calm:
    """The search that nothing happens to: its folder, and how many moments it has."""

    def __init__(self, base, stock):
        (base / "mine.yaml").write_text(SPACE)
        self.words = ["--space", str(base / "mine.yaml"), "--name", "one", "--results", "out", "--no-asha"]
        self.words += [*tiny_words(**TINY), "--set", "train.validate_every=3"]
        self.cache, place = base / "cache", base / "run"
        place.mkdir()
        child = stock.run(
            SEARCH, *self.words, cwd=place, death=Death(str(place), log=str(base / "log")), ECGGEN_CACHE=str(self.cache)
        )
        assert child.code == 0 and child.err == "", child.err
        lines = (base / "log").read_text().splitlines()
        self.count = len(lines)
        self.results, self.folder = place / "out", place / "out" / "searches" / "one"


@pytest.fixture(scope="module")
def calm(searchers, tmp_path_factory):
    return Calm(tmp_path_factory.mktemp("calm"), searchers)


def check_kills(stock, calm, base, deaths):
    """Killed at each of these moments of what is then left to do, and carried on; trainings that were done again."""
    base.mkdir()
    results, lost, kills = base / "out", 0, 0
    folder, cache = results / "searches" / "one", {"ECGGEN_CACHE": str(calm.cache)}
    known = {}
    for death in [*deaths, {}]:
        begun = (folder / "search.yaml").exists()
        words = ("--resume", "one", "--results", "out") if begun else calm.words
        child = stock.run(SEARCH, *words, cwd=base, death=Death(str(base), **death), **cache)
        assert child.code in ((KILLED, 0) if death else (0,)) and child.err == "", f"{death}: {child.err}"
        kills += child.code == KILLED
        if results.exists():
            check_done(results)
        now = states(folder) if folder.exists() else {}
        lost += sum(now.get(key, {}).get("result.json") != times["result.json"] for key, times in known.items())
        known = {key: times for key, times in now.items() if "result.json" in times}
    check_whole(folder, results)
    assert figures(folder) == figures(calm.folder)
    assert rows(folder / "leaderboard.csv") == rows(calm.folder / "leaderboard.csv")
    assert len(rows(results / "leaderboard.csv")) == len(rows(calm.results / "leaderboard.csv"))
    assert (results / "codes.yaml").read_text() == (calm.results / "codes.yaml").read_text()
    assert places(folder) == places(calm.folder)
    assert check_done(results) == check_done(calm.results) == 3
    check_tidy(base)
    return lost, kills


def places(folder):
    """Folders and files of a search, but for those that carry a time."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in found if "tfevents" not in name)


@pytest.mark.slow  # 30 s
def test_a_search_killed_in_the_middle_of_a_write_of_each_kind_goes_on(searchers, calm, tmp_path, fault):
    deaths = [{"at": which, "torn": True, "target": name} for name, which in AIMED]
    lost, kills = check_kills(searchers, calm, tmp_path / "one", deaths)
    assert (lost, kills) == (0, len(AIMED))
    fault("search, SIGKILL in the middle of each kind of file (half of it written)", kills, lost, GOES_ON)


@pytest.mark.slow  # 25 s
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_search_killed_again_and_again_at_random_moments_goes_on(searchers, calm, tmp_path, fault, seed):
    rng = random.Random(seed)
    deaths = [rng.randint(1, calm.count), *(rng.randint(1, calm.count // 4) for _ in range(9))]
    lost, kills = check_kills(searchers, calm, tmp_path / "one", [{"at": at} for at in deaths])
    assert lost == 0 and kills >= 6
    fault(
        "search, SIGKILL at random moments, up to ten times one search",
        kills,
        lost,
        "`--resume` goes on; tables as without the kills",
    )
