"""The files of one trial: what they say is believed where it is sound, and nowhere else."""

import json

import pytest

from search.ledger import equal_runs
from search.trialfile import COMPLETED, RUNNING, Trial, forget_damaged, read_result
from tests.fake_search import (
    METRIC,
    completed,
    curve,
    new_trial,
    reread,
    row,
    write_result,
)
from tests.user_fault import fault_of


def test_a_step_that_is_known_is_no_row():
    trial = Trial(1, "trials/x", "m1s1k1", "ab", 0, 6)
    assert [trial.add_row(row(step, value)) for step, value in ((3, 0.1), (3, 0.9), (2, 0.9), (6, 0.2))] == [
        True,
        False,
        False,
        True,
    ]
    assert [each[METRIC] for each in trial.curve] == [0.1, 0.2]
    assert (trial.step, trial.metrics[METRIC], trial.seconds) == (6, 0.2, 0.6)


GOOD = {"hash": "ab", "step": 6, "seconds": 0.6, "best": curve(0.1)[0], "history": curve(0.1, 0.2)}
DAMAGED_RESULTS = [
    "",
    "{",
    "null",
    "[]",
    "7",
    '"hash"',
    "{}",
    "\xff",
    "[" * 100_000,
    json.dumps({"hash": "ab"}),
    json.dumps({"hash": "ab", "extra": 1}),
    json.dumps({**GOOD, "step": None}),
    json.dumps({**GOOD, "seconds": "long"}),
    json.dumps({**GOOD, "best": 7}),
    json.dumps({**GOOD, "best": {"step": "x"}}),
    json.dumps({**GOOD, "history": None}),
    json.dumps({**GOOD, "history": [7]}),
    json.dumps({**GOOD, "history": [{"seconds": 1}]}),
    json.dumps({**GOOD, "history": [{**curve(0.1)[0], METRIC: "good"}]}),
]


@pytest.mark.parametrize("text", DAMAGED_RESULTS, ids=range(len(DAMAGED_RESULTS)))
def test_a_damaged_result_is_one_line_and_the_trial_is_trained_again(ledger, text):
    trial, _ = new_trial(ledger, 0.001)
    place = ledger.folder / trial.key
    (place / "result.json").write_bytes(text.encode("latin-1"))
    assert str(place / "result.json") in fault_of(read_result, place)
    assert [each.status for each in reread(ledger).trials] == [RUNNING]
    message = fault_of(ledger.end, trial, COMPLETED)
    assert "run the trial again" in message
    assert (trial.status, trial.metrics, trial.curve) == (RUNNING, {}, [])  # as if nothing had happened
    forget_damaged(place)
    assert not (place / "result.json").exists()


def test_a_good_result_is_kept_and_a_reader_removes_nothing(ledger, tmp_path):
    trial, run = new_trial(ledger, 0.001)
    place = ledger.folder / trial.key
    write_result(place, run, (0.4, 0.6))
    forget_damaged(place)
    assert read_result(place)["step"] == 6
    (place / "result.json").write_text("{")  # perhaps another process is about to write it
    reread(ledger)
    equal_runs(sorted(tmp_path.iterdir()))
    assert (place / "result.json").exists()
    forget_damaged(tmp_path / "nowhere")


def damaged_trials():
    good = {**vars(Trial(1, "trials/0001_m1s1k1", "m1s1k1", "ab", 0, 6))}
    yield from ("", "{", "null", "[]", "7", "{}", "\xff", "[" * 100_000, json.dumps({**good, "curve": [7]}))
    wrong = {
        "number": ("1", None, 1.5),
        "hash": (None, 5),
        "runid": (None, ["m1"]),
        "seed": ("x",),
        "steps": (None,),
        "params": (None, []),
        "status": ("done", None, []),
        "reason": (None,),
        "step": (None, "3"),
        "seconds": ("long", []),
        "best_step": (None,),
        "metrics": (None, [], {METRIC: "good"}),
        "curve": (None, {}, ["x"], [{"seconds": 1.0}], [{"step": None}], [{"step": 3, METRIC: "good"}]),
        "study": ("0", 1.5),
    }
    for name, values in wrong.items():
        for value in values:
            yield json.dumps({**good, name: value})
    for name in ("number", "hash", "curve"):
        yield json.dumps({key: value for key, value in good.items() if key != name})


@pytest.mark.parametrize("text", list(damaged_trials()), ids=range(len(list(damaged_trials()))))
def test_a_damaged_trial_is_passed_over(ledger, tmp_path, text):
    damaged = completed(ledger, 0.001, 0.1, 0.2)
    other = completed(ledger, 0.002, 0.3, 0.4)
    (ledger.folder / damaged.key / "trial.json").write_bytes(text.encode("latin-1"))
    assert [trial.hash for trial in reread(ledger).trials] == [other.hash]
    assert list(equal_runs(sorted(tmp_path.iterdir()))) == [other.hash]
