"""One trial's fault is that trial's alone, time is kept, and Ray's own ends are survived; the faults are real ones."""

import os
import re
import signal
import time

import pytest
from ray import tune
from rich.console import Console

from search import driver, folders
from search.ledger import Ledger
from search.order import ORDER_FILE, How
from search.searcher import Searcher
from search.share import Resources
from search.trial import run_trial
from tests.fake_search import order_of
from tests.live_cluster import LiveCluster
from tests.live_search import Live, check_study, check_whole, of_kind, rows, tiny_words
from tests.sabotage import sabotage
from tests.user_fault import fault_of

# Some learning rates hang, some are slow, as broken hardware would be.
CRAWLS = """
import time

def before_step(trainer):
    time.sleep({0.003: 3600, 0.004: 0.5}.get(trainer.cfg.lr, 0))
"""
HUNG, SLOW, EXPLODES = "0.003", "0.004", "10.0"
SPACE = """
about: learning rates
search: {{trials: 8, steps: 45, finalists: 1, seeds: 1}}
space: {{train.lr: {{choice: [{rates}]}}}}
"""


def begin(base, rates, *words, **environment):
    """A search over learning rates that never stops a trial early."""
    environment |= sabotage(base, CRAWLS)
    (base / "mine.yaml").write_text(SPACE.format(rates=", ".join(rates)))
    which = ("--space", base / "mine.yaml", "--algorithm", "grid", "--trials", len(rates), "--no-asha")
    where = ("--results", "out", "--name", "one", "--set", "train.clip=1000000000", "--set", "train.weight_decay=10")
    return Live(base, *which, *where, *tiny_words(), *words, **environment)


