"""Parts of the page with known answers."""

import json
import math

import numpy as np
import pytest

from ecggen.leads import LEADS
from search.ledger import Ledger
from search.order import write_order
from search.report.curves import curves_chart
from search.report.facts import gather
from search.report.heart import MOST_BEATS, heart_of, loop_data, turned_source
from search.report.influence import full_trials, influence_charts, study_of
from search.report.tables import board_rows
from search.report.theme import packed
from search.report.wording import duration, interval, listed, number, short_names
from search.trialfile import COMPLETED, STOPPED, Trial
from tests.fake_search import (
    METRIC,
    completed,
    fake_portrait,
    finish,
    new_trial,
    order_of,
    row,
    small_search,
    standing,
    stopped,
)

MOST_BYTES = 1_000_000  # of a thousand learning curves; plotly's script takes five times that


@pytest.fixture
def folder(tmp_path):
    """A search that has just begun."""
    place = tmp_path / "results" / "searches" / "now"
    write_order(place, order_of(name="now"))
    return place


class TestWording:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0.2, "0 s"), (59.6, "1 min 00 s"), (250, "4 min 10 s"), (3900, "1 h 05 min"), (187200, "2 d 4 h")],
    )
    def test_durations(self, seconds, text):
        assert duration(seconds) == text

    def test_figures_have_a_true_minus_and_none_is_a_dash(self):
        assert number(-0.00123, 3) == "−0.001" and number(0.5, 2, sign=True) == "+0.50"
        assert number(math.nan) == number(None) == interval(None, 1.0) == "–"
        assert listed([]) == "" and listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c"

    def test_names_are_as_short_as_they_stay_apart(self):
        names = ["model.fast_state.hidden", "model.vcg.hidden", "train.lr", "m", "train.loss.smoothness"]
        assert list(short_names(names).values()) == ["fast_state.hidden", "vcg.hidden", "lr", "m", "smoothness"]
        assert short_names(["hidden", "vcg.hidden"]) == {"hidden": "hidden", "vcg.hidden": "vcg.hidden"}


class TestInfluence:
    def test_only_trials_of_the_full_budget_count_each_once(self, tmp_path):
        folder = small_search(tmp_path / "results")
        facts = gather(folder)
        assert [trial.number for trial in full_trials(facts)] == [1, 2, 3]
        study = study_of(facts)
        assert [trial.value for trial in study.trials] == [0.9, 0.8, 0.7]
        assert [trial.params["train.lr"] for trial in study.trials] == [0.001, 0.002, 0.003]

    def test_lines_have_optunas_heights_and_values(self, folder):
        entries = {"train.lr": {"loguniform": [0.001, 0.1]}, "train.clip": {"choice": [1.0, 2.0]}}
        write_order(folder, order_of(entries, name="now"))
        ledger = Ledger(folder)
        for rate, clip, value in ((0.001, 1.0, 0.5), (0.01, 2.0, 0.75), (0.1, 2.0, 0.9)):
            trial, _ = new_trial(ledger, rate, **{"train.clip": clip})
            trial.add_row(row(6, value))
            trial.status = "completed"
            ledger.write(trial)
        parallel, importance = influence_charts(gather(folder))
        best = parallel.figure["data"][-1]
        assert best["y"] == [1, 1, 1, None]  # the best figure, the larger clip, the largest rate
        assert best["text"][0] == "val_hidden_r: 0.9<br>clip: 2.0<br>lr: 0.1"
        middle = [line for trace in parallel.figure["data"] for line in [trace["y"]] if 0.625 in line]
        assert middle and 0.5 in middle[0]  # 0.01 lies half way between 0.001 and 0.1
        texts = [note["text"] for note in parallel.figure["layout"]["annotations"]]
        assert {"val_hidden_r", "lr", "clip", "1.0", "2.0", "0.5000", "0.9000"} <= set(texts)
        assert sum(importance.figure["data"][0]["x"]) == pytest.approx(1.0)

    def test_a_setting_that_decides_outweighs_one_that_does_not(self, folder):
        entries = {"train.lr": {"uniform": [0.01, 1.0]}, "train.clip": {"uniform": [0.01, 1.0]}}
        write_order(folder, order_of(entries, name="now"))
        ledger, rng = Ledger(folder), np.random.default_rng(0)
        for _ in range(24):
            rate, clip = (float(value) for value in rng.uniform(0.01, 1, 2).round(2))
            trial, _ = new_trial(ledger, rate, **{"train.clip": clip})
            trial.add_row(row(6, rate))
            trial.status = "completed"
            ledger.write(trial)
        _, importance = influence_charts(gather(folder))
        bars = dict(zip(importance.figure["data"][0]["y"], importance.figure["data"][0]["x"], strict=True))
        assert bars["lr"] > 0.8 > bars["clip"]

    @pytest.mark.parametrize(("inner", "drawn"), [("1 2", True), ("2", False)])
    def test_a_setting_that_never_varied_has_no_weight_and_is_named(self, folder, inner, drawn):
        entries = {"m": [1, 2], "train.lr": {"uniform": [0.01, 1.0]}, "model.ttt.inner_steps": {"choice": [1, 2, 4]}}
        write_order(folder, order_of(entries, name="now"))
        ledger = Ledger(folder)
        for at in range(24):
            steps = [int(word) for word in inner.split()]
            trial, _ = new_trial(ledger, 0.1 + at / 50, m=1, **{"model.ttt.inner_steps": steps[at % len(steps)]})
            trial.add_row(row(6, at / 50))
            trial.status = "completed"
            ledger.write(trial)
        parallel, importance = influence_charts(gather(folder))
        assert "m" in parallel.label
        said = importance.label or importance.reason
        assert "m: only 1 reached the full budget." in said
        assert (importance.figure is not None) == drawn
        if drawn:
            assert sorted(importance.figure["data"][0]["y"]) == ["inner_steps", "lr"]
            assert sum(importance.figure["data"][0]["x"]) == pytest.approx(1.0)
        else:
            assert "fewer than two settings differ in these trials" in said
            assert "inner_steps: only 2 reached the full budget." in said


