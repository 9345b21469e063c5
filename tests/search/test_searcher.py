"""What is handed out and what is noted, without a Ray: its searcher is called by hand, as Ray calls it."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest
from ray.tune.search import Searcher

from ecggen.codetable import read_codes
from ecggen.configfile import from_dict
from ecggen.runid import run_hash
from search.ledger import Ledger, equal_runs
from search.searcher import LedgerSearcher
from search.storage import Storage
from search.study import Study
from search.supply import WAIT, InTurn, NewTrials, Places, reuse
from search.trial import message
from search.trialfile import COMPLETED, FAILED, REUSED, RUNNING, STOPPED
from tests.fake_search import (
    BASE,
    FOUR,
    METRIC,
    TABLE,
    V1,
    as_text,
    completed,
    curve,
    order_of,
    reread,
    row,
    space_of,
    write_result,
)
from tests.tiny import tiny_run


class Watcher:
    """Tells the study, as the driver's does, and keeps what it was told."""

    def __init__(self, study):
        self.study, self.events, self.idled = study, [], 0

    def began(self, trial):
        self.events.append(("began", trial.key))

    def reported(self, trial):
        self.study.report(trial)
        self.events.append(("reported", trial.key))

    def refused(self, params, reason):
        self.events.append(("refused", params))

    def ended(self, trial):
        self.study.end(trial)
        self.events.append(("ended", trial.key))

    def idle(self, workers):
        self.idled += workers


class Search:
    """A search in its folder, opened again as often as one likes."""

    def __init__(self, results, entries=FOUR, algorithm="random", trials=10):
        self.results, self.space = results, space_of(entries)
        self.folder = results / "searches" / "now"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.order = order_of(entries, algorithm=algorithm, trials=trials)
        self.ledger = Ledger(self.folder)
        self.study = Study(self.folder, algorithm, METRIC, 0)
        self.study.reconcile(self.ledger, self.space.entries)
        self.watcher = Watcher(self.study)
        self.late = False

    def supply(self):
        grid = self.space.grid(BASE, TABLE) if self.order.algorithm == "grid" else None
        places = Places(V1, self.results, equal_runs(sorted(set(self.folder.parent.iterdir()) - {self.folder})))
        return NewTrials(self.ledger, self.study, self.space, self.order, places, grid, self.watcher)

    def searcher(self, supply, concurrency=2):
        storage = Storage(str(self.folder.parent))
        return LedgerSearcher(
            supply, self.ledger, storage, "now", concurrency, lambda: self.late, lambda trial: "because", self.watcher
        )

    def train(self, searcher, trial_id, *values):
        """What Ray says of a trial that is trained to its end."""
        trial = searcher.live[trial_id]
        write_result(self.ledger.folder / trial.key, self.ledger.run_of(trial), values)
        for each in curve(*values)[:-1]:
            searcher.on_trial_result(trial_id, report(each))
        last = report(curve(*values)[-1], complete=True)
        searcher.on_trial_result(trial_id, last)
        searcher.on_trial_complete(trial_id, last)
        return trial

    def states(self):
        return [trial.state.name for trial in self.told()]

    def told(self):
        """What the study has been told."""
        return self.study._study.trials


@pytest.fixture(autouse=True)
def studies_in_memory(monkeypatch):
    """Studies that are kept as long as the test: `test_study` has the database, which takes its time."""
    known: dict[str, optuna.storages.BaseStorage] = {}

    class Optuna:
        storages = SimpleNamespace(RDBStorage=lambda url, **_: known.setdefault(url, optuna.storages.InMemoryStorage()))

        def __getattr__(self, name):
            return getattr(optuna, name)

    monkeypatch.setattr("search.study.optuna", Optuna())


@pytest.fixture
def make(tmp_path):
    return lambda *given, **more: Search(tmp_path, *given, **more)


def report(each, **changes):
    """A report with what Ray adds to it."""
    return {**message(each), "training_iteration": 1, "trial_id": "x", "done": False, "config": {}, **changes}


def hashes(ledger):
    return [trial.hash for trial in ledger.trials]


