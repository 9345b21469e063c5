"""A cluster that loses its head or its share: the search ends in order or waits, and `--resume` finds all there was.

A lost worker node is in tests/search/test_faults.py, tokens are in tests/search/test_cluster.py, stores behind a URI in
tests/search/test_storage.py.
"""

import os
import re
import shutil
import time

import pytest

from tests.faults.mounts import disk
from tests.live_cluster import LiveCluster
from tests.live_search import Live, check_whole, of_kind, session, states, tiny_words
from tests.search.test_carry_on import GRID, WHOLE_GRID, of

AWAY = 30  # s
HEAD_LOST = "Ray ends the search with a line of its own after a minute, exit 1; `--resume` goes on with the new head"


def begin(base, *words, **environment):
    """A search of five trials, all to their end."""
    (base / "mine.yaml").write_text(GRID)
    where = ("--space", base / "mine.yaml", "--name", "one", "--results", "out")
    return Live(base, *where, *WHOLE_GRID, *tiny_words(), *words, **environment)


@pytest.mark.slow  # 80 s
def test_a_share_that_is_away_for_half_a_minute_is_waited_for(tmp_path, fault):
    share, away = tmp_path / "share", tmp_path / "away"
    live = begin(tmp_path, "--steps", 90, "--storage", share)
    live.until(lambda: len(list(share.glob("one/trials/*/training.pt"))) == 2)
    share.rename(away)
    time.sleep(AWAY)
    assert live.process.poll() is None, live.err
    shutil.rmtree(share, ignore_errors=True)  # what Ray has made there meanwhile; a mount would hide it
    away.rename(share)
    code = live.end()
    assert code == 0 and live.err == "", live.err
    assert [row["status"] for row in of_kind(of(tmp_path), "trial")] == ["completed"] * 5
    check_whole(of(tmp_path), tmp_path / "out")
    fault("shared folder of the trials out of reach for 30 s", 1, 0, "waited for; the search goes on by itself")


@pytest.mark.slow  # 60 s
def test_a_search_whose_head_is_lost_is_resumed_on_the_new_one(tmp_path, fault):
    with LiveCluster() as cluster:
        first = cluster.start_head()
        wait = {"RAY_gcs_rpc_server_reconnect_timeout_s": "10"}  # by itself Ray waits a minute for a lost head
        where = ("--address", cluster.address, "--storage", tmp_path / "shared")
        live = begin(tmp_path, "--steps", 90, *where, **cluster.token, **wait)
        live.until(lambda: list(tmp_path.glob("shared/one/trials/0002_*/training.pt")))
        cluster.lose(first)
        assert live.end() == 1 and "Traceback" not in live.err
        said = r"Failed to connect to GCS within \d+ seconds.* The program will terminate"
        assert re.search(said, live.err), live.err
        before = states(of(tmp_path))
        cluster.start_head()
        live = Live(tmp_path, "--resume", "one", "--results", "out", *where, **cluster.token, **wait)
        assert live.end() == 0 and live.err == "", live.err
    now = states(of(tmp_path))
    assert {key: now[key] for key in before} == before
    assert [row["status"] for row in of_kind(of(tmp_path), "trial")] == ["completed"] * 5
    check_whole(of(tmp_path), tmp_path / "out")
    fault("head of the cluster lost and started again", 1, 0, HEAD_LOST)


@pytest.mark.slow  # 40 s
def test_a_search_with_workers_on_a_full_disk_ends_and_goes_on(tmp_path, fault):
    with disk(tmp_path / "disk", 900) as full:
        live = begin(full.place, "--steps", 30)
        assert live.end() == 2, live.out
        assert re.fullmatch(r"error: .*: expected to write it, got: .*(No space|full).* carry on\n", live.err), live.err
        full.resize(60_000)
        live = Live(full.place, "--resume", "one", "--results", "out")
        assert live.end() == 0 and live.err == "", live.err
        assert [row["status"] for row in of_kind(of(full.place), "trial")] == ["completed"] * 5
        check_whole(of(full.place), full.place / "out")
    fault("search with Ray's workers, disk full (tmpfs)", 1, 0, "one line, exit 2; no trial fails; `--resume` goes on")


@pytest.mark.slow  # 60 s
def test_the_power_fails_with_all_processes_of_a_search(tmp_path, fault):
    """SIGKILL for the driver, Ray and the workers at once."""
    moments = [
        lambda: list(of(tmp_path).glob("trials/*/training.pt")),
        lambda: len(list(of(tmp_path).glob("trials/*/result.json"))) >= 2,
        lambda: list(of(tmp_path).glob("finalists/*/*/training.pt")),
    ]
    before = {}
    for at, reached in enumerate(moments):
        again = ("--resume", "one", "--results", "out")
        live = begin(tmp_path) if at == 0 else Live(tmp_path, *again)
        live.until(reached)
        for pid, _ in session(live.process.pid):
            os.kill(pid, 9)
        live.kill()
        now = states(of(tmp_path))
        assert {key: now[key] for key in before} == before
        before = now
    live = Live(tmp_path, *again)
    assert live.end() == 0 and live.err == "", live.err
    now = states(of(tmp_path))
    assert {key: now[key] for key in before} == before
    check_whole(of(tmp_path), tmp_path / "out")
    fault("search, SIGKILL of the driver, Ray and all workers at once", len(moments), 0, "`--resume` goes on")
