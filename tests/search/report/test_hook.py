"""A search writes its page at its end, and is not lost where that fails."""

import io

import pytest
from rich.console import Console

from ecggen.errors import Interrupted
from search import driver
from search.finals import Outcome
from search.keepers import Keepers
from search.order import DONE, How
from search.report import REPORT_FILE
from search.report.page import write_report
from search.share import Resources
from tests.fake_search import small_search

pytestmark = pytest.mark.usefixtures("quick_studies")


@pytest.fixture
def search(tmp_path, monkeypatch):
    """A search that is over, with nothing left to rank or keep."""
    folder = small_search(tmp_path / "results")
    monkeypatch.setattr(driver, "conclude", lambda *given: Outcome(()))
    return driver.Search(folder, tmp_path / "results", How(), Console(file=io.StringIO(), width=400))


def test_the_end_of_a_search_writes_its_page(search):
    search.close(Keepers(1, 1))
    assert "Unfinished" not in (search.folder / REPORT_FILE).read_text(encoding="utf-8")


def test_a_page_that_fails_costs_a_line_and_nothing_else(search, monkeypatch):
    def broken(folder, finished):
        raise ValueError("no ink\nleft")

    monkeypatch.setattr("search.report.page.write_report", broken)
    assert search.close(Keepers(1, 1)) == Outcome(())
    assert (search.folder / DONE).is_file() and not (search.folder / REPORT_FILE).exists()
    said = search.console.file.getvalue().splitlines()
    assert said[-1].startswith("no page of the search (ValueError: no ink left); python -m search.report ")


def test_a_page_that_fails_takes_that_of_an_older_state_with_it(search, monkeypatch):
    def broken(folder, finished):
        raise ValueError("no ink left")

    search.close(Keepers(1, 1))
    monkeypatch.setattr("search.report.page.write_report", broken)
    search.close(Keepers(1, 1))
    assert not (search.folder / REPORT_FILE).exists()


@pytest.fixture
def begun(search, monkeypatch):
    """Starts the search again and stops before its first trial."""

    def stop(*given):
        raise Interrupted("stopped")

    monkeypatch.setattr(search, "_train", stop)
    monkeypatch.setattr(driver, "offer", lambda *given: None)

    def begin():
        with pytest.raises(Interrupted):
            search.run(Resources(cpus=2.0, gpus=0.0, nodes=1, local=True))

    return begin


def test_a_finished_search_that_goes_on_has_no_page_of_its_end(search, begun):
    search.close(Keepers(1, 1))
    begun()
    assert not (search.folder / DONE).exists() and not (search.folder / REPORT_FILE).exists()


def test_a_page_that_says_it_is_unfinished_stays_when_the_search_goes_on(search, begun):
    (search.folder / DONE).unlink()
    search.rebuild()
    begun()
    assert (search.folder / REPORT_FILE).is_file()


@pytest.mark.parametrize("finished", [True, False])
def test_rebuilding_writes_the_page_once_and_leaves_the_search_as_it_was(search, monkeypatch, finished):
    pages, mark = [], (search.folder / DONE).read_bytes()
    monkeypatch.setattr(
        "search.report.page.write_report",
        lambda folder, finished: pages.append((folder / DONE).exists()) or write_report(folder, finished=finished),
    )
    if not finished:
        (search.folder / DONE).unlink()
    search.rebuild()
    assert pages == [finished]
    assert (search.folder / DONE).exists() == finished
    assert not finished or (search.folder / DONE).read_bytes() == mark
    text = (search.folder / REPORT_FILE).read_text(encoding="utf-8")
    assert ("<b>Unfinished.</b>" in text) == (not finished)
    assert ("is unfinished; carry it on" in search.console.file.getvalue()) == (not finished)