def points(search):
    return {run_hash(search.space.run(params, BASE, TABLE)) for params in search.space.grid(BASE, TABLE)}


# No setting twice


@pytest.mark.parametrize(("algorithm", "concurrency"), [("random", 1), ("random", 3), ("optuna", 1), ("grid", 3)])
def test_a_small_space_is_searched_once_and_found_exhausted(make, algorithm, concurrency):
    search = make(algorithm=algorithm)
    supply = search.supply()
    searcher, at = search.searcher(supply, concurrency), 0
    waiting: list[str] = []
    while True:
        given = searcher.suggest(f"t{at}")
        if given == Searcher.FINISHED and not waiting:
            break
        if isinstance(given, dict):
            waiting.append(f"t{at}")
            at += 1
        else:
            ended = search.train(searcher, waiting.pop(0), 0.1 * at, 0.2)
            assert ended.status == COMPLETED
    assert supply.exhausted and searcher.drained
    assert len(search.ledger.trials) == 4 and set(hashes(search.ledger)) == points(search)
    assert not {"RUNNING", "WAITING"} & set(search.states())
    assert search.states().count("COMPLETE") >= 4
    assert as_text(reread(search.ledger)) == as_text(search.ledger)


def test_a_grid_that_is_asked_for_as_a_whole_is_not_exhausted(make):
    supply = make(algorithm="grid", trials=4).supply()
    lrs = [supply.next().params for _ in range(4)]
    assert lrs == space_of().grid(BASE, TABLE)
    assert supply.next() is None and not supply.exhausted


@pytest.mark.parametrize(
    ("status", "algorithm"),
    [
        *((status, "random") for status in (COMPLETED, STOPPED, FAILED, REUSED, RUNNING)),
        *((FAILED, algorithm) for algorithm in ("optuna", "grid")),
    ],
)
def test_what_was_tried_is_not_tried_again_whatever_became_of_it(make, algorithm, status):
    first = make(algorithm=algorithm, trials=3)
    supply = first.supply()
    for trial in [supply.next() for _ in range(3)]:
        if status in (COMPLETED, REUSED):
            write_result(first.folder / trial.key, first.ledger.run_of(trial), (0.1, 0.2))
        elif status == STOPPED:
            trial.add_row(row(3, 0.9))
        if status != RUNNING:
            first.ledger.end(trial, status, "a reason")
            first.watcher.ended(trial)
    assert supply.next() is None and not supply.exhausted

    again = make(algorithm=algorithm, trials=10)
    supply = again.supply()
    assert len(again.ledger.trials) == 3
    left = [supply.next() for _ in range(3)] if status == RUNNING else []
    assert [trial.key for trial in left] == [trial.key for trial in first.ledger.trials][: len(left)]
    fourth = supply.next()
    assert fourth.number == 4 and supply.next() is None and supply.exhausted
    assert len(set(hashes(again.ledger))) == 4 and set(hashes(again.ledger)) == points(again)


def test_an_equal_suggestion_says_in_the_study_whom_it_equals(make):
    search = make({"train.lr": {"choice": [0.001]}})
    supply = search.supply()
    trial = supply.next()
    assert supply.next() is None
    others = search.told()[1:]
    assert others and {(one.state.name, one.user_attrs["equal_to"]) for one in others} == {("FAIL", trial.key)}


def test_a_space_without_a_list_is_searched_for_new_points_by_chance(make):
    search = make({"train.lr": {"uniform": [0.0010, 0.0012]}})  # three values of two digits
    supply = search.supply()
    lrs = {supply.next().params["train.lr"] for _ in range(3)}
    assert lrs == {0.0010, 0.0011, 0.0012}
    assert supply.next() is None and supply.exhausted and len(search.ledger.trials) == 3


@pytest.mark.parametrize("algorithm", ["random", "grid"])
def test_a_point_whose_settings_contradict_each_other_is_no_trial(make, algorithm):
    search = make({"model.vcg.basis_k": {"choice": [8, 200]}}, algorithm)
    supply = search.supply()
    assert supply.next().params == {"model.vcg.basis_k": 8}
    assert supply.next() is None and supply.exhausted
    assert len(search.ledger.trials) == 1 and set(search.states()) <= {"RUNNING", "FAIL"}


