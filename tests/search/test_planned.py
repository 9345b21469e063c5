"""What is told before a search begins: its points, its entries, its cost."""

import pytest

from search.order import write_order
from search.planned import cost_lines, in_words, trial_lines
from search.summary import write_table
from tests.fake_search import TABLE, order_of, space_of
from tests.tiny import tiny_run

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
    assert time.startswith("time: unknown, no earlier search of this space")
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
    pace = "(3.000 s a step, the median of 3 trainings of earlier searches like it)"
    assert line == f"time: about 2 min for all of them, 2 at a time {pace}"
    shared = cost_lines(order_of(), tmp_path, None)[-1]
    assert shared == f"time: about 4 min of training for all of them, shared among the cluster {pace}"


@pytest.mark.parametrize(
    "changes",
    [
        {"entries": {"train.lr": {"choice": [0.001]}}},
        {"base": tiny_run(model__encoder__d_model=32)},
        {"base": tiny_run(train__batch_size=4)},
    ],
)
def test_other_spaces_and_settings_tell_nothing(tmp_path, changes):
    earlier(tmp_path, "one", ("completed", 12.0, 6), **changes)
    assert "unknown" in cost_lines(order_of(), tmp_path, 2)[-1]


def test_other_budgets_and_seeds_do(tmp_path):
    earlier(tmp_path, "one", ("completed", 12.0, 6), base=tiny_run(train__steps=30, train__seed=3))
    assert "2.000 s a step" in cost_lines(order_of(), tmp_path, 2)[-1]


def test_damaged_searches_tell_nothing(tmp_path):
    earlier(tmp_path, "one", ("completed", "much", "6"))
    (tmp_path / "searches" / "one" / "trials.csv").write_text("status\ncompleted\n")
    assert "unknown" in cost_lines(order_of(), tmp_path, 2)[-1]


@pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (150, "2 min"), (7200, "2.0 h")])
def test_times_are_in_words(seconds, said):
    assert in_words(seconds) == said
