"""One trial: what it goes on from, what it refuses, what it reports. Without Ray: the reports go to a list."""

import json
import math

import pytest

from ecggen.checkpoint import load_model, load_training
from ecggen.runid import run_hash
from ecggen.train import train
from search.trial import FAILED_FILE, HASH_FILE, ROW, clear_of_others, message, reason_of, refuse_failed, whole
from search.trialfile import read_result
from tests.tiny import tiny_run
from tests.user_fault import fault_of

RUN = tiny_run(train__validate_every=2)


class Stopped(BaseException):
    """As Ray ends the thread of a trial that is stopped: in the middle of a report."""


def trained(place, run=RUN, stop=None, judge=False):
    """The rows that a trial reported; with `stop` it is stopped at that step."""
    told = []

    def tell(row):
        told.append(row)
        if stop is not None and row["step"] == stop:
            raise Stopped

    try:
        last = whole(run, place, lambda: None, judge, tell)
    except Stopped:
        return told
    return [*told, last]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    place = tmp_path_factory.mktemp("alone")
    return trained(place), place


def figures(rows):
    return [{name: value for name, value in row.items() if name not in ("seconds", "again")} for row in rows]


def test_every_report_has_all_names(alone):
    assert all(set(row) == {"step", "seconds", *ROW, "complete", "failed", "unkept", "again"} for row in alone[0])
    assert [row["step"] for row in alone[0]] == [2, 4, 6]
    assert math.isnan(message({"step": 1})["val_r"])


def test_a_stopped_trial_goes_on_from_its_state_and_ends_as_if_nothing_had_happened(alone, tmp_path):
    assert [row["step"] for row in trained(tmp_path, stop=4)] == [2, 4]
    assert load_training(tmp_path)["step"] == 4
    again = trained(tmp_path)
    assert figures(again) == figures(alone[0])
    assert [row["again"] for row in again] == [True, False, False]  # what was decided before, and what was not
    ours, theirs = (load_model(place / "model.safetensors").state_dict() for place in (tmp_path, alone[1]))
    assert all((value == theirs[name]).all() for name, value in ours.items())
    assert not (tmp_path / "training.pt").exists()


def test_a_whole_trial_is_told_again_and_not_trained(alone, monkeypatch):
    monkeypatch.setattr("search.trial.train", lambda *a, **k: pytest.fail("it was trained again"))
    assert figures(trained(alone[1])) == figures(alone[0])


def test_a_damaged_state_begins_anew(alone, tmp_path):
    (tmp_path / "training.pt").write_bytes(b"no state")
    assert figures(trained(tmp_path)) == figures(alone[0])


def test_what_another_run_left_is_removed(tmp_path):
    other = tiny_run(train__seed=7)
    clear_of_others(tmp_path, other)
    trained(tmp_path, other)
    (tmp_path / FAILED_FILE).write_text("{}")
    clear_of_others(tmp_path, RUN)
    assert sorted(path.name for path in tmp_path.iterdir()) == [HASH_FILE]
    train(RUN, None, tmp_path, quiet=True)
    clear_of_others(tmp_path, RUN)
    assert (tmp_path / "training.pt").is_file()


def test_a_result_that_was_taken_over_stays(alone, tmp_path):
    for name in ("result.json", "model.safetensors"):
        (tmp_path / name).write_bytes((alone[1] / name).read_bytes())
    clear_of_others(tmp_path, RUN)
    assert read_result(tmp_path)["hash"] == run_hash(RUN)


def test_a_failure_is_not_tried_again(tmp_path):
    refuse_failed(tmp_path)
    (tmp_path / FAILED_FILE).write_text(json.dumps({"reason": "loss: not finite"}))
    assert fault_of(refuse_failed, tmp_path) == "loss: not finite"


def test_a_reason_is_one_line():
    assert reason_of(MemoryError()) == "MemoryError: "
    assert reason_of(RuntimeError("CUDA out of memory\nTried to allocate")) == "RuntimeError: CUDA out of memory"