def test_two_codes_of_one_setting_are_one_trial(make):
    """What counts is the run: a base that has a setting already, and an entry that says it again."""
    entries = {
        "train.lr": {"choice": [0.001, 0.002]},
        "train.clip": {"choice": [1.0, 2.0], "when": {"train.lr": 0.001}},
    }
    search = make(entries, "random")
    supply = search.supply()
    found = []
    while (trial := supply.next()) is not None:
        found.append(trial.params)
    assert len(found) == 3 and {"train.lr": 0.002} in found


# Kept before it starts


def test_a_trial_is_on_disk_with_its_run_id_before_it_starts(make, tmp_path):
    search = make()
    searcher = search.searcher(search.supply())
    given = searcher.suggest("a")
    trial = searcher.live["a"]
    assert given["key"] == f"now/{trial.key}" and given["judge"] is False
    run = from_dict(json.loads(given["run"]))
    assert run == search.ledger.run_of(trial) == search.space.run(trial.params, BASE, TABLE)
    assert (trial.hash, trial.steps) == (run_hash(run), 6)
    assert trial.key == f"trials/0001_{trial.runid}"
    assert as_text(reread(search.ledger)) == as_text([trial])
    assert read_codes(V1, tmp_path).rows["m"] != TABLE.rows["m"]  # this base had no code yet
    searcher.suggest("b")
    assert [one.runid for one in search.ledger.trials] == [trial.runid] * 2
    assert search.watcher.events == [("began", one.key) for one in search.ledger.trials]


def test_unfinished_trials_come_first_and_with_their_own_settings(make):
    first = make()
    supply = first.supply()
    begun = [supply.next() for _ in range(3)]
    write_result(first.folder / begun[1].key, first.ledger.run_of(begun[1]), (0.3, 0.4))  # nobody noted it
    again = make()
    searcher = again.searcher(again.supply(), concurrency=3)
    given = [searcher.suggest(name) for name in "abc"]
    assert [each["key"] for each in given[:2]] == [f"now/{begun[0].key}", f"now/{begun[2].key}"]
    assert from_dict(json.loads(given[1]["run"])) == first.ledger.run_of(begun[2])
    assert [trial.status for trial in again.ledger.trials] == [RUNNING, COMPLETED, RUNNING, RUNNING]
    assert sorted(again.states()) == ["COMPLETE", *["RUNNING"] * 3] or again.states().count("RUNNING") == 3


def test_more_trials_than_before_go_on_from_there(make):
    supply = make(trials=2).supply()
    assert [supply.next().number for _ in range(2)] == [1, 2] and supply.next() is None
    again = make(trials=3)
    supply = again.supply()
    assert [supply.next().number for _ in range(3)] == [1, 2, 3] and supply.next() is None
    assert len(set(hashes(again.ledger))) == 3


def test_a_killed_grid_goes_on_at_the_point_where_it_was(make):
    first = make(algorithm="grid")
    supply = first.supply()
    supply.next()
    grid = first.space.grid(BASE, TABLE)
    first.study._study.enqueue_trial(grid[1])  # killed before it became a trial
    again = make(algorithm="grid")
    supply = again.supply()
    assert [supply.next().params for _ in range(4)] == grid and supply.next() is None
    assert [trial.params for trial in again.ledger.trials] == grid
    assert sorted(again.states()) == ["FAIL", *["RUNNING"] * 4]


# Equal runs of earlier searches


def earlier(tmp_path, lr, values=(0.3, 0.5), judged=True, **changes):
    """A whole run of an earlier search, equal to the point with this learning rate."""
    old = Ledger(tmp_path / "searches" / "old")
    run = tiny_run(train__lr=lr, **changes)
    trial = old.begin(run, "m1s1k1", {})
    write_result(old.folder / trial.key, run, values)
    if judged:
        (old.folder / trial.key / "judged.npz").write_bytes(b"sums")
    (old.folder / trial.key / "training.pt").write_bytes(b"state")
    old.end(trial, COMPLETED)
    return trial, old.folder / trial.key