class TestCurves:
    def test_the_best_lies_on_top_and_states_are_apart(self, folder):
        ledger = Ledger(folder)
        completed(ledger, 0.001, 0.5, 0.8)
        completed(ledger, 0.002, 0.5, 0.9)
        stopped(ledger, 0.003, 0.4)
        chart = curves_chart(gather(folder))
        stop, whole, best = chart.figure["data"]
        assert stop["x"] == [3, None] and whole["y"] == [0.5, 0.8, None] and best["y"] == [0.5, 0.9, None]
        assert best["text"] == ["trial 2 m1s1k1", "trial 2 m1s1k1", ""]
        assert best["hovertemplate"].startswith("%{text}, step %{x:,}: %{y:.4f}")
        assert best["line"]["width"] > whole["line"]["width"]
        assert [shape["x0"] for shape in chart.figure["layout"]["shapes"]] == [3]
        assert "points are drawn" not in chart.label

    def test_a_thousand_long_curves_stay_small_and_the_best_stay_whole(self, folder):
        facts = gather(folder)
        for count in range(1, 1001):
            rows = [row(3 * at, count / 1000 + at / 1e5) for at in range(1, 61)]
            trial = Trial(count, f"trials/{count:04d}", "m1s1k1", "", 0, 180, status=STOPPED, step=180, curve=rows)
            facts.ledger.trials.append(trial)
        for trial in facts.ledger.trials[-20:]:
            trial.status, trial.metrics = COMPLETED, {METRIC: trial.number / 1000}
        chart = curves_chart(facts)
        stop, whole, best = chart.figure["data"]
        assert (len(stop["x"]), len(whole["x"]), len(best["x"])) == (980 * 41, 19 * 61, 61)
        assert stop["x"][0] == 3 and stop["x"][39:41] == [180, None]  # a thinned curve begins and ends where it did
        assert "Of trials that are not among the best 20, at most 40 points are drawn." in chart.label
        assert len(json.dumps(packed(chart.figure))) < MOST_BYTES


class TestHeart:
    def test_the_loop_stands_on_the_true_axes_where_they_are_known(self):
        portrait = fake_portrait()
        turned = turned_source(portrait)
        assert np.allclose(turned[portrait.chunk], portrait.source, atol=1e-5)
        data = loop_data(portrait, turned)
        assert np.allclose(data["true"][3], data["loops"][3], atol=1e-3)
        assert data["peak"] == 20 and data["seconds"] == [0.9] * 8 and data["begin"][:2] == [0.5, 1.5]

    def test_without_a_map_v_is_shown_as_it_is_and_alone(self):
        portrait = fake_portrait(source_map=None)
        assert np.array_equal(turned_source(portrait), portrait.v)
        assert loop_data(portrait, portrait.v)["true"] is None

    def test_of_a_long_record_the_loop_has_the_first_beats(self):
        portrait = fake_portrait(450, chunk=np.arange(450) // 3 + 3)
        data = loop_data(portrait, turned_source(portrait))
        assert (
            len(data["true"]) == len(data["chunk"]) == len(data["seconds"]) == len(data["begin"]) == MOST_BEATS == 200
        )
        assert data["chunk"][:4] == [0, 0, 0, 1] and len(data["loops"]) == 67

    def test_words_say_where_the_largest_vector_points(self, tmp_path):
        facts = gather(small_search(tmp_path / "results", portrait=fake_portrait()))
        heart = heart_of(facts)
        assert heart.calibrated and heart.shown == "I, II, V2" and heart.beats == 8
        assert heart.said.startswith("The largest vector of the mean loop is 1.44 mV: 1.20 mV to the left, 0.80 mV to")
        assert "frontal plane is 34°" in heart.said  # atan2(0.8, 1.2)
        assert all(lead in heart.sheet for lead in LEADS) and "hidden" in heart.sheet

    def test_one_state_makes_no_path(self, tmp_path):
        one = fake_portrait(chunk=np.zeros(8, int), v=fake_portrait().v[:1], w=np.ones((1, 24), np.float32))
        heart = heart_of(gather(small_search(tmp_path / "results", portrait=one)))
        assert heart.path.figure is None and "one state makes no path" in heart.path.reason


def test_a_text_of_many_points_is_said_once():
    data = [{"y": [1, 2, 3], "text": ["one", "one", ""]}, {"y": [1], "text": "all"}, {"y": [2]}]
    first, *rest = packed({"data": data, "layout": {}})["data"]
    assert first["text"] == {"words": ["one", ""], "of": [0, 0, 1]} and rest == data[1:]


def test_the_leaderboard_draws_its_intervals_on_one_scale(folder):
    ledger = Ledger(folder)
    best, second = completed(ledger, 0.001, 0.5, 0.9), completed(ledger, 0.002, 0.5, 0.8)
    none = standing(2, second, 0.8, math.nan, math.nan, "", "unproved", proved=False, n=1, seeds=[0])
    finish(folder, [standing(1, best, 0.9, -0.01, 0.03, "m1s1k1", "tie"), none])
    first, last = board_rows(gather(folder))
    assert first.ends == (0.0, 30.0, 120.0) and first.difference == "−0.0100 to +0.0300"
    assert last.ends is None and last.difference == "–" and last.verdict == "unproved"
