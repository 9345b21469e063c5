"""What every source promises. A new source joins with one line in `layouts.WRITERS`."""

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest

from ecggen.config import SOURCES as NAMES
from ecggen.config import DataConfig, SignalConfig, SimulatorConfig
from ecggen.data.preprocess import preprocess
from ecggen.data.sources.catalog import SOURCES, make_source
from ecggen.data.sources.contract import BLOCK_SECONDS, MARGIN_SECONDS, spans
from ecggen.errors import UserError
from ecggen.leads import LEADS, canonical_lead
from tests.data.layouts import WRITERS, hearts

SIGNAL = SignalConfig()


@pytest.fixture(scope="module")
def signals():
    return hearts(3)


@pytest.fixture(params=["simulator", *WRITERS])
def data(request, tmp_path, signals):
    if request.param == "simulator":
        return DataConfig(simulator=SimulatorConfig(records=3))
    root = WRITERS[request.param](tmp_path / "root", signals)
    return DataConfig(source=request.param, root=str(root), ptbxl_rate=500)


def test_catalog_holds_the_sources_that_the_settings_name():
    assert tuple(SOURCES) == NAMES


def test_entries_are_unique_and_in_a_fixed_order(data):
    source = make_source(data, SIGNAL)
    entries = source.entries()
    assert len({entry.id for entry in entries}) == len(entries) == 3
    assert source.entries() == entries


def test_recordings_carry_what_the_entry_says(data):
    source = make_source(data, SIGNAL)
    for entry in source.entries():
        (recording,) = source.read(entry)
        assert (recording.id, recording.patient, recording.fold) == (entry.id, entry.patient, entry.fold)
        assert entry.labels is None or recording.labels == entry.labels
        assert recording.signal.shape == (len(recording.leads), round(10 * recording.fs))
        assert {canonical_lead(name) for name in recording.leads} == set(LEADS)


def test_a_source_travels_to_a_worker(data):
    source = make_source(data, SIGNAL)
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301  our own bytes
    assert copy.entries() == source.entries()
    assert copy.fingerprint() == source.fingerprint()


def test_fingerprint_stays_while_nothing_changes(data):
    assert make_source(data, SIGNAL).fingerprint() == make_source(data, SIGNAL).fingerprint()


def test_fingerprint_changes_with_the_recordings(data, tmp_path):
    before = make_source(data, SIGNAL).fingerprint()
    if data.source == "simulator":
        data = replace(data, simulator=replace(data.simulator, seed=1))
    else:
        changed = sorted([*tmp_path.rglob("*.dat"), *tmp_path.rglob("*.npy")])[-1]
        os.utime(changed, ns=(0, 0))
    assert make_source(data, SIGNAL).fingerprint() != before


@pytest.mark.parametrize("layout", ["ptbxl", "mimic", "wfdb"])  # those with a file a record
def test_fingerprint_notices_a_file_that_has_gone(layout, tmp_path, signals):
    root = WRITERS[layout](tmp_path / "root", signals)
    data = DataConfig(source=layout, root=str(root), ptbxl_rate=500)
    before = make_source(data, SIGNAL).fingerprint()
    sorted(tmp_path.rglob("*.dat"))[-1].unlink()
    assert make_source(data, SIGNAL).fingerprint() != before


@pytest.mark.parametrize("layout", sorted(WRITERS))
def test_the_same_heart_looks_the_same_in_every_layout(layout, tmp_path, signals):
    root = WRITERS[layout](tmp_path / "root", signals)
    source = make_source(DataConfig(source=layout, root=str(root), ptbxl_rate=500), SIGNAL)
    reference = WRITERS["arrays"](tmp_path / "reference", signals)
    expected = make_source(DataConfig(source="arrays", root=str(reference)), SIGNAL)
    for entry, twin in zip(source.entries(), expected.entries(), strict=True):
        (got,) = preprocess(next(iter(source.read(entry))), SIGNAL, 10.0, 20.0)
        (wanted,) = preprocess(next(iter(expected.read(twin))), SIGNAL, 10.0, 20.0)
        assert got.lead_mask.all()
        assert np.abs(got.ecg - wanted.ecg).max() < 0.005  # the step of the coarsest of the files' converters


@pytest.mark.parametrize("layout", sorted(WRITERS))
def test_a_folder_of_another_layout_says_what_was_looked_for(layout, tmp_path):
    with pytest.raises(UserError, match="expected") as error:
        if make_source(DataConfig(source=layout, root=str(tmp_path)), SIGNAL).entries() == []:
            raise UserError("expected: an empty list is the builder's to refuse")
    assert "\n" not in str(error.value)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        make_source(DataConfig(source="wfdb", root=str(tmp_path / "nowhere")), SIGNAL)
    with pytest.raises(UserError, match=r"data\.root"):
        make_source(DataConfig(source="wfdb"), SIGNAL)
    with pytest.raises(UserError, match="'floppy'"):
        make_source(DataConfig(source="floppy"), SIGNAL)


def test_a_short_record_is_one_block():
    (span,) = spans(total=15_000, fs=500, seconds=10)
    assert (span.start, span.stop, span.first, span.last, span.windows) == (0, 15_000, 0, 3, 3)


@pytest.mark.parametrize(("hours", "fs", "seconds"), [(0.5, 360, 10), (24, 128, 10), (1, 257, 7), (24, 250.1, 30)])
def test_blocks_of_a_long_record_deliver_every_window_once_with_context(hours, fs, seconds):
    total = round(hours * 3600 * fs)
    blocks = spans(total, fs, seconds)
    windows = [window for block in blocks for window in range(block.first, block.last)]
    assert windows == list(range(int(total / (fs * seconds))))
    for block in blocks:
        assert block.stop - block.start <= (BLOCK_SECONDS + 2 * MARGIN_SECONDS) * fs + 2
        assert block.start == 0 or block.start <= (block.first * seconds - MARGIN_SECONDS) * fs + 1
        assert block.stop == total or block.stop >= (block.last * seconds + MARGIN_SECONDS) * fs - 1