ONE = {"train.lr": {"choice": [0.001, 0.002]}}


@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("algorithm", ["random", "grid"])
def test_an_equal_whole_run_of_an_earlier_search_is_reused(make, tmp_path, judged, algorithm):
    old, place = earlier(tmp_path, 0.001, judged=judged)
    search = make(ONE, algorithm)
    supply = search.supply()
    assert supply.next().params == {"train.lr": 0.002}
    assert supply.next() is None
    (taken,) = [trial for trial in search.ledger.trials if trial.params == {"train.lr": 0.001}]
    assert (taken.status, taken.hash, taken.reason) == (REUSED, old.hash, f"equal to old/{old.key}")
    assert (taken.metrics[METRIC], taken.step, taken.best_step) == (0.5, 6, 6)
    files = {"model.safetensors", "result.json"} | ({"judged.npz"} if judged else set())
    for name in files:
        assert (search.folder / taken.key / name).read_bytes() == (place / name).read_bytes()
    kept = {path.name for path in (search.folder / taken.key).iterdir()}
    assert kept == files | {"config.yaml", "trial.json"}
    assert search.states()[taken.study] == "COMPLETE"
    assert search.watcher.events == [("ended", taken.key)]
    assert search.ledger.whole() == [taken] and reread(search.ledger).trials[taken.number - 1].status == REUSED


def test_a_search_of_known_points_trains_nothing(make, tmp_path):
    for lr in (0.001, 0.002):
        earlier(tmp_path, lr)
    search = make(ONE)
    searcher = search.searcher(search.supply())
    assert searcher.suggest("a") == Searcher.FINISHED
    assert [trial.status for trial in search.ledger.trials] == [REUSED, REUSED]


@pytest.mark.parametrize("changes", [{"train__seed": 1}, {"train__steps": 9}, {"data__simulator__seed": 5}])
def test_a_run_that_differs_in_anything_is_not_reused(make, tmp_path, changes):
    earlier(tmp_path, 0.001, **changes)
    search = make({"train.lr": {"choice": [0.001]}})
    assert search.supply().next().status == RUNNING


@pytest.mark.parametrize("damage", ["result", "model", "both"])
def test_a_run_that_was_damaged_since_is_trained(make, tmp_path, damage):
    """Looked up when the search began, damaged when it is wanted."""
    _, place = earlier(tmp_path, 0.001)
    search = make({"train.lr": {"choice": [0.001]}})
    supply = search.supply()
    if damage != "model":
        (place / "result.json").write_text('{"hash": 1}')
    if damage != "result":
        (place / "model.safetensors").unlink()
    trial = supply.next()
    assert trial is not None and trial.status == RUNNING and search.ledger.whole() == []
    assert not (search.folder / trial.key / "result.json").exists()
    assert reread(search.ledger).trials[0].status == RUNNING


def test_reuse_of_a_folder_that_is_gone_changes_nothing(make, tmp_path):
    search = make()
    trial = search.supply().next()
    before = as_text([trial])
    assert not reuse(trial, search.ledger, tmp_path / "searches" / "gone")
    assert as_text([trial]) == before == as_text(reread(search.ledger))


# Ray's calls


@pytest.fixture
def search(make):
    return make()


def test_no_more_trials_at_once_than_asked(search):
    searcher = search.searcher(search.supply(), concurrency=2)
    assert isinstance(searcher.suggest("a"), dict) and isinstance(searcher.suggest("b"), dict)
    assert searcher.suggest("c") is None and len(search.ledger.trials) == 2
    assert not searcher.drained
    searcher.on_trial_complete("a", report(row(3, 0.1)))
    assert isinstance(searcher.suggest("c"), dict)
    assert searcher.suggest("d") is None


def test_nothing_begins_when_time_is_over(search):
    searcher = search.searcher(search.supply())
    searcher.suggest("a")
    search.late = True
    assert searcher.suggest("b") == Searcher.FINISHED and searcher.drained
    assert len(search.ledger.trials) == 1


