import numpy as np
import pytest

from ecggen.data.sources.arrays import ArraysSource
from ecggen.data.sources.contract import UnreadableError
from ecggen.errors import UserError
from tests.data.layouts import hearts, table, write_arrays

COLUMNS = ("id", "fs", "unit", "leads", "patient", "fold", "label")


def folder(tmp_path, signals, *rows):
    tmp_path.mkdir(exist_ok=True)
    np.save(tmp_path / "signals.npy", signals)
    table(tmp_path / "records.csv", COLUMNS, *rows)
    return ArraysSource(tmp_path, 10.0)


def read(source, number=0):
    return next(iter(source.read(source.entries()[number])))


def test_columns_become_the_recording(tmp_path):
    source = folder(tmp_path, np.zeros((1, 2, 2000)), ("x", 200, "mV", "II;V5", "ann", "4", "MI; CD"))
    recording = read(source)
    assert (recording.id, recording.fs, recording.leads) == ("x", 200.0, ("II", "V5"))
    assert (recording.patient, recording.fold, recording.labels) == ("ann", 4, ("CD", "MI"))


@pytest.mark.parametrize("leads", ["II;V5", "II V5", "II; V5", "II,V5"])
def test_lead_names_may_be_separated_as_people_do(tmp_path, leads):
    assert read(folder(tmp_path, np.zeros((1, 2, 2000)), ("x", 200, "mV", leads, "", "", ""))).leads == ("II", "V5")


@pytest.mark.parametrize(
    ("unit", "dtype", "value"), [("uV", np.int16, 1500), ("V", np.float64, 1.5e-3), ("mV", "f4", 1.5)]
)
def test_whole_numbers_and_units_become_millivolts(tmp_path, unit, dtype, value):
    source = folder(tmp_path, np.full((1, 1, 2000), value, dtype), ("x", 200, unit, "II", "", "", ""))
    assert read(source).signal == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("fs", "unit", "reason"),
    [
        ("200", "mmHg", "expected mV, uV or V, got 'mmHg'"),
        ("fast", "mV", "got 'fast'"),
        ("-1", "mV", "got '-1'"),
        ("nan", "mV", "got 'nan'"),
    ],
)
def test_a_line_that_makes_no_sense_leaves_its_record_out(tmp_path, fs, unit, reason):
    with pytest.raises(UnreadableError, match=reason):
        read(folder(tmp_path, np.zeros((1, 1, 2000)), ("x", fs, unit, "II", "", "", "")))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2000)), r"numbers \[records, leads, samples\], got float64 \(3, 2000\)"),
        (np.zeros((2, 1, 2000)), "expected 2 lines"),
        (np.array([[["a"]]]), "expected numbers"),
        (np.array([{}], dtype=object), "unreadable"),
    ],
)
def test_an_array_of_another_form_is_one_line(tmp_path, array, message):
    source = folder(tmp_path, array, ("x", 200, "mV", "II", "", "", ""))
    with pytest.raises(UserError, match=message) as error:
        source.entries()
    assert "\n" not in str(error.value)


def test_a_truncated_array_is_one_line(tmp_path):
    write_arrays(tmp_path, hearts(2))
    data = (tmp_path / "signals.npy").read_bytes()
    (tmp_path / "signals.npy").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"signals\.npy: expected an array"):
        ArraysSource(tmp_path, 10.0).entries()
