"""Damaged and odd recordings, each by the way a user's folder would hold it: left out or repaired, and said so."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from ecggen.config import DataConfig, SignalConfig
from ecggen.data.build import build
from ecggen.data.sources.catalog import make_source
from ecggen.data.store import open_store
from ecggen.errors import UserError
from ecggen.leads import LEADS
from tests.data.layouts import hearts, table, write_arrays, write_ptbxl, write_record


@pytest.fixture(scope="module")
def heart():
    return hearts(1)[0]


def built(folder, data, signal=SignalConfig()):  # noqa: B008  a frozen value
    target = folder / "built"
    target.mkdir()
    build(make_source(data, signal), data, signal, target)
    return open_store(target)


def edit(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


FILE_DAMAGES = {
    "cut in the middle": (lambda r: cut(r.with_suffix(".dat"), 0.5), "unreadable or truncated"),
    "cut within a sample": (lambda r: cut(r.with_suffix(".dat"), 0.50001), "unreadable or truncated"),
    "empty signal": (lambda r: r.with_suffix(".dat").write_bytes(b""), "unreadable or truncated"),
    "no signal": (lambda r: r.with_suffix(".dat").unlink(), "file missing: bad.dat"),
    "empty header": (lambda r: r.with_suffix(".hea").write_text(""), "unreadable"),
    "no header at all": (lambda r: r.with_suffix(".hea").write_bytes(b"\x00\xff\x01" * 99), "unreadable"),
    "more samples promised": (lambda r: edit(r.with_suffix(".hea"), " 5000", " 9000"), "unreadable or truncated"),
    "fewer samples promised": (lambda r: edit(r.with_suffix(".hea"), "500 5000", "500 4000"), "too short: 8.00 s"),
    "more leads promised": (lambda r: edit(r.with_suffix(".hea"), "bad 12 ", "bad 15 "), "unreadable"),
    "wrong unit": (lambda r: edit(r.with_suffix(".hea"), "/mV", "/mmHg"), "unit of lead I: expected mV"),
    "wrong scale": (lambda r: edit(r.with_suffix(".hea"), "1000.0(0)/mV", "1.0(0)/mV"), "amplitude"),
    "absurd rate": (lambda r: edit(r.with_suffix(".hea"), "bad 12 500", "bad 12 5"), "sampling rate: 5 Hz"),
    "unknown format": (lambda r: edit(r.with_suffix(".hea"), "bad.dat 16", "bad.dat 99"), "unreadable"),
}


@pytest.mark.parametrize("damage", sorted(FILE_DAMAGES))
def test_a_damaged_file_is_left_out_with_its_reason_and_the_good_one_stays(tmp_path, heart, damage):
    for name in ("bad", "good"):
        write_record(tmp_path / "root" / name, heart, LEADS)
    change, reason = FILE_DAMAGES[damage]
    change(tmp_path / "root" / "bad")
    store = built(tmp_path, DataConfig(source="wfdb", root=str(tmp_path / "root")))
    assert [row.id for row in store.rows] == ["good"]
    ((record, got),) = store.rejected
    assert record == "bad"
    assert reason in got
    assert "\n" not in got
    assert sum(store.info["remarks"].values()) == 1


def test_repairs_are_listed_beside_what_is_left_out(tmp_path, heart):
    signals = np.stack([heart] * 4)
    signals[1, 6, 100:120] = np.nan
    signals[2, 0] = np.inf
    signals[3] = 0
    signals[3] += np.random.default_rng(0).normal(0, 0.02, signals[3].shape)
    data = DataConfig(source="arrays", root=str(write_arrays(tmp_path / "root", signals)))
    store = built(tmp_path, data)
    said = {(remark.id, remark.action, remark.reason.split(":")[0]) for remark in store.remarks}
    assert ("a1", "repaired", "short gaps interpolated") in said
    assert ("a2", "repaired", "limb lead derived") in said
    assert not any(name == "a0" for name, _, _ in said)
    assert len(store) == 4


def test_a_record_without_beats_is_kept_and_listed(tmp_path, heart):
    time = np.arange(5000) / 500
    silent = np.tile(np.exp(-(((time - 5) / 0.02) ** 2)), (12, 1))  # one wave in ten seconds, and nothing else
    silent += 0.02 * np.sin(2 * np.pi * time)
    data = DataConfig(source="arrays", root=str(write_arrays(tmp_path / "root", [heart, silent])))
    store = built(tmp_path, data)
    assert len(store) == 2
    assert store.info["few_beats"] == 1
    assert [(remark.id, remark.action) for remark in store.remarks] == [("a1", "repaired")]
    assert store.remarks[0].reason.startswith("no beats:")


def test_absent_leads_are_said_once_a_record(tmp_path):
    write_record(tmp_path / "root" / "r", hearts(1, seconds=40.0)[0][[1, 6]], ("MLII", "V1"))
    store = built(tmp_path, DataConfig(source="wfdb", root=str(tmp_path / "root")))
    assert len(store) == 4
    assert [(remark.id, remark.reason) for remark in store.remarks] == [
        ("r", "absent lead masked: I III aVR aVL aVF V2 V3 V4 V5 V6")
    ]


def test_records_of_unlike_rate_and_leads_stand_in_one_store(tmp_path):
    write_record(tmp_path / "root" / "a", hearts(1, fs=360.0)[0][:2], ("I", "II"), fs=360.0)
    write_record(tmp_path / "root" / "b", hearts(1, fs=1000.0)[0], LEADS, fs=1000.0)
    frank = np.vstack([hearts(1, fs=250.0)[0], hearts(1, fs=250.0)[0][:3]])
    write_record(tmp_path / "root" / "c", frank, (*LEADS, "vx", "vy", "vz"), fs=250.0)
    store = built(tmp_path, DataConfig(source="wfdb", root=str(tmp_path / "root")))
    assert store.signals.shape == (3, 12, 1000)
    assert store.lead_mask.sum(1).tolist() == [6, 12, 12]
    assert np.isnan(store.vectors["frank"]).all((1, 2)).tolist() == [True, True, False]


def test_nothing_usable_says_what_was_looked_for_where_and_why_not(tmp_path, heart):
    root = write_arrays(tmp_path / "root", [heart[:, :1000]] * 3)
    with pytest.raises(UserError) as error:
        built(tmp_path, DataConfig(source="arrays", root=str(root)))
    message = str(error.value)
    assert str(root) in message
    assert "got none of 3" in message
    assert "too short (3 times)" in message
    assert "\n" not in message


def test_an_empty_folder_says_what_was_looked_for_and_where(tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(UserError, match=r"root: expected wfdb records, got none"):
        built(tmp_path, DataConfig(source="wfdb", root=str(tmp_path / "root")))


def test_an_id_that_repeats_is_refused(tmp_path, heart):
    root = write_arrays(tmp_path / "root", [heart, heart])
    rows = [("x", 500, "mV", ";".join(LEADS))] * 2
    table(root / "records.csv", ("id", "fs", "unit", "leads"), *rows)
    with pytest.raises(UserError, match="'x' 2 times"):
        built(tmp_path, DataConfig(source="arrays", root=str(root)))


def test_workers_change_nothing_in_the_result(tmp_path):
    root = write_ptbxl(tmp_path / "root", hearts(12, fs=100.0), fs=100.0)
    (root / "records100/00000/00007_lr.dat").unlink()
    data = DataConfig(source="ptbxl", root=str(root), task="all")
    folders = []
    for workers in (1, 2):
        folders.append(tmp_path / str(workers))
        folders[-1].mkdir()
        built(folders[-1], replace(data, workers=workers))
    files = [sorted((folder / "built").iterdir()) for folder in folders]
    assert [file.name for file in files[0]] == [file.name for file in files[1]]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_classes_are_those_of_the_whole_source_whatever_the_limit(tmp_path):
    root = write_ptbxl(tmp_path / "root", hearts(3, fs=100.0), fs=100.0)
    store = built(tmp_path, DataConfig(source="ptbxl", root=str(root), limit=1))
    assert len(store) == 1
    assert store.info["classes"] == ["MI", "NORM", "STTC"]
    assert store.info["multi_label"]


def test_a_missing_file_of_a_published_index_is_left_out(tmp_path):
    root = write_ptbxl(tmp_path / "root", hearts(3, fs=100.0), fs=100.0)
    shutil.rmtree(root / "records100" / "00000", ignore_errors=True)
    with pytest.raises(UserError, match=r"file missing \(3 times\)"):
        built(tmp_path, DataConfig(source="ptbxl", root=str(root)))