def test_reports_arrive_in_ledger_and_study(search):
    searcher = search.searcher(search.supply())
    searcher.suggest("a")
    trial = searcher.live["a"]
    for each in curve(0.1, 0.2):
        searcher.on_trial_result("a", report(each))
    assert [each[METRIC] for each in trial.curve] == [0.1, 0.2]
    assert set(trial.curve[0]) == {
        "step", "seconds", "train_loss", "val_hidden_r", "val_hidden_r2", "val_r", "val_r2"
    }  # fmt: skip
    assert trial.status == RUNNING and trial.step == 6
    assert search.watcher.events[1:] == [("reported", trial.key)] * 2


def test_what_is_known_is_not_reported_again(search):
    """Ray has started the trial again on another node: it says everything once more."""
    searcher = search.searcher(search.supply())
    searcher.suggest("a")
    trial = searcher.live["a"]
    for each in (*curve(0.1, 0.2), *curve(0.8, 0.9, 0.3)):
        searcher.on_trial_result("a", report(each))
    assert [each[METRIC] for each in trial.curve] == [0.1, 0.2, 0.3]
    assert len([one for one in search.watcher.events if one[0] == "reported"]) == 3


def test_a_whole_trial_is_complete_and_has_the_figures_of_its_best_step(search):
    searcher = search.searcher(search.supply())
    searcher.suggest("a")
    trial = search.train(searcher, "a", 0.6, 0.4)
    assert (trial.status, trial.metrics[METRIC], trial.best_step, trial.step) == (COMPLETED, 0.6, 3, 6)
    assert not searcher.live and search.states() == ["COMPLETE"]
    assert search.watcher.events[-1] == ("ended", trial.key)
    assert as_text(reread(search.ledger)) == as_text([trial])


def test_a_whole_trial_is_fetched_from_where_it_was_trained(search, tmp_path):
    searcher = search.searcher(search.supply())
    searcher.storage = Storage(str(tmp_path / "elsewhere"))
    searcher.storage.check()
    searcher.suggest("a")
    trial = searcher.live["a"]
    far = searcher.storage.workplace(f"now/{trial.key}")
    write_result(far, search.ledger.run_of(trial), (0.1, 0.2))
    searcher.on_trial_complete("a", report(row(6, 0.2), complete=True))
    assert trial.status == COMPLETED
    assert (search.folder / trial.key / "model.safetensors").read_bytes() == (far / "model.safetensors").read_bytes()


@pytest.mark.parametrize("text", [None, "{", '{"hash": 1, "step": 6}'])
def test_a_trial_without_its_result_is_not_complete(search, text):
    searcher = search.searcher(search.supply())
    searcher.suggest("a")
    trial = searcher.live["a"]
    if text is not None:
        (search.folder / trial.key / "result.json").write_text(text)
    searcher.on_trial_complete("a", report(row(6, 0.9), complete=True))
    assert trial.status == FAILED and "result.json" in trial.reason and "\n" not in trial.reason
    assert search.ledger.whole() == [] and search.states() == ["FAIL"]


def test_a_failed_trial_says_why(search):
    searcher = search.searcher(search.supply())
    searcher.suggest("a")
    trial = searcher.live["a"]
    (search.folder / trial.key / "training.pt").write_bytes(b"state")
    searcher.on_trial_result("a", report(row(3, 0.4)))
    nothing = report({"step": 0, "seconds": 0.0}, failed="ValueError: loss is nan")
    searcher.on_trial_result("a", nothing)
    assert trial.step == 3 and trial.status == RUNNING
    searcher.on_trial_complete("a", nothing)
    assert (trial.status, trial.reason, trial.step) == (FAILED, "ValueError: loss is nan", 3)
    assert not (search.folder / trial.key / "training.pt").exists()
    assert search.states() == ["FAIL"] and not searcher.live
    assert reread(search.ledger).trials[0].reason == trial.reason


