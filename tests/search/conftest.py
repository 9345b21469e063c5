"""Fixtures of the tests of a search."""

import pytest
from alembic.script import ScriptDirectory

from search.ledger import Ledger


@pytest.fixture
def ledger(tmp_path):
    """An empty one, of the search `now`."""
    return Ledger(tmp_path / "now")


@pytest.fixture(scope="module")
def quick_studies():
    """Optuna reads its scripts for old databases anew whenever it opens a study, and that takes most of the time."""
    known, read = {}, ScriptDirectory.from_config

    def once(config):
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", once)
        yield
