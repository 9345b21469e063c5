"""Leaderboards on disk: what is written is read again, the newest row of a run counts, unlike data stay apart."""

import csv
import math
from pathlib import Path

import pytest

from ecggen.eval import VALIDATION
from ecggen.leaderboard import (
    COLUMNS,
    FIGURES,
    LEADERBOARD_FILE,
    Standing,
    best_folder,
    merge_leaderboard,
    read_leaderboard,
    write_leaderboard,
)
from tests.user_fault import fault_of

DAY = "2026-01-0{}T00:00:00"


def standing(runid="m1s1k1", mean=0.5, **changes):
    figures = dict.fromkeys(FIGURES, mean)
    common = {"hash": "ab" * 32, "step": 6, "metric": "val_hidden_r", "sd": 0.01, "n": 3, "low": -0.1, "high": 0.2}
    common |= {"against": "m9s9k9", "verdict": "tie", "seeds": [7, 8, 9], "folder": f"{runid}_step6", "proved": True}
    return Standing(rank=1, runid=runid, mean=mean, metrics=figures, **{**common, **changes})


def rows(results):
    return [(row["runid"], row["rank"]) for row in read_leaderboard(results / LEADERBOARD_FILE)]


def test_the_figures_are_those_that_a_validation_has():
    assert tuple(VALIDATION) == FIGURES


def test_what_is_written_is_read_again(tmp_path):
    alone = standing("m2s1k1", n=1, sd=math.nan, low=math.nan, high=math.nan, against="", proved=False, seeds=[3])
    path = tmp_path / "leaderboard.csv"
    write_leaderboard(path, [standing(mean=1 / 3), alone], {"search": "night, second"})
    first, second = read_leaderboard(path)
    assert tuple(first) == (*COLUMNS, "search") and first["search"] == "night, second"
    assert (first["mean"], first["val_r2"], first["seeds"], first["proved"]) == (1 / 3, 1 / 3, [7, 8, 9], True)
    assert (first["rank"], first["step"], first["n"], first["folder"]) == (1, 6, 3, "m1s1k1_step6")
    assert math.isnan(second["sd"]) and math.isnan(second["low"]) and second["proved"] is False
    with path.open(newline="") as stream:
        plain = list(csv.DictReader(stream))
    assert (plain[1]["sd"], plain[1]["proved"], plain[0]["seeds"]) == ("", "no", "7 8 9")


def test_a_newer_search_replaces_the_row_of_the_same_run_and_an_older_one_does_not(tmp_path):
    merge_leaderboard(tmp_path, "b", "ptbxl", DAY.format(2), [standing(mean=0.5)])
    merge_leaderboard(tmp_path, "c", "ptbxl", DAY.format(3), [standing(mean=0.6), standing(mean=0.2, step=9)])
    merge_leaderboard(tmp_path, "a", "ptbxl", DAY.format(1), [standing(mean=0.7), standing(mean=0.4, hash="cd" * 32)])
    found = read_leaderboard(tmp_path / LEADERBOARD_FILE)
    assert [(row["search"], row["mean"], row["rank"]) for row in found] == [("c", 0.6, 1), ("a", 0.4, 2), ("c", 0.2, 3)]


def test_an_unproved_row_neither_replaces_nor_outranks_a_proved_one(tmp_path):
    weak = {"n": 1, "proved": False, "verdict": "unproved"}
    merge_leaderboard(tmp_path, "a", "ptbxl", DAY.format(1), [standing("m1s1k1", 0.5), standing("m2s1k1", 0.4)])
    late = [standing("m1s1k1", 0.9, **weak), standing("m3s1k1", 0.8, **weak), standing("m4s1k1", math.nan)]
    merge_leaderboard(tmp_path, "b", "ptbxl", DAY.format(2), late)
    assert rows(tmp_path) == [("m1s1k1", 1), ("m2s1k1", 2), ("m3s1k1", 3), ("m4s1k1", 4)]
    assert read_leaderboard(tmp_path / LEADERBOARD_FILE)[0]["search"] == "a"
    merge_leaderboard(tmp_path, "c", "ptbxl", DAY.format(1), [standing("m3s1k1", 0.3)])  # older, and proved
    assert rows(tmp_path) == [("m1s1k1", 1), ("m2s1k1", 2), ("m3s1k1", 3), ("m4s1k1", 4)]
    assert read_leaderboard(tmp_path / LEADERBOARD_FILE)[2]["search"] == "c"


def test_one_run_on_other_data_or_by_another_metric_is_another_row(tmp_path):
    merge_leaderboard(tmp_path, "a", "ptbxl", DAY.format(1), [standing(mean=0.5)])
    merge_leaderboard(tmp_path, "b", "ptbxl", DAY.format(2), [standing(mean=0.6, metric="val_r")])
    merge_leaderboard(tmp_path, "c", "mimic", DAY.format(3), [standing(mean=0.7)])
    assert [row["search"] for row in read_leaderboard(tmp_path / LEADERBOARD_FILE)] == ["c", "b", "a"]


