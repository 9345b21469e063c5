"""A search writes its page at its end, and is not lost where that fails."""

import io

import pytest
from rich.console import Console

from search import driver
from search.finals import Outcome
from search.order import DONE, How
from search.report import REPORT_FILE
from tests.fake_search import small_search

pytestmark = pytest.mark.usefixtures("quick_studies")


@pytest.fixture
def search(tmp_path, monkeypatch):
    """A search that is over, with nothing left to rank or keep."""
    folder = small_search(tmp_path / "results")
    monkeypatch.setattr(driver, "conclude", lambda *given: Outcome(()))
    return driver.Search(folder, tmp_path / "results", How(), Console(file=io.StringIO(), width=400))


def test_the_end_of_a_search_writes_its_page(search):
    search.close(1)
    assert "Unfinished" not in (search.folder / REPORT_FILE).read_text(encoding="utf-8")


def test_a_page_that_fails_costs_a_line_and_nothing_else(search, monkeypatch):
    def broken(folder):
        raise ValueError("no ink\nleft")

    monkeypatch.setattr("search.report.page.write_report", broken)
    assert search.close(1) == Outcome(())
    assert (search.folder / DONE).is_file() and not (search.folder / REPORT_FILE).exists()
    said = search.console.file.getvalue().splitlines()
    assert said[-1].startswith("no page of the search (ValueError: no ink left); python -m search.report ")


def test_a_page_of_an_unfinished_search_that_is_rebuilt_says_so(search):
    (search.folder / DONE).unlink()
    search.rebuild()
    assert "<b>Unfinished.</b>" in (search.folder / REPORT_FILE).read_text(encoding="utf-8")
