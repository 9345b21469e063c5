"""Full and read-only disks, and a cache that goes: one line that says what to do, and the same command then works."""

import random
import re
import shutil

import pytest

from tests.faults.mounts import disk
from tests.faults.test_kill_search import SPACE, TINY
from tests.faults.test_kill_training import WORDS
from tests.faults.whole import check_done, check_tidy
from tests.live_search import check_whole, of_kind, tiny_words

TRAIN, SEARCH = "tests.faults.deeds:train", "tests.faults.deeds:search"
NO_ROOM = "(No space left on device|database or disk is full)"
FULL = rf"error: out/.*: expected to write it, got: {NO_ROOM}; free space.* carry on\n"
LARGE = 60_000  # kB, for all of it


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A cache that is there."""
    return {"ECGGEN_CACHE": str(tmp_path_factory.mktemp("cache"))}


def words_of(base):
    (base / "mine.yaml").write_text(SPACE)
    words = ["--space", str(base / "mine.yaml"), "--name", "one", "--results", "out", "--no-asha"]
    return [*words, *tiny_words(**TINY), "--set", "train.validate_every=3"]


MADE_AGAIN = "built again; the search goes on by itself"
NAMED = "one line, exit 2, that names the folder to delete; no trial fails; `--resume` goes on"
RESUME = ("--resume", "one", "--results", "out")


@pytest.mark.parametrize(
    "room", [8, pytest.param(200, marks=pytest.mark.slow), pytest.param(700, marks=pytest.mark.slow)]
)
def test_a_training_on_a_full_disk_is_one_line_and_goes_on_when_there_is_room(stock, shared, tmp_path, room, fault):
    with disk(tmp_path / "disk", room) as full:
        child = stock.run(TRAIN, *WORDS, cwd=full.place, **shared)
        assert child.code == 2 and re.fullmatch(FULL, child.err), child.err
        assert check_done(full.place / "out") == 0
        full.resize(LARGE)
        child = stock.run(TRAIN, *WORDS, "--resume", cwd=full.place, **shared)
        assert child.code == 0 and child.err == "", child.err
        assert check_done(full.place / "out") == 1
        check_tidy(full.place)
    fault("training, disk full (tmpfs)", 1, 0, "one line, exit 2; `--resume` goes on once there is room")


@pytest.mark.slow  # 60 s
def test_a_search_on_a_full_disk_is_one_line_and_its_trials_are_not_spent(searchers, shared, tmp_path, fault):
    """What fails for want of room is no trial's fault: none is failed, all go on."""
    rooms = sorted({40, 200, 500, 700, 1500, *random.Random(0).sample(range(40, 2000), 3)})
    with disk(tmp_path / "disk", LARGE) as full:
        for room in rooms:
            shutil.rmtree(full.place / "out", ignore_errors=True)
            full.resize(room)
            words = words_of(tmp_path)
            child = searchers.run(SEARCH, *words, cwd=full.place, **shared)
            assert child.code == 2, child.out
            assert re.fullmatch(FULL.replace("out/", ".*out/"), child.err), child.err
            full.resize(LARGE)
            folder = full.place / "out" / "searches" / "one"
            again = RESUME if (folder / "search.yaml").exists() else words
            child = searchers.run(SEARCH, *again, cwd=full.place, **shared)
            assert child.code == 0 and child.err == "", child.err
            assert [row["status"] for row in of_kind(folder, "trial")] == ["completed"] * 3
            check_whole(folder, full.place / "out")
            assert check_done(full.place / "out") == 3
            check_tidy(full.place)
    fault(
        "search, disk full (tmpfs)",
        len(rooms),
        0,
        "one line, exit 2; no trial fails; `--resume` goes on once there is room",
    )


def test_results_that_may_only_be_read_are_one_line(stock, shared, tmp_path, fault):
    with disk(tmp_path / "disk", LARGE) as locked:
        with locked.protected():
            child = stock.run(TRAIN, *WORDS, cwd=locked.place, **shared)
        assert child.code == 2 and child.err.count("\n") == 1, child.err
        assert re.match(r"error: out.*expected .*, got: Read-only file system; ", child.err)
        assert stock.run(TRAIN, *WORDS, cwd=locked.place, **shared).code == 0
        with locked.protected():
            assert stock.run(TRAIN, "--results", "out", "--runid", "m6s3k7", cwd=locked.place, **shared).code == 0
    fault("training, results read-only", 1, 0, "one line, exit 2; the same command works once they may be written")


@pytest.mark.slow  # 20 s
def test_a_search_whose_results_become_read_only_goes_on_later(searchers, shared, tmp_path, fault):
    with disk(tmp_path / "disk", LARGE) as locked:
        words, folder = words_of(tmp_path), locked.place / "out" / "searches" / "one"
        with locked.protected():
            child = searchers.run(SEARCH, *words, cwd=locked.place, **shared)
        assert child.code == 2 and child.err.count("\n") == 1 and "Read-only file system" in child.err
        child = searchers.start(SEARCH, *words, cwd=locked.place, **shared)
        child.until(lambda: list(folder.glob("trials/0002_*/trial.json")))
        with locked.covered(locked.place / "out"):
            assert child.wait() == 2, child.out
            refused = searchers.run(SEARCH, *RESUME, cwd=locked.place, **shared)
        assert child.err.count("\n") == 1 and re.match(r"error: .*: expected .*, got: .*read-?only", child.err, re.I)
        assert refused.code == 2 and refused.err.count("\n") == 1 and "Read-only file system" in refused.err
        child = searchers.run(SEARCH, *RESUME, cwd=locked.place, **shared)
        assert child.code == 0 and child.err == "", child.err
        assert [row["status"] for row in of_kind(folder, "trial")] == ["completed"] * 3
        check_whole(folder, locked.place / "out")
    fault(
        "search, results read-only before, in mid-run, on `--resume`",
        3,
        0,
        "one line, exit 2; `--resume` goes on later",
    )


@pytest.mark.slow  # 15 s
@pytest.mark.parametrize("what", ["all of it", "its info", "its signals"])
def test_a_cache_that_is_deleted_in_mid_run_is_made_again(searchers, tmp_path, what, fault):
    own, words = {"ECGGEN_CACHE": str(tmp_path / "cache")}, words_of(tmp_path)
    folder = tmp_path / "out" / "searches" / "one"
    child = searchers.start(SEARCH, *words, cwd=tmp_path, **own)
    child.until(lambda: list(folder.glob("trials/0001_*/result.json")))
    (place,) = (tmp_path / "cache").glob("simulator-*[0-9a-f]")
    if what == "all of it":
        shutil.rmtree(place)
    else:
        (place / ("info.json" if what == "its info" else "signals.npy")).unlink()
    if what == "all of it":
        assert child.wait() == 0 and child.err == "", child.err
    else:  # a folder that is there is trusted, until somebody looks into it
        assert child.wait() == 2
        assert re.fullmatch(
            r"error: .*simulator-.*: expected a complete cache, got .*; delete this folder\n", child.err
        )
        shutil.rmtree(place)
        child = searchers.run(SEARCH, *RESUME, cwd=tmp_path, **own)
        assert child.code == 0 and child.err == "", child.err
    assert [row["status"] for row in of_kind(folder, "trial")] == ["completed"] * 3
    check_whole(folder, tmp_path / "out")
    fault(f"search, cache deleted in mid-run: {what}", 1, 0, MADE_AGAIN if what == "all of it" else NAMED)
