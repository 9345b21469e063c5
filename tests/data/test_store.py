import json

import numpy as np
import pytest

from ecggen.data.preprocess import Window
from ecggen.data.store import STORED, GrowingArray, Part, Remark, StoreWriter, open_store, part_of
from ecggen.errors import UserError


def window(name, **known):
    return Window(name, name, np.ones((12, 50), np.float32), np.ones(12, bool), **known)


def part(*windows, peaks=(3, 20)):
    signals = np.stack([one.ecg for one in windows]).astype(STORED)
    return part_of(list(windows), [np.array(peaks)] * len(windows), signals, [])


def written(folder, *parts):
    writer = StoreWriter(folder)
    for one in parts:
        writer.add(one)
    writer.close({"classes": [], "multi_label": False})
    return open_store(folder)


def test_a_growing_array_is_an_ordinary_npy_file(tmp_path):
    array = GrowingArray(tmp_path / "a.npy", np.dtype(np.float16), (2, 3))
    rows = np.arange(6 * 1200, dtype=np.float16).reshape(1200, 2, 3)
    for start in range(0, 1200, 7):
        array.append(rows[start : start + 7])
    array.close()
    got = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert got.dtype == np.float16
    assert np.array_equal(got, rows)


def test_rows_come_back_as_they_were(tmp_path):
    labelled = window('ä, "x";\n1', patient="p", fold=3, labels=("CD", "MI"))
    store = written(tmp_path, part(labelled, window("b")))
    assert [(row.id, row.patient, row.fold, row.labels) for row in store.rows] == [
        ('ä, "x";\n1', "p", 3, ("CD", "MI")),
        ("b", None, None, None),
    ]


def test_peaks_of_unlike_number_come_back_by_record(tmp_path):
    store = written(
        tmp_path, part(window("a"), peaks=(1, 2, 3)), part(window("b"), peaks=()), part(window("c"), peaks=(9,))
    )
    peaks = store.ragged["r_peaks"]
    assert [peaks[row].tolist() for row in range(3)] == [[1, 2, 3], [], [9]]
    for rows in ([0, 1, 2], [2, 0], [1], [0], [1, 1, 2, 0]):
        table, counts = peaks.table(np.array(rows))
        assert [own[:count].tolist() for own, count in zip(table, counts, strict=True)] == [
            peaks[row].tolist() for row in rows
        ]
        assert all(not own[count:].any() for own, count in zip(table, counts, strict=True))
    assert store.info["few_beats"] == 2


def test_vectors_that_only_some_records_have_are_nan_for_the_others(tmp_path):
    measured = window("b", vectors={"frank": np.full((3, 50), 2.0, np.float32)})
    store = written(tmp_path, part(window("a")), part(measured, window("c")), part(window("d")))
    assert [bool(np.isnan(row).all()) for row in store.vectors["frank"]] == [True, False, True, True]
    assert (store.vectors["frank"][1] == 2).all()


def test_remarks_are_listed_and_counted_by_kind(tmp_path):
    remarks = [
        Remark("x", "left out", "too short: 3 s"),
        Remark("y", "left out", "too short: 4 s"),
        Remark("a", "repaired", "flat lead not used: V1"),
    ]
    store = written(tmp_path, part(window("a")), Part(remarks=remarks))
    assert store.remarks == remarks
    assert store.rejected == [("x", "too short: 3 s"), ("y", "too short: 4 s")]
    assert store.info["remarks"] == {"left out: too short": 2, "repaired: flat lead not used": 1}


@pytest.mark.parametrize("name", ["info.json", "records.csv", "signals.npy", "lead_mask.npy", "r_peaks.npy"])
def test_a_damaged_store_is_one_line_with_its_remedy(tmp_path, name):
    written(tmp_path, part(window("a"), window("b")))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) - 30])
    with pytest.raises(UserError, match="delete this folder") as error:
        open_store(tmp_path)
    assert "\n" not in str(error.value)


def test_half_precision_costs_less_than_a_recorder_s_step():
    volts = np.linspace(-1, 1, 100_001, dtype=np.float32)
    assert np.abs(volts.astype(STORED).astype(np.float32) - volts).max() < 0.0005


def test_info_is_written_last(tmp_path):
    writer = StoreWriter(tmp_path)
    writer.add(part(window("a")))
    assert not (tmp_path / "info.json").exists()
    writer.close({})
    assert json.loads((tmp_path / "info.json").read_text())["windows"] == 1
