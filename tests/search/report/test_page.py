"""What the page says, without opening it: any state of a search makes a whole page, strangers' text stays text."""

import html
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecggen.atomic import write_json
from ecggen.errors import UserError
from search.ledger import Ledger
from search.order import read_order, write_order
from search.report import REPORT_FILE
from search.report.__main__ import main
from search.report.facts import find_search, gather
from search.report.page import write_report
from search.trialfile import FAILED
from tests.fake_search import (
    FOUR,
    REPO,
    completed,
    failed,
    fake_card,
    fake_portrait,
    finish,
    keep_best,
    new_trial,
    order_of,
    row,
    small_search,
    standing,
    stopped,
)

MOST_BYTES = 8_000_000
MOST_SECONDS = 10.0  # from the start of the process to its end, on one core


@pytest.fixture
def folder(tmp_path):
    """A search that has just begun, without a trial."""
    place = tmp_path / "results" / "searches" / "now"
    write_order(place, order_of(name="now"))
    return place


def words_of(page):
    """The page's text as a reader has it, in one line."""
    body = page.read_text(encoding="utf-8").split("<body>")[1]
    body = re.sub(r"<(script|svg)\b.*?</\1>", " ", body, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def figures_of(page):
    """The figures that the page's script draws."""
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page.read_text("utf-8"), re.S)
    return json.loads(found[1])


class TestWhole:
    def test_the_verdict_comes_first_with_its_figures(self, tmp_path):
        folder = small_search(tmp_path / "results", portrait=fake_portrait())
        names = [trial.hash[:6] for trial in Ledger(folder).trials]
        page = write_report(folder)
        text = words_of(page)
        assert page == folder / REPORT_FILE
        won = f"m1s1k1 ({names[0]}) wins: better than m1s1k1 ({names[1]}) by more than chance"
        assert text.index(won) < text.index("Verdict", 40) < text.index("The best run seen", 200)
        assert "val_hidden_r 0.9100 ± 0.0020, mean over 3 fresh seeds" in text
        assert "+0.0100 to +0.0300 (95 % interval)" in text
        assert set(figures_of(page)) == {"path", "rivals", "curves", "parallel"}

    def test_failures_and_stops_are_there_with_their_reasons(self, tmp_path):
        text = words_of(write_report(small_search(tmp_path / "results")))
        assert "1 failed loss is not finite 5 (m1s1k1)" in text
        assert "1 stopped ASHA, at step 3 4 (m1s1k1)" in text

    def test_the_card_stands_beside_its_baselines(self, tmp_path):
        page = write_report(small_search(tmp_path / "results"))
        text = words_of(page)
        assert "linear regression 0.800 0.790 to 0.810" in text
        assert "r minus that of linear regression, record by record: +0.050 to +0.150 (95 %)" in text
        assert "Not judged: no record has these leads" in text
        model = figures_of(page)["rivals"]["data"][0]
        assert model["x"] == [0.9, 0.9] and model["error_x"]["array"] == pytest.approx([0.01, 0.01])

    def test_cost_is_counted(self, tmp_path):
        text = words_of(write_report(small_search(tmp_path / "results")))
        assert "5 trials (3 completed, 1 stopped and 1 failed)" in text
        assert "Steps of the trials 21 of 30 in full" in text  # three times 6, one 3, one 0
        assert "Saved by early stopping 3 steps, 10 % of all" in text
        assert re.search(r"Side by side \d\.\d trainings on average, pauses included", text)

    def test_what_was_checked_and_turned_says_what_it_is(self, tmp_path):
        text = words_of(write_report(small_search(tmp_path / "results")))
        assert "Checked 3 left out (most: flat line), 1 repaired" in text
        assert re.search(r"train\.lr 0\.001 \(base run: [\d.]+\)", text) and "before:" not in text

    def test_it_is_one_file_that_asks_for_nothing(self, large_page):
        text = large_page.read_text(encoding="utf-8")
        head = text.split("<script>")[0]
        assert "default-src 'none'" in head
        links = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="([^"]*)"', text)
        assert [link for link in links if link != "data:,"] == []
        assert text.count("plotly.js v") == 1
        assert len(text.encode()) <= MOST_BYTES

    def test_equal_searches_make_equal_pages(self, tmp_path):
        folder = small_search(tmp_path / "results", portrait=fake_portrait())
        texts = [re.sub(r"Page made [\d :-]+", "", write_report(folder).read_text("utf-8")) for _ in range(2)]
        assert texts[0] == texts[1]


