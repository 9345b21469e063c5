"""Records reach every node once: opened where they lie, built from the source, or unpacked from Ray's object store."""

import pickle
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecggen.config import DataConfig, RunConfig, SimulatorConfig
from ecggen.data import cache as cache_module
from ecggen.data.cache import open_cache
from ecggen.data.sources import catalog
from search import cluster, shareddata
from search.shareddata import offer, take
from tests.data.layouts import hearts, write_arrays
from tests.user_fault import fault_of


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A run on recordings, its cache in the driver's folder; no registration outlives the test."""
    monkeypatch.setattr(cache_module, "_prepared", {})
    monkeypatch.setenv("ECGGEN_CACHE", str(tmp_path / "driver"))
    return RunConfig(data=DataConfig(source="arrays", root=str(write_arrays(tmp_path / "root", hearts(3)))))


@pytest.fixture
def other_node(tmp_path, monkeypatch):
    """Go to a node with a cache folder of its own, where the driver's files are not."""

    def go(source_too):
        (tmp_path / "driver").rename(tmp_path / "elsewhere")
        if not source_too:
            (tmp_path / "root").rename(tmp_path / "far")
        monkeypatch.setattr(cache_module, "_prepared", {})
        monkeypatch.setenv("ECGGEN_CACHE", str(tmp_path / "node"))

    return go


def opened(shared):
    take(shared)
    return open_cache(shared.data, shared.signal)


def no_source(monkeypatch):
    monkeypatch.setattr(catalog, "make_source", lambda *_: pytest.fail("asked the source"))


def test_on_the_drivers_machine_the_drivers_folder_is_opened(driver, monkeypatch):
    shared = offer(driver, several_nodes=False)
    assert shared.packed is None and shared.name == Path(shared.folder).name
    no_source(monkeypatch)
    for _ in range(2):
        store = opened(pickle.loads(pickle.dumps(shared)))  # noqa: S301  Ray sends it so
        assert store.folder == Path(shared.folder) and isinstance(store.signals, np.memmap)


def test_a_node_with_the_recordings_builds_its_own(driver, other_node, tmp_path):
    shared = offer(driver, several_nodes=False)
    other_node(source_too=True)
    assert opened(shared).folder == tmp_path / "node" / shared.name


def test_a_simulator_is_on_every_node(driver, other_node, tmp_path):
    simulated = RunConfig(data=DataConfig(simulator=SimulatorConfig(records=3)))
    shared = offer(simulated, several_nodes=True)
    assert shared.packed is None
    other_node(source_too=False)
    assert opened(shared).folder == tmp_path / "node" / shared.name


def test_what_lies_in_the_nodes_cache_is_not_made_again(driver, other_node, tmp_path, monkeypatch):
    shared = offer(driver, several_nodes=False)
    other_node(source_too=False)
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "node")
    no_source(monkeypatch)
    assert opened(shared).folder == tmp_path / "node" / shared.name


def test_a_node_that_can_reach_nothing_says_what_it_wants(driver, other_node):
    shared = offer(driver, several_nodes=False)
    other_node(source_too=False)
    message = fault_of(take, shared)
    assert shared.folder in message and driver.data.root in message and "--data-root" in message


# This one starts Ray, once.
def test_a_node_without_anything_unpacks_the_drivers_folder_once(driver, other_node, tmp_path, monkeypatch):
    folder = tempfile.mkdtemp(prefix="ray-")
    monkeypatch.setenv("RAY_TMPDIR", folder)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    try:
        cluster.start(None, cpus=1)
        shared = offer(driver, several_nodes=True)
        before = open_cache(driver.data, driver.model.signal)
        other_node(source_too=False)
        (tmp_path / "node").write_text("")  # no folder can be made here
        assert str(tmp_path / "node") in fault_of(take, shared)
        (tmp_path / "node").unlink()
        store = opened(shared)
        assert store.folder == tmp_path / "node" / shared.name
        assert np.array_equal(store.signals, before.signals) and store.rows == before.rows
        assert isinstance(store.signals, np.memmap)
        monkeypatch.setattr(shareddata, "_unpack", lambda *_: pytest.fail("unpacked again"))
        take(shared)
        take(replace(shared, folder="/of/driver"))
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