def test_a_search_that_is_concluded_again_replaces_its_own_rows_and_no_others(tmp_path):
    merge_leaderboard(tmp_path, "a", "ptbxl", DAY.format(1), [standing("m1s1k1", 0.5)])
    before = [standing("m2s1k1", 0.9), standing("m3s1k1", 0.8), standing("m1s1k1", 0.7, proved=False)]
    merge_leaderboard(tmp_path, "b", "ptbxl", DAY.format(2), before)
    merge_leaderboard(tmp_path, "b", "ptbxl", DAY.format(2), [standing("m3s1k1", 0.6)])
    assert rows(tmp_path) == [("m3s1k1", 1), ("m1s1k1", 2)]


def test_zones_of_time_are_told_apart(tmp_path):
    merge_leaderboard(tmp_path, "later", "ptbxl", "2026-01-01T10:00:00+0000", [standing(mean=0.5)])
    merge_leaderboard(tmp_path, "earlier", "ptbxl", "2026-01-01T11:00:00+0200", [standing(mean=0.6)])
    assert [row["search"] for row in read_leaderboard(tmp_path / LEADERBOARD_FILE)] == ["later"]


def test_simulated_figures_do_not_stand_above_newer_real_ones_however_large_they_are(tmp_path):
    simulated = [standing("m1s1k1", 0.98), standing("m2s1k1", 0.99), standing("m3s1k1", math.nan)]
    merge_leaderboard(tmp_path, "a", "simulator", DAY.format(1), simulated)
    merge_leaderboard(tmp_path, "b", "ptbxl", DAY.format(2), [standing("m4s1k1", 0.7), standing("m5s1k1", 0.8)])
    merge_leaderboard(tmp_path, "c", "ptbxl", DAY.format(3), [standing("m6s1k1", 0.9, metric="val_r")])
    expected = [("m6s1k1", 1), ("m5s1k1", 1), ("m4s1k1", 2), ("m2s1k1", 1), ("m1s1k1", 2), ("m3s1k1", 3)]
    assert rows(tmp_path) == expected
    assert best_folder(tmp_path) == "m6s1k1_step6"


def test_rows_without_a_result_folder_stay(tmp_path):
    merge_leaderboard(tmp_path, "a", "ptbxl", DAY.format(1), [standing("m1s1k1", folder="")])
    merge_leaderboard(tmp_path, "b", "ptbxl", DAY.format(2), [standing("m2s1k1", 0.1)])
    assert rows(tmp_path) == [("m1s1k1", 1), ("m2s1k1", 2)]
    assert "promote" in fault_of(best_folder, tmp_path)


def merge_many(results, first):
    for at in range(first, first + 8):
        merge_leaderboard(Path(results), f"search {at}", "ptbxl", DAY.format(1), [standing(f"m{at}s1k1")])


def test_searches_that_end_together_lose_no_row(stock, tmp_path):
    others = [stock.start("tests.test_leaderboard:merge_many", str(tmp_path), first, cwd=tmp_path) for first in (1, 11)]
    assert [other.wait() for other in others] == [0, 0]
    assert len(rows(tmp_path)) == 16


def test_a_faulty_time_is_refused_before_anything_is_written(tmp_path):
    assert "ISO time" in fault_of(merge_leaderboard, tmp_path, "a", "ptbxl", "yesterday", [standing()])
    assert not (tmp_path / LEADERBOARD_FILE).exists()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace("verdict", "verdikt"), "without verdict"),
        (lambda text: text.replace(",6,", ",six,"), "line 2: expected step"),
        (lambda text: text.replace(",yes,", ",perhaps,"), "expected proved"),
        (lambda text: text + "2,m1s1k1\n", "line 3"),
        (lambda text: text.replace("when,", "when").replace("T00:00:00", "T00:00:00,7"), "one cell a column"),
        (lambda text: "", "without rank"),
    ],
)
def test_a_damaged_leaderboard_is_one_line_and_is_left_as_it_is(tmp_path, damage, says):
    path = tmp_path / LEADERBOARD_FILE
    merge_leaderboard(tmp_path, "a", "ptbxl", DAY.format(1), [standing()])
    path.write_text(damage(path.read_text()))
    before = path.read_text()
    assert says in fault_of(read_leaderboard, path)
    assert says in fault_of(merge_leaderboard, tmp_path, "a", "ptbxl", DAY.format(1), [standing()])
    assert path.read_text() == before


def test_a_leaderboard_of_one_search_is_not_that_of_all(tmp_path):
    write_leaderboard(tmp_path / LEADERBOARD_FILE, [standing()])
    assert "without search" in fault_of(merge_leaderboard, tmp_path, "a", "ptbxl", DAY.format(1), [standing()])


def test_without_a_leaderboard_the_remedy_is_a_search(tmp_path):
    assert "run a search" in fault_of(best_folder, tmp_path)
    assert "run a search" in fault_of(read_leaderboard, tmp_path / LEADERBOARD_FILE)
