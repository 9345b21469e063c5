"""The full card from the command line: three files that say the same, and the table over runs."""

import csv
import json
import shutil
import subprocess
import sys

import pytest

import main as entry
from benchmarks import evidence
from ecggen.card import read_card
from ecggen.cardrows import Row
from ecggen.cardtext import shown, with_interval
from ecggen.runs import run_and_keep
from tests.conftest import REPO
from tests.tiny import tiny_run


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A results folder with two runs that differ in their seed, the first with a full card."""
    results = tmp_path_factory.mktemp("results")
    folders = [run_and_keep(tiny_run(train__seed=seed), "m1s1k1", results, quiet=True) for seed in (0, 1)]
    words = ["--results", str(results), "--runid", folders[0].name, "--mode", "eval", "--card", "full"]
    assert entry.main(words) == 0
    return folders, json.loads((folders[0] / "metrics_full.json").read_text())


def rows_of(folder):
    with (folder / "card.csv").open(newline="") as stream:
        return [Row(**row) for row in csv.DictReader(stream)]


def test_the_card_says_where_it_comes_from(judged):
    made = judged[1]["made"]
    assert "--card full" in made["command"] and made["commit"] and made["seed"] == 0
    assert made["settings"] == (judged[0][0] / "DONE").read_text().strip()
    assert set(made["seconds"]) == {"reconstruction", "readouts"}


def test_the_short_card_is_part_of_it_and_stays_as_it_was(judged):
    folder, full = judged[0][0], judged[1]
    short = read_card(folder)
    for visible, entry_ in short["reconstruction"].items():
        for rival, figures in entry_["rivals"].items():
            assert full["reconstruction"][visible]["rivals"][rival] == figures


def test_rivals_of_the_full_card(judged):
    sets = judged[1]["reconstruction"]
    assert "Dower round trip" in sets["all twelve"]["rivals"] and "Dower round trip" not in sets["I"]["rivals"]
    assert "best visible lead, scaled" in sets["I"]["rivals"]
    assert sets["I"]["best_visible_lead"]["V1"][0] == "I"
    for entry_ in sets.values():
        zero = entry_["rivals"]["zero"]
        assert zero["r"]["value"] == 0 and zero["sd_ratio"]["value"] == 0 and zero["r2"]["value"] <= 0
        assert entry_["model_less"]["zero"]["r"]["value"] == entry_["rivals"]["model"]["r"]["value"]
        low, high = entry_["residual_share_interval"]
        assert low <= entry_["residual_share"] <= high


def test_rows_page_and_json_say_the_same(judged):
    (folder, _), full = judged
    rows = {(row.part, row.visible, row.who, row.lead, row.metric): row for row in rows_of(folder)}
    figure = full["reconstruction"]["I,II,V2"]["rivals"]["model"]["r"]
    row = rows["reconstruction", "I,II,V2", "model", "all", "r"]
    assert [float(row.value), float(row.low), float(row.high)] == [figure["value"], *figure["interval"]]
    by_lead = rows["reconstruction", "I,II,V2", "model", "V4", "r2"]
    assert float(by_lead.value) == pytest.approx(full["reconstruction"]["I,II,V2"]["per_lead"]["V4"]["r2"])
    less = full["readouts"]["less"]["W, last chunk"]["mean beat"]["1 %"]
    assert (
        float(rows["probe difference 1 %", "all twelve", "W, last chunk - mean beat", "macro", "auroc"].value)
        == (less["value"])
    )
    page = (folder / "card.md").read_text()
    assert with_interval(figure) in page and with_interval(less) in page and full["made"]["command"] in page


def test_figures_in_words():
    assert shown(-0.0001) == "0.000" and shown(None) == shown(float("nan")) == "-"
    assert with_interval({"value": 0.5, "interval": [None, 1]}, 1) == "0.5 [-, 1.0]"


def test_the_card_belongs_to_eval_and_quick_is_the_usual_one(judged, capsys):
    (folder, _), _ = judged
    words = ["--results", str(folder.parent), "--runid", folder.name]
    assert entry.main([*words, "--card", "full"]) == 2
    assert "--card: expected --mode eval" in capsys.readouterr().err
    before = (folder / "metrics_full.json").stat().st_mtime_ns
    assert entry.main([*words, "--mode", "eval", "--card", "quick"]) == 0
    assert (folder / "metrics_full.json").stat().st_mtime_ns == before


def test_the_table_over_runs_makes_missing_cards_and_sums_up_seeds(judged):
    folders, full = judged
    words = [sys.executable, str(REPO / "benchmarks" / "evidence.py"), *map(str, folders)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=REPO)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[:1] == "|"]
    figures = {row[0]: row[1:] for row in rows}
    assert (folders[1] / "metrics_full.json").is_file()
    assert figures["figure"] == ["1, seed 0", "1, seed 1", "1, 2 seeds"]
    first, second, both = figures["I,II,V2 r"]
    assert first == with_interval(full["reconstruction"]["I,II,V2"]["rivals"]["model"]["r"])
    mean = (float(first.split()[0]) + float(second.split()[0])) / 2
    assert float(both.split(" +- ")[0]) == pytest.approx(mean, abs=0.0011)
    assert not any("-" in row[1:] for row in rows if row[0] != "---"), "every claim has its figure"
    for folder in folders:
        assert f"`{folder.name}`" in done.stdout and full["made"]["commit"] in done.stdout
    assert "--set train.steps=" in done.stdout and "train.seed" not in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("metrics_full.json", "{", "expected a full card, got none"),
        ("metrics_full.json", "{}", "expected a full card, got none"),
        ("run_info.json", "[]", "expected how a run was made, got none"),
        ("DONE", None, "expected the folder of a finished run, got one that is unfinished"),
    ],
)
def test_a_damaged_run_is_a_line_and_no_table(judged, tmp_path, monkeypatch, capsys, name, content, expected):
    folder = shutil.copytree(judged[0][0], tmp_path / "run")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    monkeypatch.setattr(sys, "argv", ["evidence.py", str(folder)])
    assert evidence.main() == 2
    said = capsys.readouterr()
    assert said.out == "" and expected in said.err and said.err.count("\n") == 1
