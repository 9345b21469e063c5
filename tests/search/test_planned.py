"""What is told before a search begins: its points, its entries, its cost."""

import pytest

from search.order import write_order
from search.planned import cost_lines, in_words, trial_lines
from search.summary import write_table
from tests.fake_search import TABLE, order_of, space_of

PAIR = {"m": [1, 2]}


def test_a_grid_is_told_point_by_point_with_run_ids():
    lines = trial_lines(order_of(PAIR, algorithm="grid", trials=2), space_of(PAIR), TABLE)
    assert [line.split(",")[-1].strip() for line in lines] == ["m=1", "m=2"]
    assert all(line.startswith(f"trial {number}: ") for number, line in enumerate(lines, 1))


def test_only_as_many_points_as_are_asked_for():
    assert len(trial_lines(order_of(PAIR, algorithm="grid", trials=1), space_of(PAIR), TABLE)) == 1


def test_what_cannot_be_known_is_told_entry_by_entry():
    entries = {
        "m": [1, 2],
        "train.lr": {"loguniform": [0.0001, 0.01]},
        "model.vcg.basis_k": {"int": [8, 24], "step": 8, "when": {"m": 1}},
    }
    assert trial_lines(order_of(entries), space_of(entries), TABLE) == [
        "m: one of 1, 2",
        "train.lr: 0.0001 to 0.01, log scale",
        "model.vcg.basis_k: 8 to 24 by 8, where m is 1",
    ]


def test_cost_counts_trials_and_repeats(tmp_path):
    first, early, time = cost_lines(order_of(), tmp_path, 2)  # 10 trials of 6 steps, 2 finalists with 2 seeds
    assert "at most 14 trainings of 6 steps, 84 steps in all" in first
    assert early == "ASHA ends trials from step 3 on, so it is less"
    assert time.startswith("time: unknown, no earlier search on simulator")
    assert len(cost_lines(order_of(asha=False), tmp_path, 2)) == 2


def earlier(results, name, *rows, **changes):
    folder = results / "searches" / name
    folder.mkdir(parents=True)
    write_order(folder, order_of(name=name, **changes))
    columns = ("status", "seconds", "step")
    write_table(folder / "trials.csv", columns, [dict(zip(columns, row, strict=True)) for row in rows])


def test_time_is_judged_by_whole_trainings_of_earlier_searches(tmp_path):
    earlier(tmp_path, "one", ("completed", 12.0, 6), ("stopped", 99.0, 1), ("failed", 5.0, 0))
    earlier(tmp_path, "two", ("completed", 24.0, 6), ("completed", 18.0, 6))
    line = cost_lines(order_of(), tmp_path, 2)[-1]  # 84 steps of 3 s, two at a time
    assert line == "time: at most about 2 min with 2 at a time (3.000 s a step, the median of 3 earlier trainings)"
    assert "252 s" not in line and "4 min of training, shared" in cost_lines(order_of(), tmp_path, None)[-1]


def test_damaged_searches_tell_nothing(tmp_path):
    earlier(tmp_path, "one", ("completed", "much", "6"))
    (tmp_path / "searches" / "one" / "trials.csv").write_text("status\ncompleted\n")
    assert "unknown" in cost_lines(order_of(), tmp_path, 2)[-1]


@pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (150, "2 min"), (7200, "2.0 h")])
def test_times_are_in_words(seconds, said):
    assert in_words(seconds) == said
