"""Fixtures of the tests that inject faults."""

import pytest

from tests.faults.mortal import FOR_SEARCHES, LOADED, Stock


@pytest.fixture(scope="session")
def said(tmp_path_factory):
    """A folder for what mortal processes say."""
    return tmp_path_factory.mktemp("said")


@pytest.fixture(scope="package")
def stock(said):
    """Mortal processes that train."""
    stock = Stock(said)
    yield stock
    stock.close()


@pytest.fixture(scope="module")
def searchers(tmp_path_factory):
    """Mortal processes that search."""
    stock = Stock(tmp_path_factory.mktemp("said"), LOADED + FOR_SEARCHES)
    yield stock
    stock.close()
