"""Every YAML that is shipped loads, and says what it is meant to say."""

from pathlib import Path

import pytest

from ecggen.codetable import MODULES, read_codes
from ecggen.config import RunConfig
from ecggen.configfile import apply_settings, load_run_config
from ecggen.runid import ensure_runid, settings_of
from ecggen.strictyaml import read_yaml
from search.space import load_space

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TRAIN = sorted((CONFIGS / "train").glob("*.yaml"))
SPACES = sorted((CONFIGS / "spaces").glob("*.yaml"))


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.y*ml")), ids=lambda path: path.name)
def test_every_yaml_is_plain(path):
    assert read_yaml(path)


@pytest.mark.parametrize("path", TRAIN, ids=lambda path: path.name)
def test_every_train_configuration_loads_and_has_an_id(path, tmp_path):
    table = read_codes(path)
    assert all(table.rows[module] for module in MODULES)
    run = load_run_config(path)
    runid = ensure_runid(run, path, tmp_path)
    assert apply_settings(run, settings_of(runid, read_codes(path, tmp_path))) == run


def test_train_configurations_share_one_table_of_codes():
    tables = [read_codes(path).rows for path in TRAIN]
    assert all(table == tables[0] for table in tables)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_space_loads_over_the_default_configuration_and_opens_with_its_question(path):
    v1 = CONFIGS / "train" / "v1.yaml"
    space = load_space(path.stem, read_codes(v1), load_run_config(v1), path.parent)
    assert space.name == path.stem
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert path.read_text().startswith(f"{comment[0]}\n")
    assert "?" in " ".join(comment)


def test_the_default_configuration_states_the_defaults():
    assert load_run_config(CONFIGS / "train" / "v1.yaml") == RunConfig()