def test_a_lost_worker_is_a_failure(search):
    searcher = search.searcher(search.supply())
    for name, result in (("a", None), ("b", report(row(3, 0.4)))):
        searcher.suggest(name)
        trial = searcher.live[name]
        searcher.on_trial_complete(name, result, error=True)
        assert trial.status == FAILED and "worker" in trial.reason
    assert search.states() == ["FAIL", "FAIL"]


def test_a_stopped_trial_is_pruned_where_it_stood_and_keeps_its_state(search):
    """It may go on, as a runner-up."""
    searcher = search.searcher(search.supply())
    searcher.suggest("a")
    trial = searcher.live["a"]
    (search.folder / trial.key / "training.pt").write_bytes(b"state")
    searcher.on_trial_complete("a", report(row(3, 0.7)))  # the report at which ASHA stopped it
    assert (trial.status, trial.reason, trial.step, trial.metrics[METRIC]) == (STOPPED, "because", 3, 0.7)
    assert search.states() == ["PRUNED"] and search.ledger.whole() == []
    assert (search.folder / trial.key / "training.pt").exists()


@pytest.mark.parametrize("result", [None, {}, {"trial_id": "x", "done": True}])
def test_a_trial_that_never_reported_is_stopped(search, result):
    searcher = search.searcher(search.supply())
    searcher.suggest("a")
    trial = searcher.live["a"]
    searcher.on_trial_complete("a", result)
    assert (trial.status, trial.step, trial.curve) == (STOPPED, 0, [])
    assert search.states() == ["FAIL"]


def test_what_nobody_began_is_nobodys_news(search):
    searcher = search.searcher(search.supply())
    searcher.on_trial_result("x", report(row(3, 0.1)))
    searcher.on_trial_complete("x", report(row(3, 0.1)))
    assert search.watcher.events == [] and search.ledger.trials == []


def test_damaged_settings_fail_one_trial_and_not_the_search(make):
    supply = make().supply()
    damaged, good = supply.next(), supply.next()
    again = make()
    (again.folder / damaged.key / "config.yaml").write_text("{")
    searcher = again.searcher(again.supply())
    assert searcher.suggest("a")["key"] == f"now/{good.key}"
    assert again.ledger.trials[0].status == FAILED and "config.yaml" in again.ledger.trials[0].reason


def test_a_damaged_result_is_removed_before_the_trial_goes_on(make):
    """Its worker would take it for whole, and fail."""
    first = make()
    trial = first.supply().next()
    (first.folder / trial.key / "result.json").write_text("{")
    again = make()
    searcher = again.searcher(again.supply())
    assert searcher.suggest("a")["key"] == f"now/{trial.key}"
    assert not (again.folder / trial.key / "result.json").exists()


def test_a_copy_of_the_searcher_is_the_searcher(search):
    """Ray copies what it is given, and would write down a copy of the ledger."""
    searcher = search.searcher(search.supply())
    assert copy.deepcopy(searcher) is searcher
    assert searcher.set_search_properties(METRIC, "max", {}) is True


# The search's trials, then what is made of them


def in_turn(search, seeds=(1,)):
    """Trials, then runners-up, then repeats: as the driver puts them together."""
    asked, first = [], search.supply()

    def runners_up():
        asked.append("runners-up")
        found = search.ledger.runners_up(METRIC, 1 - len(search.ledger.whole()))
        for trial in found:
            search.ledger.revive(trial)
            search.study.again(trial, search.ledger, search.space.entries)
        return found

    def repeats():
        asked.append("repeats")
        return [search.ledger.begin_finalist(tiny_run(train__seed=at), "m1s1k1", {}) for at in seeds]

    return InTurn(search.ledger, first, lambda: search.late, [runners_up, repeats]), asked