class TestGaps:
    def test_a_search_that_has_just_begun(self, folder):
        text = words_of(write_report(folder))
        assert "No trial has reached its budget yet; 0 of 10 are over" in text
        assert "Unfinished." in text and "--resume now" in text
        assert "No leaderboard: there is no leaderboard yet: it is made when the search ends." in text
        assert "No trial has begun." in text

    def test_a_search_under_way_says_who_is_best_so_far(self, folder):
        ledger = Ledger(folder)
        completed(ledger, 0.001, 0.4, 0.7)
        trial, _ = new_trial(ledger, 0.002)
        trial.add_row(row(3, 0.5))
        ledger.write(trial)
        text = words_of(write_report(folder))
        assert "m1s1k1 is best so far, one training of it; nothing is proved yet" in text
        assert "1 training was under way" in text
        assert "No chart: there is 1 trial of the full budget, and comparing takes two." in text

    def test_all_trials_failed(self, folder):
        ledger = Ledger(folder)
        for rate in (0.001, 0.002):
            failed(ledger, rate)
        finish(folder)
        text = words_of(write_report(folder))
        assert "Nothing to rank: expected a trial that reached its budget, got none of 2" in text
        assert "2 failed loss is not finite 1 (m1s1k1), 2 (m1s1k1)" in text
        assert "No trial has reported a figure of val_hidden_r yet." in text

    def test_one_trial_alone(self, folder):
        trial = completed(Ledger(folder), 0.001, 0.4, 0.7)
        finish(folder, [standing(1, trial, 0.7, float("nan"), float("nan"), "", "alone")])
        assert "m1s1k1 stands alone: there is no other to compare it with" in words_of(write_report(folder))

    def test_a_space_of_one_setting_has_no_importance(self, tmp_path):
        page = write_report(small_search(tmp_path / "results", entries={"train.lr": {"loguniform": [0.001, 0.01]}}))
        assert "No chart: the space turns one setting" in words_of(page)
        assert "parallel" in figures_of(page)

    def test_equal_figures_have_no_importance(self, folder):
        ledger = Ledger(folder)
        for rate, clip in ((0.001, 1.0), (0.002, 2.0)):
            completed_with(ledger, rate, clip)
        assert "No chart: all trials reached the same figure." in words_of(write_report(folder))

    def test_a_run_without_a_portrait_says_how_to_draw_it(self, tmp_path):
        text = words_of(write_report(small_search(tmp_path / "results")))
        assert "the best run's portrait record.npz has none yet" not in text
        assert "the best run has no portrait record.npz yet; an older version made it" in text
        assert "python main.py --runid m1s1k1_step6 --mode plot" in text

    def test_a_run_that_was_moved_away(self, tmp_path):
        folder = small_search(tmp_path / "results", portrait=fake_portrait())
        (tmp_path / "results" / "m1s1k1_step6").rename(tmp_path / "elsewhere")
        text = words_of(write_report(folder))
        assert text.count("folder m1s1k1_step6 is not beside this search any more") == 2
        assert "--rebuild now" in text

    @pytest.mark.parametrize("name", ["record.npz", "metrics.json"])
    def test_a_damaged_file_of_the_best_run(self, tmp_path, name, monkeypatch):
        monkeypatch.chdir(tmp_path)
        folder = small_search(Path("results"), portrait=fake_portrait())
        (tmp_path / "results" / "m1s1k1_step6" / name).write_bytes(b"PK nothing of ours")
        text = words_of(write_report(folder))
        assert "cannot be read" in text and str(tmp_path) not in text
        assert ("The path of W over beats" in text) == (name == "metrics.json")

    def test_a_card_without_what_belongs_to_it(self, tmp_path):
        results = tmp_path / "results"
        folder = small_search(results)
        card = {**fake_card(), "reconstruction": {"all twelve": {"records": 5}}}
        write_json(results / "m1s1k1_step6" / "metrics.json", card)
        assert "the best run's card cannot be read (KeyError" in words_of(write_report(folder))

    def test_a_damaged_leaderboard(self, tmp_path):
        folder = small_search(tmp_path / "results")
        (folder / "leaderboard.csv").write_text("rank,runid\n1,m1s1k1\n")
        text = words_of(write_report(folder))
        assert "No leaderboard: the leaderboard cannot be read" in text
        assert "m1s1k1 is best so far" in text

    def test_a_search_from_another_machine(self, tmp_path):
        folder = small_search(tmp_path / "results", config="/nowhere/v1.yaml")
        assert set(figures_of(write_report(folder))) >= {"curves", "parallel"}  # by the package's own codes

    def test_a_space_that_nobody_can_read_any_more(self, tmp_path):
        folder = small_search(tmp_path / "results", entries={"train.gone": {"choice": [1, 2]}})
        text = words_of(write_report(folder))
        assert "No chart: the search's space cannot be read any more" in text


