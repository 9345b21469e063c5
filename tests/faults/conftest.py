"""Fixtures of the tests that inject faults."""

import pytest

from tests.faults.mortal import FOR_SEARCHES, LOADED, Stock


@pytest.fixture(scope="module")
def searchers(tmp_path_factory):
    """Mortal processes that search."""
    stock = Stock(tmp_path_factory.mktemp("said"), LOADED + FOR_SEARCHES)
    yield stock
    stock.close()
