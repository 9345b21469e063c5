"""trials.csv and steps.csv: what somebody finds who opens them at any moment."""

import csv
import math
import threading

import pandas as pd
import pytest

from search.ledger import Ledger
from search.summary import EVERY, SHARE, Summary, write_table
from search.trialfile import FAILED, REUSED
from tests.fake_search import METRIC, completed, curve, failed, new_trial, row, stopped, write_result
from tests.tiny import tiny_run

COLUMNS = "number kind runid status reason seed steps step best_step seconds"
FIGURES = "val_hidden_r val_hidden_r2 val_r val_r2 train_loss"
STEP_COLUMNS = "number kind runid hash seed step seconds"


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "now")


@pytest.fixture
def summary(ledger):
    ledger.folder.mkdir()
    return Summary(ledger, ["train.lr", "train.clip"])


def read(ledger, name):
    with (ledger.folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_row_a_trial_and_one_a_report(ledger, summary):
    whole = completed(ledger, 0.001, 0.7, 0.3)
    stopped(ledger, 0.002, 0.2)
    new_trial(ledger, 0.003)
    repeat = ledger.begin_finalist(tiny_run(train__seed=2), "m1s1k1", {"train.lr": 0.001})
    write_result(ledger.folder / repeat.key, tiny_run(train__seed=2), (0.5, 0.6))
    ledger.end(repeat, REUSED, "equal to old/trials/0001_m1s1k1")
    summary.write()
    first, second, third, last = read(ledger, "trials.csv")
    assert " ".join(first) == f"{COLUMNS} {FIGURES} train.lr train.clip hash folder"
    whole_row = ["1", "trial", "m1s1k1", "completed", "", "0", "6", "6", "3", "0.6"]
    figures = ["0.7", "", "", "", "1.5"]
    assert list(first.values()) == [*whole_row, *figures, "0.001", "", whole.hash, "trials/0001_m1s1k1"]
    assert (second["status"], second["reason"], second["step"]) == ("stopped", "ASHA, at step 3", "3")
    assert (third["status"], third["step"], third[METRIC]) == ("running", "0", "")
    assert (last["number"], last["kind"], last["seed"], last[METRIC]) == ("1", "finalist", "2", "0.6")
    assert (last["folder"], last["status"]) == ("finalists/m1s1k1/seed2", "reused")
    steps = read(ledger, "steps.csv")
    assert " ".join(steps[0]) == f"{STEP_COLUMNS} {FIGURES}"
    assert [(one["kind"], one["number"], one["step"], one[METRIC]) for one in steps] == [
        ("trial", "1", "3", "0.7"),
        ("trial", "1", "6", "0.3"),
        ("trial", "2", "3", "0.2"),
        ("finalist", "1", "3", "0.5"),
        ("finalist", "1", "6", "0.6"),
    ]
    assert (steps[0]["hash"], steps[0]["seconds"], steps[-1]["seed"]) == (whole.hash, "0.3", "2")


def test_the_tables_are_the_same_however_often_and_by_whom_they_are_written(ledger, summary):
    completed(ledger, 0.001, 0.7, 0.3)
    stopped(ledger, 0.002, 0.2)
    failed(ledger, 0.003)
    texts = []
    for each in (summary, summary, Summary(Ledger(ledger.folder), ["train.lr", "train.clip"])):
        each.write()
        texts.append([(ledger.folder / name).read_bytes() for name in ("trials.csv", "steps.csv")])
    assert texts[0] == texts[1] == texts[2]
    assert [one["number"] for one in read(ledger, "trials.csv")] == ["1", "2", "3"]
    assert sorted(path.name for path in ledger.folder.iterdir()) == ["steps.csv", "trials", "trials.csv"]


def test_what_is_not_a_number_is_an_empty_cell(ledger, summary):
    completed(ledger, 0.001, math.nan, math.nan)
    trial, _ = new_trial(ledger, 0.002)
    trial.add_row({"step": 3, "seconds": 0.1})
    summary.write()
    for name in ("trials.csv", "steps.csv"):
        assert "nan" not in (ledger.folder / name).read_text().lower()
    assert [one[METRIC] for one in read(ledger, "trials.csv")] == ["", ""]
    assert [(one["step"], one[METRIC], one["train_loss"]) for one in read(ledger, "steps.csv")] == [
        ("3", "", "1.5"),
        ("6", "", "1.5"),
        ("3", "", ""),
    ]


def test_a_reason_of_any_form_is_one_cell(ledger, summary):
    trial, _ = new_trial(ledger, 0.001)
    reason = 'ValueError: "a", b;\nand more'
    ledger.end(trial, FAILED, reason)
    completed(ledger, 0.002, 0.5)
    summary.write()
    assert [one["reason"] for one in read(ledger, "trials.csv")] == [reason, ""]


def test_pandas_reads_numbers(ledger, summary):
    completed(ledger, 0.001, 0.7, 0.3)
    completed(ledger, 0.002, math.nan)
    stopped(ledger, 0.003, 0.2)
    summary.write()
    table = pd.read_csv(ledger.folder / "trials.csv")
    assert table[METRIC].dtype == "float64" and table["train.lr"].tolist() == [0.001, 0.002, 0.003]
    assert table[table.status == "completed"].sort_values(METRIC).number.tolist() == [1, 2]


def test_a_search_without_trials_has_tables_without_rows(ledger, summary):
    summary.write()
    texts = [(ledger.folder / name).read_text().replace(",", " ").strip() for name in ("trials.csv", "steps.csv")]
    assert texts == [f"{COLUMNS} {FIGURES} train.lr train.clip hash folder", f"{STEP_COLUMNS} {FIGURES}"]


def test_a_refresh_shortly_after_another_writes_nothing(ledger, summary):
    summary.refresh()
    completed(ledger, 0.001, 0.5)
    summary.refresh()
    assert read(ledger, "trials.csv") == []
    summary._written -= EVERY  # as if that time had passed
    summary.refresh()
    assert len(read(ledger, "trials.csv")) == 1


def test_whoever_reads_while_it_is_written_reads_a_whole_table(ledger, summary):
    for at in range(1, 6):
        trial, _ = new_trial(ledger, at / 1000)
        trial.curve = [row(step, at / 10) for step in range(1, 40)]
    summary.write()
    over, faults = threading.Event(), []

    def write():
        try:
            for _ in range(60):
                summary.write()
        except Exception as fault:
            faults.append(fault)
        finally:
            over.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not over.is_set():
        assert [one["number"] for one in read(ledger, "trials.csv")] == ["1", "2", "3", "4", "5"]
        steps = read(ledger, "steps.csv")
        assert len(steps) == 5 * 39 and all(None not in one.values() for one in steps)
        reads += 1
    writer.join()
    assert not faults and reads > 5


def test_a_table_that_cannot_be_made_leaves_the_one_there_was(tmp_path):
    path = tmp_path / "table.csv"
    write_table(path, ["a"], [{"a": 1}])
    with pytest.raises(ValueError, match="b"):
        write_table(path, ["a"], [{"a": 2}, {"b": 3}])
    assert path.read_text().split() == ["a", "1"]
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"]


def test_curves_of_trials_under_way_are_there(ledger, summary):
    trial, _ = new_trial(ledger, 0.001)
    for each in curve(0.1, 0.2):
        trial.add_row(each)
    summary.write()
    (only,) = read(ledger, "trials.csv")
    assert (only["status"], only["step"], only[METRIC]) == ("running", "6", "0.2")


def test_tables_that_take_long_are_written_less_often(ledger, summary):
    summary.write()
    summary._took = EVERY  # as if they were very long
    completed(ledger, 0.001, 0.5)
    summary._written -= 2 * EVERY
    summary.refresh()
    assert read(ledger, "trials.csv") == []
    summary._written -= EVERY / SHARE
    summary.refresh()
    assert len(read(ledger, "trials.csv")) == 1