def completed_with(ledger, rate, clip):
    """A whole trial that turns two settings; all of them come out equal."""
    trial, _ = new_trial(ledger, rate, **{"train.clip": clip})
    trial.add_row(row(6, 0.7))
    trial.status = "completed"
    ledger.write(trial)


class TestStrangers:
    EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028{{ 7*7 }}"

    def test_names_and_reasons_stay_text(self, tmp_path):
        folder = small_search(tmp_path / "results", portrait=fake_portrait(id=self.EVIL))
        ledger = Ledger(folder)
        trial = stopped(ledger, 0.006, 0.3)
        trial.runid = self.EVIL
        ledger.end(trial, FAILED, self.EVIL)
        order = read_order(folder)
        content = {"about": self.EVIL, "space": {**FOUR, self.EVIL: {"choice": [1]}}}
        write_order(folder, order_of(name=self.EVIL, content=content, base=order.base))
        text = write_report(folder).read_text(encoding="utf-8")
        assert "alert(1)" in text and "<script>alert" not in text and "<img" not in text
        assert text.count("</script>") == text.count("<script")
        assert "{{ 7*7 }}" in text
        drawn = json.dumps(figures_of(folder / REPORT_FILE))
        assert "<script" not in drawn and "<img" not in drawn  # plotly reads some tags

    def test_a_folder_tells_no_path_of_the_machine(self, tmp_path):
        place = tmp_path / "mine"
        folder = small_search(tmp_path / "results", space_file=str(place / "mine.yaml"), config=str(place / "v1.yaml"))
        assert str(tmp_path) not in write_report(folder).read_text(encoding="utf-8")


class TestCommand:
    def test_it_takes_a_folder_and_prints_the_page(self, folder, capsys):
        assert main([str(folder)]) == 0
        assert capsys.readouterr().out == f"{folder / REPORT_FILE}\n"

    def test_it_takes_a_name(self, folder, capsys, monkeypatch):
        monkeypatch.chdir(folder.parents[2])
        assert main(["now"]) == 0
        assert main(["now", "--out", "page.html"]) == 0
        assert 'href="trials.csv"' not in (folder.parents[2] / "page.html").read_text("utf-8")

    def test_a_wrong_name_is_one_line_with_the_names_there_are(self, folder, capsys, monkeypatch):
        monkeypatch.chdir(folder.parents[2])
        assert main(["nwo"]) == 2
        said = capsys.readouterr().err
        assert said == "error: nwo: expected a search's folder or name, got neither; there are: now\n"

    def test_a_folder_that_holds_no_search_is_refused_by_name(self, tmp_path):
        with pytest.raises(UserError, match="expected a search's folder or name, got neither; there are none in"):
            find_search(str(tmp_path), tmp_path)

    def test_a_page_that_cannot_be_written_leaves_nothing(self, folder, capsys):
        assert main([str(folder), "--out", str(folder / "none" / "page.html")]) == 2
        assert "page.html: expected to write it, got: No such file" in capsys.readouterr().err
        assert not (folder / "none").exists()

    @pytest.mark.parametrize("content", ["{not yaml", "name: now\n", "- 1\n"])
    def test_a_damaged_order_is_one_line(self, folder, capsys, content):
        (folder / "search.yaml").write_text(content)
        assert main([str(folder)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1


def test_two_hundred_trials_take_less_than_ten_seconds(large_folder, tmp_path):
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "search.report", str(large_folder), "--out", str(page)]
    started = time.monotonic()
    subprocess.run(command, cwd=REPO, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert time.monotonic() - started < MOST_SECONDS
    assert page.stat().st_size <= MOST_BYTES


def test_neither_torch_nor_ray_is_loaded():
    code = "import sys, search.report.__main__; print({'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_best_of_several_with_one_id_is_found_by_its_hash(tmp_path):
    results = tmp_path / "results"
    folder = small_search(results)
    facts = gather(folder)
    assert facts.best == results.resolve() / "m1s1k1_step6"
    (facts.best / "DONE").write_text("another run\n")
    assert gather(folder).best is None
    keep_best(tmp_path / "other", facts.ledger.trials[0])
