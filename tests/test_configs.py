"""Every YAML that is shipped loads, and says what it is meant to say."""

from pathlib import Path

import pytest

from ecggen.config import RunConfig
from ecggen.configfile import load_run_config
from ecggen.runid import MODULES, read_codes, runid_of
from ecggen.strictyaml import read_yaml

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TRAIN = sorted((CONFIGS / "train").glob("*.yaml"))


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.y*ml")), ids=lambda path: path.name)
def test_every_yaml_is_plain(path):
    assert read_yaml(path)


@pytest.mark.parametrize("path", TRAIN, ids=lambda path: path.name)
def test_every_train_configuration_loads_and_has_an_id(path):
    table = read_codes(path)
    assert runid_of(load_run_config(path), table) is not None
    assert all(table.rows[module] for module in MODULES)


def test_the_default_configuration_states_the_defaults():
    assert load_run_config(CONFIGS / "train" / "v1.yaml") == RunConfig()
