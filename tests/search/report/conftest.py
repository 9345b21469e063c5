"""Pages of made-up searches, and a browser to open them with."""

import os
import shutil
from pathlib import Path

import pytest

from search.report.page import write_report
from tests.fake_search import fake_portrait, large_search, small_search

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def large_folder(tmp_path_factory):
    """A finished search of 200 trials."""
    return large_search(tmp_path_factory.mktemp("large"))


@pytest.fixture(scope="session")
def large_page(large_folder):
    """Its page."""
    return write_report(large_folder)


@pytest.fixture(scope="session")
def small_page(tmp_path_factory):
    """The page of a search of five trials on data without a true source."""
    portrait = fake_portrait(source=None, source_map=None)
    return write_report(small_search(tmp_path_factory.mktemp("small"), portrait=portrait))


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window and without a graphics card. Where there is none tests skip, but not in CI."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _absent("playwright is not installed")
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        found = next(filter(None, map(shutil.which, NAMES)), own if Path(own).is_file() else None)
        if found is None:
            _absent(f"none of {', '.join(NAMES)} is there")
        opened = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield opened
        opened.close()


def _absent(reason):
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs Chromium: {reason}")
