import os
import shutil
import signal as signals
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecggen.config import DataConfig, SignalConfig, SimulatorConfig
from ecggen.data import build as build_module
from ecggen.data import cache as cache_module
from ecggen.data.cache import cache_name, cache_root, find_or_build, make_once, open_cache, use_prepared
from ecggen.data.sources import catalog
from ecggen.data.sources.catalog import make_source
from ecggen.errors import UserError
from tests.data.layouts import hearts, write_arrays

SIGNAL = SignalConfig()


@pytest.fixture
def data(tmp_path):
    return DataConfig(simulator=SimulatorConfig(records=4), cache=str(tmp_path / "cache"))


def name(data, signal=SIGNAL):
    return cache_name(data, signal, make_source(data, signal))


def folders(data):
    return sorted(path.name for path in Path(data.cache).iterdir() if path.is_dir())


def test_the_second_start_reads_what_the_first_one_built(data, monkeypatch):
    first = open_cache(data, SIGNAL)
    monkeypatch.setattr(build_module, "build", lambda *_: pytest.fail("built again"))
    second = open_cache(data, SIGNAL)
    assert second.folder == first.folder
    assert np.array_equal(second.signals, first.signals)
    assert isinstance(second.signals, np.memmap)
    assert folders(data) == [first.folder.name]


@pytest.mark.parametrize(
    "changed",
    [
        {"seconds": 8.0},
        {"limit": 2},
        {"max_amplitude": 5.0},
        {"simulator": SimulatorConfig(records=4, seed=1)},
    ],
)
def test_settings_that_change_the_content_change_the_name(data, changed):
    assert name(replace(data, **changed)) != name(data)


def test_the_band_changes_the_name_and_splits_and_workers_do_not(data):
    assert name(data, SignalConfig(band_high=30.0)) != name(data)
    assert name(replace(data, train_folds=(1,), val_folds=(2,), workers=3)) == name(data)


def test_the_code_changes_the_name(data, monkeypatch):
    before = name(data)
    monkeypatch.setattr(cache_module, "code_digest", lambda: "of another version")
    assert name(data) != before


def test_the_code_that_counts_is_there():
    here = Path(cache_module.__file__).parent
    assert all((here / part).exists() for part in cache_module.CODE)


def test_changed_recordings_are_read_again(tmp_path):
    root = write_arrays(tmp_path / "root", hearts(2))
    data = DataConfig(source="arrays", root=str(root), cache=str(tmp_path / "cache"))
    before = open_cache(data, SIGNAL)
    write_arrays(root, hearts(2, seed=1))
    after = open_cache(data, SIGNAL)
    assert after.folder != before.folder
    assert not np.array_equal(after.signals, before.signals)