def test_repeats_wait_for_the_last_trial(make):
    search = make(trials=2)
    supply, asked = in_turn(search, (1, 2))
    searcher = search.searcher(supply, concurrency=3)
    assert isinstance(searcher.suggest("a"), dict) and isinstance(searcher.suggest("b"), dict)
    assert search.watcher.idled == 0
    assert supply.next() is WAIT and searcher.suggest("c") is None and not searcher.drained
    assert search.watcher.idled == 1
    search.train(searcher, "a", 0.1, 0.2)
    assert searcher.suggest("c") is None and asked == [] and search.watcher.idled == 1 + 2
    search.train(searcher, "b", 0.1, 0.3)
    given = [searcher.suggest(name) for name in "cd"]
    assert [each["key"] for each in given] == [f"now/{trial.key}" for trial in search.ledger.finalists]
    assert all(each["judge"] is True for each in given)
    assert searcher.suggest("e") is None and asked == ["runners-up", "repeats"]
    search.train(searcher, "c", 0.1, 0.2)
    search.train(searcher, "d", 0.1, 0.2)
    assert searcher.suggest("e") == Searcher.FINISHED and searcher.drained
    assert len(search.ledger.trials) == len(search.ledger.finalists) == 2


def test_a_runner_up_goes_on_to_its_end_and_the_study_hears_of_it(make):
    search = make(trials=2)
    supply, _ = in_turn(search)
    searcher = search.searcher(supply)
    for name, value in (("a", 0.2), ("b", 0.7)):
        searcher.suggest(name)
        searcher.on_trial_complete(name, report(row(3, value)))
    assert search.states() == ["PRUNED", "PRUNED"]
    given = searcher.suggest("c")
    best = search.ledger.trials[1]
    assert given["key"] == f"now/{best.key}" and given["full"] is True and given["judge"] is False
    assert reread(search.ledger).unfinished()[0].full
    assert search.train(searcher, "c", 0.7, 0.8) is best and best.status == COMPLETED
    assert sorted(search.states()) == ["COMPLETE", "PRUNED", "PRUNED"] and search.states()[best.study] == "COMPLETE"
    assert searcher.suggest("d")["judge"] is True
    before = search.states()
    make(trials=2)  # opened again
    assert search.states() == before


def test_the_next_stage_begins_where_the_time_for_trials_is_over(make):
    search = make(trials=3)
    supply, _ = in_turn(search)
    trial = supply.next()
    search.late = True
    assert supply.next() is WAIT
    write_result(search.folder / trial.key, search.ledger.run_of(trial), (0.1, 0.2))
    search.ledger.end(trial, COMPLETED)
    assert supply.next() is search.ledger.finalists[0]
    assert len(search.ledger.trials) == 1


def test_trials_left_unfinished_keep_nobody_waiting_when_time_is_over(make):
    supply = make(trials=2).supply()
    supply.next()
    again = make(trials=2)
    supply, _ = in_turn(again)
    again.late = True
    assert supply.next() is again.ledger.finalists[0]
    assert again.ledger.trials[0].status == RUNNING


def test_an_order_of_fewer_trials_than_there_are_adds_none(make):
    search = make(trials=3)
    for lr in (0.1, 0.2, 0.3, 0.4):
        completed(search.ledger, lr, 0.5)
    search.order = replace(search.order, trials=3)
    assert search.supply().next() is None


def test_a_trial_that_could_not_be_kept_ends_the_round_and_goes_on_later(search):
    searcher = search.searcher(search.supply())
    searcher.suggest("a")
    searcher.suggest("b")
    trial, beside = searcher.live["a"], searcher.live["b"]
    searcher.on_trial_complete("a", report(row(3, 0.1), unkept="disk: full"))
    assert str(searcher.fault) == "disk: full" and searcher.suggest("c") == Searcher.FINISHED
    assert [one.status for one in reread(search.ledger).trials] == [RUNNING] * 2
    again = search.searcher(search.supply())
    assert again.suggest("a") and again.suggest("b")
    assert {one.key for one in again.live.values()} == {trial.key, beside.key}


def test_what_cannot_be_noted_is_kept_for_whoever_began_the_round(search, monkeypatch):
    """Ray would take it for a fault of the trial, and the trial would be waited for, for ever."""
    searcher = search.searcher(search.supply())
    searcher.suggest("a")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(search.ledger, "write", full)
    searcher.on_trial_complete("a", report(row(3, 0.1), failed="of its own"))
    assert searcher.fault.errno == 28 and searcher.suggest("b") == Searcher.FINISHED
