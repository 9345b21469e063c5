import numpy as np
import pytest
import wfdb

from ecggen.config import SignalConfig
from ecggen.data.preprocess import preprocess
from ecggen.data.sources import contract
from ecggen.data.sources.contract import UnreadableError
from ecggen.data.sources.wfdb_folder import WFDBFolderSource
from ecggen.errors import UserError
from ecggen.leads import LEADS
from tests.data.layouts import hearts, table, to_matlab, write_record, write_wfdb


@pytest.fixture
def root(tmp_path):
    return write_wfdb(tmp_path, hearts(3))


def read(source, name):
    (entry,) = [entry for entry in source.entries() if entry.id == name]
    return list(source.read(entry))


def test_ids_are_paths_below_the_root_and_labels_snomed_codes_of_the_header(root):
    source = WFDBFolderSource(root, 10.0)
    labels = {entry.id: read(source, entry.id)[0].labels for entry in source.entries()}
    assert labels == {"g0/r0": ("426783006",), "g0/r1": ("164889003", "59118001"), "g1/r2": None}


def test_the_table_gives_patient_fold_and_labels_and_outranks_the_header(root):
    rows = (("g0/r0", "p1", "3", "NORM"), ("g0/r1", "p2", "", "MI; CD"), ("g9/elsewhere", "", "", ""))
    table(root / "labels.csv", ("id", "patient", "fold", "label"), *rows)
    source = WFDBFolderSource(root, 10.0)
    got = {entry.id: (entry.patient, entry.fold, read(source, entry.id)[0].labels) for entry in source.entries()}
    assert got == {
        "g0/r0": ("p1", 3, ("NORM",)),
        "g0/r1": ("p2", None, ("CD", "MI")),
        "g1/r2": (None, None, None),
    }


def test_a_table_without_labels_leaves_those_of_the_header(root):
    table(root / "labels.csv", ("id", "patient"), ("g0/r0", "p1"))
    source = WFDBFolderSource(root, 10.0)
    assert read(source, "g0/r0")[0].labels == ("426783006",)


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (("id", "label"), [("g0/r0", "A"), ("g0/r0", "B")], "'g0/r0' again"),
        (("name", "label"), [("g0/r0", "A")], "column 'id'"),
        (("id", "label"), [("r0", "A")], "expected ids such as 'g0/r0', got 'r0'"),
        (("id", "fold"), [("g0/r0", "three")], "whole numbers, got 'three'"),
    ],
)
def test_an_ambiguous_table_is_one_line(root, columns, rows, message):
    table(root / "labels.csv", columns, *rows)
    with pytest.raises(UserError, match=message):
        WFDBFolderSource(root, 10.0).entries()


def test_the_matlab_form_of_the_challenges_reads_the_same(root):
    source = WFDBFolderSource(root, 10.0)
    before = read(source, "g0/r0")[0]
    to_matlab(root / "g0" / "r0")
    after = read(source, "g0/r0")[0]
    assert np.array_equal(after.signal, before.signal)
    assert after.labels == before.labels


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e-3), ("V", 1e3), ("mV", 1.0)])
def test_units_become_millivolts(tmp_path, unit, factor):
    signal = hearts(1)[0]
    write_record(tmp_path / "r", signal / factor, LEADS, units=unit, gain=1000 * factor)
    (recording,) = read(WFDBFolderSource(tmp_path, 10.0), "r")
    assert np.abs(recording.signal - signal).max() < 0.001


def test_a_lead_in_an_unknown_unit_is_refused_another_channel_is_not(tmp_path):
    signal = hearts(1)[0]
    write_record(tmp_path / "pressure", signal[:2], ("II", "ABP"))
    header = tmp_path / "pressure.hea"
    lines = header.read_text().splitlines()
    header.write_text("\n".join([*lines[:2], lines[2].replace("/mV", "/mmHg")]) + "\n")
    source = WFDBFolderSource(tmp_path, 10.0)
    assert read(source, "pressure")[0].leads == ("II", "ABP")
    header.write_text(header.read_text().replace("/mV", "/NU"))
    with pytest.raises(UnreadableError, match="unit of lead II: expected mV, uV or V, got 'NU'"):
        read(source, "pressure")


