"""results/analysis.ipynb runs as a reader would run it, on the folder of a finished search, and picks its winner."""

import shutil

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ecggen.atomic import write_json, write_text
from ecggen.leaderboard import LEADERBOARD_FILE, Standing, merge_leaderboard, write_leaderboard
from search.ledger import Ledger
from search.summary import Summary
from tests.conftest import REPO
from tests.fake_search import METRIC, completed, failed, stopped

FILE = REPO / "results" / "analysis.ipynb"


def execute(results):
    """The notebook's output as text, and how many figures it drew."""
    notebook = nbformat.read(shutil.copy(FILE, results), as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(results)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.get("text") or output["data"].get("text/plain", "") for output in outputs]
    return "\n".join(shown), sum("image/png" in output.get("data", {}) for output in outputs)


def standing(trial, rank, mean, **changes):
    given = {"rank": rank, "runid": trial.runid, "step": trial.steps, "metrics": {METRIC: mean}, "metric": METRIC}
    given |= {"mean": mean, "sd": 0.01, "n": 3, "low": -0.02, "high": 0.03, "against": "m1s1k1", "verdict": "tie"}
    return Standing(**{**given, "proved": True, "hash": trial.hash, "seeds": [1, 2, 3], "folder": "", **changes})


@pytest.fixture
def results(tmp_path):
    """A results folder with one finished search: two trials came to their end, one was stopped, one failed."""
    ledger = Ledger(tmp_path / "searches" / "mine")
    best, other = completed(ledger, 0.001, 0.25, 0.75), completed(ledger, 0.002, 0.25, 0.5)
    stopped(ledger, 0.003, 0.125), failed(ledger, 0.004)
    Summary(ledger, ["train.lr"]).write()
    standings = [standing(best, 1, 0.7125, folder="m1s1k1_step6"), standing(other, 2, 0.5125)]
    write_leaderboard(ledger.folder / LEADERBOARD_FILE, standings)
    merge_leaderboard(tmp_path, "mine", "simulator 60", "2026-01-01T00:00:00+0000", standings)
    write_text(ledger.folder / "DONE", "")
    return tmp_path


def test_it_groups_plots_and_picks_the_winner(results):
    rivals = {name: {"r": {"value": value}} for name, value in (("model", 0.8125), ("linear regression", 0.7625))}
    (results / "m1s1k1_step6").mkdir()
    write_json(results / "m1s1k1_step6" / "metrics.json", {"reconstruction": {"I,II,V2": {"rivals": rivals}}})
    said, figures = execute(results)
    assert figures == 2
    assert "mine: 4 trainings, ranked by val_hidden_r" in said
    assert f"winner: m1s1k1, {METRIC} 0.7125 (sd 0.0100, n 3), verdict: tie" in said
    assert "python main.py --runid m1s1k1_step6" in said
    assert "0.625" in said  # the mean of its code, over the two that came to their end
    assert "0.812" in said and "0.762" in said


def test_a_winner_without_its_folder_is_said(results):
    said, _ = execute(results)
    assert "run_search.py --rebuild mine" in said


def test_without_a_search_it_says_what_to_run(tmp_path):
    with pytest.raises(CellExecutionError, match="expected a finished search, got none; run: python run_search.py"):
        execute(tmp_path)
