"""Trained trials become the result folders that main.py leaves."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Future, wait
from functools import partial

import pytest

from ecggen.atomic import write_json
from ecggen.card import read_card
from ecggen.checkpoint import save_model
from ecggen.configfile import dump_yaml
from ecggen.runid import run_hash
from ecggen.runs import load_run, run_and_keep
from ecggen.stepfolder import find_run
from ecggen.train import train
from search.keepers import Keepers
from search.promote import forget_ahead, promote, promote_ahead, promote_all
from tests.conftest import REPO
from tests.test_main import write_arrays
from tests.test_runs import same_card
from tests.tiny import tiny_run
from tests.user_fault import fault_of


def write_trial(place, run):
    """A trial's folder as a worker leaves it."""
    place.mkdir(parents=True)
    result = train(run, quiet=True)
    (place / "config.yaml").write_text(dump_yaml(run))
    save_model(place / "model.safetensors", result.model)
    content = {"hash": run_hash(run), "step": result.step, "seconds": 12.5, "best": result.best}
    write_json(place / "result.json", {**content, "history": result.history})
    return place


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder of a search with two trained trials."""
    search = tmp_path_factory.mktemp("results") / "searches" / "small-night"
    write_trial(search / "trials" / "0001_m1s1k1", tiny_run())
    write_trial(search / "finalists" / "m1s1k1" / "seed5", tiny_run(train__seed=5))
    return search


@pytest.fixture
def trial(searched, tmp_path):
    """A copy of the first trial, to be damaged."""
    return shutil.copytree(searched / "trials" / "0001_m1s1k1", tmp_path / "search" / "trials" / "0001_m1s1k1")


def names_alike(path):
    """An event file has the time at which it was opened in its name."""
    return "events" if path.name.startswith("events.") else path.name


def test_a_promoted_trial_is_what_main_would_have_left(searched, tmp_path):
    here = run_and_keep(tiny_run(), "m1s1k1", tmp_path / "a", quiet=True, say=lambda _: None)
    folder = promote(searched / "trials" / "0001_m1s1k1", "m1s1k1", tmp_path / "b")
    assert folder.name == here.name
    assert {names_alike(p) for p in folder.iterdir()} == {names_alike(p) for p in here.iterdir()}
    for name in ("config.yaml", "rejected.csv"):
        assert (folder / name).read_text() == (here / name).read_text()
    assert same_card(read_card(folder), read_card(here))
    weights, expected = (load_run(place)[0].state_dict() for place in (folder, here))
    assert all(weights[name].equal(value) for name, value in expected.items()) and "head.linear.weight" in weights
    info = json.loads((folder / "run_info.json").read_text())
    assert (info["search"], info["trial"]) == ("small-night", "trials/0001_m1s1k1")
    assert info["seconds"] >= 12.5 and info["steps"] == 6 and info["best"]


def test_promoting_twice_reuses_the_folder(searched, tmp_path):
    said = []
    first, second = (
        promote(searched / "finalists" / "m1s1k1" / "seed5", "m1s1k1", tmp_path, say=said.append) for _ in range(2)
    )
    assert first == second and "reused" in said[-1]
    info = json.loads((first / "run_info.json").read_text())
    assert (info["search"], info["trial"]) == ("small-night", "finalists/m1s1k1/seed5")


@pytest.mark.parametrize("workers", [1, 2])
def test_several_are_promoted_and_the_fault_of_one_stops_no_other(searched, tmp_path, workers):
    jobs = [
        (searched / "trials" / "0001_m1s1k1", "m1s1k1"),
        (searched / "trials" / "0002_m1s1k1", "m1s1k1"),  # there is none
        (searched / "finalists" / "m1s1k1" / "seed5", "m1s1k1"),
    ]
    said = []
    with Keepers(workers, 3) as keepers:
        first, nothing, third = promote_all(jobs, tmp_path, keepers, said.append)
    assert nothing is None and first is not None and third is not None and first != third
    (fault,) = [line for line in said if "not promoted" in line]
    assert fault.startswith("0002_m1s1k1") and "config.yaml" in fault and "\n" not in fault
    for folder in (first, third):
        assert find_run(tmp_path, folder.name) == folder and read_card(folder)["runid"] == "m1s1k1"


def test_the_plain_name_belongs_to_the_first_of_a_run_id(searched, tmp_path, monkeypatch):
    """The winner of several finalists of one id is the first job, and its promotion may well be the slowest."""
    monkeypatch.setattr("search.keepers.ProcessPoolExecutor", Slow)
    jobs = [
        (searched / "finalists" / "m1s1k1" / "seed5", "m1s1k1"),
        (searched / "trials" / "0001_m1s1k1", "m1s1k1"),
    ]
    with Keepers(2, 2) as keepers:
        first, second = promote_all(jobs, tmp_path, keepers, lambda line: None)
    assert (first.name, second.name) == ("m1s1k1_step6", f"m1s1k1_step6_{run_hash(tiny_run())[:6]}")


def test_where_a_process_was_killed_before_it_had_work_this_one_does_it(searched, tmp_path):
    jobs = [(searched / "trials" / "0001_m1s1k1", "m1s1k1"), (searched / "finalists" / "m1s1k1" / "seed5", "m1s1k1")]
    with Keepers(2, 2) as keepers:
        keepers.start()
        broken = keepers.pool.submit(os._exit, 1)
        with pytest.raises(BrokenExecutor):
            broken.result()
        said = []
        assert all(promote_all(jobs, tmp_path, keepers, said.append))
    assert not [line for line in said if "not promoted" in line]


class Idle:
    """A pool that never gets to work."""

    def __init__(self, *arguments):
        pass

    def submit(self, work, *arguments):
        return Future()

    def shutdown(self, **how):
        pass


@pytest.mark.parametrize(("idle", "begun"), [(0, 0), (1, 1), (2, 2), (5, 3)])
def test_as_many_are_made_ahead_as_workers_are_idle(tmp_path, monkeypatch, idle, begun):
    monkeypatch.setattr("search.keepers.ProcessPoolExecutor", Idle)
    jobs = [(tmp_path / name, "m1s1k1") for name in "abc"]
    with Keepers(3, 3) as keepers:
        for _ in range(3):
            promote_ahead(jobs, keepers, idle)
            assert list(keepers.begun) == jobs[:begun] and keepers.busy == begun
        next(iter(keepers.begun.values()), Future()).set_result(None)
        promote_ahead(jobs, keepers, idle)
        assert len(keepers.begun) == min(3, begun + (idle > 0))


def test_a_single_one_is_left_to_this_process(tmp_path, monkeypatch):
    monkeypatch.setattr("search.keepers.ProcessPoolExecutor", Idle)
    with Keepers(3, 3) as keepers:
        promote_ahead([(tmp_path / "a", "m1s1k1")], keepers, idle=3)
        assert not keepers.begun


@pytest.fixture
def two(searched, tmp_path):
    """Copies of two trials of one run id, to be promoted ahead."""
    places = ("trials/0001_m1s1k1", "finalists/m1s1k1/seed5")
    return [(shutil.copytree(searched / place, tmp_path / "small-night" / place), "m1s1k1") for place in places]


def test_what_was_made_ahead_is_taken_and_is_what_would_have_been_made(searched, two, tmp_path):
    one, other = [promote(trial, runid, tmp_path / "b", threads=1) for trial, runid in two]
    expected = [(place.name, read_card(place), sorted(map(names_alike, place.iterdir()))) for place in (one, other)]
    with Keepers(2, 2) as keepers:
        promote_ahead(two, keepers, idle=2)
        wait(keepers.begun.values())
        made = [(trial / "ahead" / "m1s1k1_step6" / "run_info.json").read_text() for trial, _ in two]
        time.sleep(1.1)  # a time in it is in seconds
        assert not (tmp_path / "a").exists()
        said = []
        kept = promote_all(two, tmp_path / "a", keepers, said.append)
    assert [(place / "run_info.json").read_text() for place in kept] == made
    for place, (name, card, names) in zip(kept, expected, strict=True):
        assert place.name == name and sorted(map(names_alike, place.iterdir())) == names
        assert same_card(read_card(place), card)
        assert json.loads((place / "run_info.json").read_text())["search"] == "small-night"
    assert len(said) == 1 and "goes to m1s1k1_step6_" in said[0]  # of one run id
    for trial, _ in two:
        forget_ahead(trial)
        assert not (trial / "ahead").exists()


def test_another_folder_that_is_linked_to_is_left_where_it_is(two, tmp_path):
    trial, runid = two[0]
    others = promote(trial, runid, tmp_path / "others", threads=1)
    (trial / "ahead").symlink_to(tmp_path / "others")
    assert promote(trial, runid, tmp_path / "results", threads=1).parent == tmp_path / "results"
    assert find_run(tmp_path / "others", runid) == others and (others / "model.safetensors").is_file()


def test_what_failed_ahead_or_was_killed_is_done_when_it_is_asked_for(two, tmp_path):
    model = two[0][0] / "model.safetensors"
    content = model.read_bytes()
    model.unlink()
    with Keepers(2, 2) as keepers:
        promote_ahead(two, keepers, idle=1)
        wait(keepers.begun.values())
        keepers.begin(two[1], partial(os._exit, 1))
        model.write_bytes(content)
        said = []
        assert all(promote_all(two, tmp_path / "results", keepers, said.append))
    assert not [line for line in said if "not promoted" in line]


def test_one_that_was_begun_ahead_and_is_left_alone_is_waited_for(two, tmp_path):
    with Keepers(2, 2) as keepers:
        promote_ahead(two, keepers, idle=1)
        promote(*two[1], tmp_path)  # another process was quicker
        (folder,) = promote_all(two[:1], tmp_path, keepers, print)
        assert keepers.busy == 0 and (folder / "DONE").is_file()


def test_a_run_without_a_head_says_so_wherever_it_was_made(tmp_path):
    data = {"data__source": "arrays", "data__root": str(write_arrays(tmp_path / "data", labels=("a",)))}
    runs = [tiny_run(train__seed=seed, **data) for seed in (1, 2)]
    jobs = [(write_trial(tmp_path / "trials" / str(at), run), "m1s1k1") for at, run in enumerate(runs)]
    with Keepers(2, 2) as keepers:
        promote_ahead(jobs, keepers, idle=1)
        said = []
        promote_all(jobs, tmp_path / "results", keepers, said.append)
    assert len([line for line in said if line.startswith("no head")]) == 2


class Slow:
    """A pool of this process that does the last that it was given first."""

    def __init__(self, *arguments):
        self.waiting = []

    def shutdown(self, **how):
        pass

    def submit(self, work, *arguments, **named):
        future = Future()
        future.result = lambda: self.run() or Future.result(future)
        self.waiting.append((future, work, arguments, named))
        return future

    def run(self):
        while self.waiting:
            future, work, arguments, named = self.waiting.pop()
            future.set_result(work(*arguments, **named))


def test_no_jobs_are_no_work(tmp_path):
    assert promote_all([], tmp_path, Keepers(4, 3), print) == []


def change(place, **entries):
    path = place / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors", "result.json"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe not ours", b'{"hash": 1}'])
def test_a_missing_or_damaged_file_is_one_line(trial, tmp_path, name, content):
    (trial / name).unlink()
    if content is not None:
        (trial / name).write_bytes(content)
    message = fault_of(promote, trial, "m1s1k1", tmp_path / "results")
    assert name in message
    assert not list(tmp_path.glob("results/*_step*"))


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"hash": "ab" * 32}, "ababab"),
        ({"step": 3}, "stopped at 3"),
        ({"step": None}, "damaged"),
        ({"history": [1]}, "damaged"),
        ({"history": 5}, "damaged"),
        ({"best": {"step": "x"}}, "damaged"),
    ],
)
def test_a_result_that_is_not_the_trials_is_one_line(trial, tmp_path, entries, says):
    change(trial, **entries)
    assert says in fault_of(promote, trial, "m1s1k1", tmp_path / "results")


def test_the_model_of_another_run_is_refused(trial, tmp_path):
    other = write_trial(tmp_path / "other", tiny_run(model__vcg__basis_k=4))
    shutil.copy(other / "model.safetensors", trial / "model.safetensors")
    assert "another" in fault_of(promote, trial, "m1s1k1", tmp_path / "results")


def test_what_json_has_no_word_for_is_no_fault(trial, tmp_path):
    history = json.loads((trial / "result.json").read_text())["history"]
    change(trial, history=[{**row, "val_r": None} for row in history], best={**history[-1], "val_r": None})
    folder = promote(trial, "m1s1k1", tmp_path / "results")
    assert "nan" in (folder / "history.csv").read_text()
    assert json.loads((folder / "run_info.json").read_text())["best"]["val_r"] is None


def test_neither_ray_nor_optuna_is_needed():
    code = "import sys, search.promote, search.compare; sys.exit(bool({'ray', 'optuna'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