def test_cache_folder_is_named_by_setting_then_environment_then_user(monkeypatch, tmp_path):
    monkeypatch.setenv("ECGGEN_CACHE", str(tmp_path / "env"))
    assert cache_root(DataConfig(cache=str(tmp_path / "set"))) == tmp_path / "set"
    assert cache_root(DataConfig()) == tmp_path / "env"
    monkeypatch.delenv("ECGGEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert cache_root(DataConfig()) == tmp_path / "home" / "ecggen"


def test_a_failed_build_leaves_nothing_that_looks_usable(data, monkeypatch):
    def fail(source, data, signal, folder):
        (folder / "info.json").write_text("{}")
        raise RuntimeError("disk on fire")

    with monkeypatch.context() as patch:
        patch.setattr(build_module, "build", fail)
        with pytest.raises(RuntimeError):
            open_cache(data, SIGNAL)
    assert folders(data) == []
    assert len(open_cache(data, SIGNAL)) == 4


def start(stock, data, records, workers=1):
    """A process of its own that builds the cache of `records` simulated records."""
    words = (f"data.simulator.records={records}", f"data.cache={data.cache}", f"data.workers={workers}")
    return stock.start("tests.faults.deeds:cache", *words, cwd=Path(data.cache).parent)


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def runs(pid):
    """Whether a process is there and is no zombie that nobody has buried yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux's /proc which processes run")
def test_a_build_killed_in_the_middle_leaves_nothing_and_the_next_one_clears_up(stock, data):
    process = start(stock, data, records=4000, workers=2)
    wait_for(lambda: list(Path(data.cache).glob("*.unfinished/part-*")))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid, signals.SIGKILL)
    process.wait()
    assert [folder.endswith(".unfinished") for folder in folders(data)] == [True]
    wait_for(lambda: not any(runs(child) for child in children))  # no orphaned workers
    store = open_cache(data, SIGNAL)
    assert folders(data) == [store.folder.name]


def test_the_leftovers_of_a_build_that_still_runs_are_not_touched(data):
    root = Path(data.cache)
    running = root / "simulator-0123.unfinished"
    running.mkdir(parents=True)
    with cache_module.FileLock(root / "simulator-0123.lock"):
        finished = threading.Thread(target=open_cache, args=(data, SIGNAL))
        finished.start()
        finished.join(60)
        assert running.is_dir()
    open_cache(replace(data, limit=1), SIGNAL)
    assert not running.exists()


def test_two_processes_build_once(stock, data):
    processes = [start(stock, data, records=60) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert [process.out.strip() for process in processes] == [
        str(Path(data.cache) / each) for each in folders(data) * 2
    ]
    said = [process.place.with_suffix(".err").read_text() for process in processes]
    assert sum("preprocessing simulator" in each for each in said) == 1


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, data):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="writable"):
        open_cache(replace(data, cache=str(tmp_path / "file" / "cache")), SIGNAL)


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0.0}, {"seconds": float("nan")}, {"limit": 0}, {"workers": -1}, {"max_amplitude": -1.0}]
)
def test_settings_out_of_range_are_one_line(data, wrong):
    with pytest.raises(UserError, match=f"data.{next(iter(wrong))}: expected"):
        open_cache(replace(data, **wrong), SIGNAL)


def test_an_empty_source_leaves_no_cache(tmp_path):
    (tmp_path / "root").mkdir()
    data = DataConfig(source="wfdb", root=str(tmp_path / "root"), cache=str(tmp_path / "cache"))
    with pytest.raises(UserError, match="got none"):
        open_cache(data, SIGNAL)
    assert folders(data) == []


@pytest.fixture
def prepared(monkeypatch):
    """What `use_prepared` is told here is forgotten after the test."""
    monkeypatch.setattr(cache_module, "_prepared", {})


def test_prepared_records_need_no_source(tmp_path, prepared, monkeypatch):
    root = write_arrays(tmp_path / "root", hearts(2))
    data = DataConfig(source="arrays", root=str(root), cache=str(tmp_path / "cache"))
    folder = find_or_build(data, SIGNAL)
    signals_before = np.array(open_cache(data, SIGNAL).signals)
    shutil.rmtree(root)
    use_prepared(data, SIGNAL, folder)
    monkeypatch.setattr(catalog, "make_source", lambda *_: pytest.fail("asked the source"))
    for same in (data, replace(data, cache=None, workers=3, val_folds=(1,))):
        store = open_cache(same, SIGNAL)
        assert store.folder == folder and np.array_equal(store.signals, signals_before)


def test_prepared_records_are_those_of_their_settings_alone(data, prepared):
    use_prepared(data, SIGNAL, find_or_build(data, SIGNAL))
    assert len(open_cache(replace(data, limit=2), SIGNAL)) == 2
    assert open_cache(data, SignalConfig(band_high=30.0)).folder.name == name(data, SignalConfig(band_high=30.0))
    with pytest.raises(UserError, match="data.limit: expected"):
        open_cache(replace(data, limit=0), SIGNAL)


def test_prepared_records_that_have_vanished_are_built_again(tmp_path, data, prepared):
    use_prepared(data, SIGNAL, tmp_path / "vanished")
    assert open_cache(data, SIGNAL).folder == find_or_build(data, SIGNAL)


def test_a_folder_is_made_once_and_whole(tmp_path):
    folder = tmp_path / "cache" / "folder"

    def half(temporary):
        (temporary / "first").write_text("")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        make_once(folder, half)
    assert [path.name for path in folder.parent.iterdir()] == ["folder.lock"]
    make_once(folder, lambda temporary: (temporary / "first").write_text("1"))
    make_once(folder, lambda temporary: pytest.fail("made again"))
    assert (folder / "first").read_text() == "1"