def of(base):
    return base / "out" / "searches" / "one"


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A search with a trial that explodes, one that hangs, one that is too slow, and three sound ones."""
    base = tmp_path_factory.mktemp("faulty")
    live = begin(base, [EXPLODES, HUNG, SLOW, "0.001", "0.002", "0.005"], "--trial-time-limit", 4, "--finalists", 0)
    assert live.end() == 0, live.err
    return base, live, {row["train.lr"]: row for row in of_kind(of(base), "trial")}


def test_a_loss_that_is_not_finite_fails_its_trial_alone(faulty):
    failed = faulty[2][EXPLODES]
    assert failed["status"] == "failed"
    what = r"(loss: expected a finite number, got nan|gradient: expected finite numbers, got others)"
    assert re.match(rf"{what} at step \d+; lower train.lr", failed["reason"])


@pytest.mark.parametrize("rate", [HUNG, SLOW])
def test_a_trial_that_is_hung_or_slow_is_ended_by_its_limit_and_not_tried_again(faulty, rate, fault):
    base, live, table = faulty
    ended = table[rate]
    assert (ended["status"], ended["reason"]) == ("failed", "time limit of 4 s passed, stopped after 4 s")
    starts = [line for line in live.out.splitlines() if f"trial {ended['number']}/6" in line]
    assert len(starts) == 1 and "failed" in starts[0]
    assert not (of(base) / ended["folder"] / "training.pt").exists()
    fault("trial that hangs or crawls", 1, 0, "ended by `--trial-time-limit`; others go on")


def test_the_other_trials_of_a_faulty_search_are_whole(faulty):
    base, live, table = faulty
    assert [table[rate]["status"] for rate in ("0.001", "0.002", "0.005")] == ["completed"] * 3
    check_whole(of(base), base / "out")
    assert live.err == "" and "Traceback" not in live.out


@pytest.mark.slow  # 30 s
def test_a_time_budget_ends_a_search_with_what_there_is(tmp_path):
    live = begin(tmp_path, [f"0.00{number}" for number in range(100, 200)], "--time-budget", 15)
    live.until((of(tmp_path) / "search.yaml").exists)
    began = time.monotonic()
    assert live.end() == 0, live.err
    assert 12 < time.monotonic() - began < 25
    table = of_kind(of(tmp_path), "trial")
    assert {row["status"] for row in table} <= {"completed", "stopped"} and len(table) < 100
    assert all(row["reason"].startswith("time budget") for row in table if row["status"] == "stopped")
    board = rows(of(tmp_path) / "leaderboard.csv")
    assert len(board) == 1 and board[0]["n"] == "1"
    finalist = of_kind(of(tmp_path), "finalist")
    assert [row["status"] for row in finalist] == ["completed"]  # time was kept for it
    check_study(of(tmp_path))
    assert live.err == ""


@pytest.mark.slow  # 15 s
def test_a_time_budget_that_is_too_short_is_one_line(tmp_path):
    live = begin(tmp_path, ["0.001", "0.002"], "--steps", 100000, "--time-budget", 5)
    live.until((of(tmp_path) / "search.yaml").exists)
    began = time.monotonic()
    assert live.end() == 2
    assert time.monotonic() - began < 20  # Ray gives a worker that does not listen ten seconds
    assert live.err.startswith("error: out/searches/one: expected a trial that reached its budget, got none of 2; see ")
    assert live.err.count("\n") == 1
    assert {row["status"] for row in of_kind(of(tmp_path), "trial")} == {"stopped"}
    check_study(of(tmp_path))


@pytest.mark.slow  # 40 s
def test_a_hung_trial_does_not_outlast_the_time_budget(tmp_path):
    live = begin(tmp_path, [HUNG, "0.001", "0.002"], "--time-budget", 20)
    live.until((of(tmp_path) / "search.yaml").exists)
    began = time.monotonic()
    assert live.end() == 0, live.err
    assert time.monotonic() - began < 35
    status = {row["train.lr"]: row["status"] for row in of_kind(of(tmp_path), "trial")}
    assert status == {HUNG: "stopped", "0.001": "completed", "0.002": "completed"}
    assert len(rows(of(tmp_path) / "leaderboard.csv")) == 1
    check_study(of(tmp_path))
    assert live.err == ""


@pytest.mark.slow  # 20 s
def test_a_worker_that_is_frozen_does_not_outlast_the_time_budget(tmp_path, fault):
    """As one on a node that hangs: nothing in it, its own clock included, can do anything."""
    live = begin(tmp_path, ["0.001", "0.002", "0.005"], "--steps", 300, "--time-budget", 15, "--trial-time-limit", 60)
    live.until(lambda: list(of(tmp_path).glob("trials/*/training.pt")))
    os.kill(live.workers()[0], signal.SIGSTOP)
    assert live.end() == 0, live.err
    # Its budget, ten seconds in which Ray waits for the worker, and the end, however slow; not a trial's time limit.
    assert time.time() - (of(tmp_path) / ORDER_FILE).stat().st_mtime < 15 + 10 + 15
    assert len(rows(of(tmp_path) / "leaderboard.csv")) == 1
    check_study(of(tmp_path))
    assert live.err == ""
    fault("worker that is frozen (SIGSTOP)", 1, 0, "the time budget ends the search with what there is")


# Ray ends a whole round by raising when its memory monitor kills a trial. Here it is made to.


class Rounds:
    """In the place of `run_round`: trains in this process, and raises so many times with a trial under way."""

    def __init__(self, faults, monkeypatch):
        self.faults, self.count, self.patch = faults, 0, monkeypatch

    def __call__(self, searcher, scheduler, setup, share, search_over, root, name):
        self.count += 1
        trials = 0
        while (config := searcher.suggest(f"{name}-{trials}")) != Searcher.FINISHED:
            if self.count <= self.faults and trials == 1:
                raise tune.TuneError("Trials did not complete\nTask was killed due to the node running low on memory")
            reports = []
            self.patch.setattr(tune, "report", reports.append)
            run_trial(config, setup)
            for report in reports[:-1]:
                searcher.on_trial_result(f"{name}-{trials}", report)
            searcher.on_trial_complete(f"{name}-{trials}", reports[-1])
            trials += 1


def search_with_rounds(folder, faults, monkeypatch):
    """A search of four settings in this process; its rounds and itself."""
    rounds = Rounds(faults, monkeypatch)
    monkeypatch.setattr(driver, "run_round", rounds)
    order = order_of(asha=False, algorithm="grid", finalists=1, seeds=1)
    place = folders.begin(order, folder)
    search = driver.Search(place, folder, How(concurrency=1), Console(file=(folder / "said").open("w"), width=200))
    return rounds, search


def test_a_round_that_ray_ends_is_followed_by_another(tmp_path, monkeypatch):
    rounds, search = search_with_rounds(tmp_path, 2, monkeypatch)
    outcome = search.run(Resources(1, 0, 1, local=True))
    search.console.file.close()
    assert rounds.count == 3 and len(outcome.standings) == 1
    ledger = Ledger(search.folder)
    assert [trial.status for trial in ledger] == ["completed"] * 5
    assert [trial.number for trial in ledger.trials] == [1, 2, 3, 4]  # what was under way went on, and was not doubled
    check_whole(search.folder, tmp_path)
    line = "Ray ended this round (TuneError: Task was killed due to the node running low on memory); the search goes on"
    assert (tmp_path / "said").read_text().count(line) == 2


def test_a_ray_that_ends_every_round_is_given_up(tmp_path, monkeypatch):
    rounds, search = search_with_rounds(tmp_path, 99, monkeypatch)
    message = fault_of(search.run, Resources(1, 0, 1, local=True))
    search.console.file.close()
    assert rounds.count == driver.ROUNDS
    assert "expected Ray to go on, it ended 4 rounds" in message and "resume later" in message
    assert [trial.status for trial in Ledger(search.folder).trials] == ["completed"] * 4


@pytest.fixture
def two_nodes():
    """A cluster of two nodes on this machine; it and the second node."""
    with LiveCluster() as cluster:
        cluster.start_head()
        yield cluster, cluster.join("127.0.0.2")


@pytest.mark.slow  # 60 s
def test_a_search_outlives_a_node_of_its_cluster(two_nodes, tmp_path, fault):
    cluster, second = two_nodes
    words = ("--address", cluster.address, "--concurrency", 2, "--steps", 90)
    live = begin(tmp_path, ["0.001", "0.002", "0.005"], *words, **cluster.token)
    assert live.end() == 2
    assert re.fullmatch(r"error: --storage: expected a folder that all nodes share, .*\n", live.err)
    live = begin(tmp_path, ["0.001", "0.002", "0.005"], *words, "--storage", tmp_path / "shared", **cluster.token)
    live.until(lambda: len(list(tmp_path.glob("shared/one/trials/*/training.pt"))) == 2)
    cluster.lose(second)
    assert live.end() == 0, live.err
    assert live.err == ""
    assert [row["status"] for row in of_kind(of(tmp_path), "trial")] == ["completed"] * 3
    check_whole(of(tmp_path), tmp_path / "out")
    fault("worker node of the cluster lost", 1, 0, "its trial goes on on another node")