def test_frank_leads_are_kept_beside(tmp_path):
    signal = hearts(1)[0]
    write_record(tmp_path / "r", np.vstack([signal, signal[:3] / 2]), [*map(str.lower, LEADS), "vx", "vy", "vz"])
    (recording,) = read(WFDBFolderSource(tmp_path, 10.0), "r")
    assert np.abs(recording.extra["frank"] - signal[:3] / 2).max() < 0.001


def test_segments_of_a_record_are_not_records_of_their_own(tmp_path):
    signal = hearts(1, seconds=20.0)[0]
    write_record(tmp_path / "m" / "a", signal[:, :5000], LEADS)
    write_record(tmp_path / "m" / "b", signal[:, 5000:], LEADS)
    (tmp_path / "m" / "whole.hea").write_text("whole/2 12 500 10000\na 5000\nb 5000\n")
    source = WFDBFolderSource(tmp_path, 10.0)
    assert [entry.id for entry in source.entries()] == ["m/whole"]
    (recording,) = read(source, "m/whole")
    assert np.abs(recording.signal - signal).max() < 0.001


def test_a_long_record_in_blocks_gives_the_windows_of_the_whole(tmp_path, monkeypatch):
    signal = hearts(1, seconds=95.0, fs=250.0)[0][[1, 6]] + 3.0  # an offset, as recorders have
    write_record(tmp_path / "holter", signal, ("MLII", "V1"), fs=250.0)
    source = WFDBFolderSource(tmp_path, 10.0)
    (whole,) = read(source, "holter")
    expected = preprocess(whole, SignalConfig(), 10.0, 20.0)
    monkeypatch.setattr(contract, "BLOCK_SECONDS", 20.0)
    blocks = read(source, "holter")
    got = [window for block in blocks for window in preprocess(block, SignalConfig(), 10.0, 20.0)]
    assert len(blocks) == 5
    assert [window.id for window in got] == [f"holter@{start}" for start in range(0, 90, 10)]
    assert [window.record for window in got] == ["holter"] * 9
    for one, other in zip(got, expected, strict=True):
        assert np.abs(one.ecg - other.ecg).max() < 1e-3


def test_a_truncated_long_record_is_refused_before_its_first_window(tmp_path, monkeypatch):
    write_record(tmp_path / "holter", hearts(1, seconds=95.0, fs=250.0)[0], LEADS, fs=250.0)
    data = (tmp_path / "holter.dat").read_bytes()
    (tmp_path / "holter.dat").write_bytes(data[: len(data) * 2 // 3])
    monkeypatch.setattr(contract, "BLOCK_SECONDS", 20.0)
    source = WFDBFolderSource(tmp_path, 10.0)
    with pytest.raises(UnreadableError, match="truncated"):
        next(iter(source.read(source.entries()[0])))


@pytest.mark.real_data
def test_real_challenge_records_carry_codes_and_twelve_leads(real_data):
    source = WFDBFolderSource(real_data / "cinc", 10.0)
    entries = source.entries()
    assert len(entries) == 24
    for entry in entries:
        (recording,) = source.read(entry)
        assert recording.leads == LEADS
        assert recording.labels
        assert all(code.isdigit() for code in recording.labels)


@pytest.mark.real_data
def test_half_an_hour_of_two_leads_is_read_in_blocks(real_data):
    source = WFDBFolderSource(real_data / "mitdb", 10.0)
    blocks = read(source, "100")
    assert len(blocks) == 3
    whole = wfdb.rdrecord(str(real_data / "mitdb" / "100")).p_signal.T
    for block in blocks:
        span = block.extra["span"]
        assert np.allclose(block.signal, whole[:, span.start : span.stop], atol=1e-5)
    assert sum(block.extra["span"].last - block.extra["span"].first for block in blocks) == 180


@pytest.mark.real_data
def test_measured_frank_leads_pass_the_same_filter(real_data):
    source = WFDBFolderSource(real_data / "ptb_frank", 10.0)
    (recording,) = read(source, "s0010_re")
    windows = preprocess(recording, SignalConfig(), 10.0, 20.0)
    assert len(windows) == 3
    for window in windows:
        frank = window.vectors["frank"]
        assert frank.shape == (3, 1000)
        # X looks along I, Y along aVF; measured on a patient, so only roughly
        assert np.corrcoef(frank[0], window.ecg[LEADS.index("I")])[0, 1] > 0.7
        assert np.corrcoef(frank[1], window.ecg[LEADS.index("aVF")])[0, 1] > 0.7
