"""Recordings of strangers: whatever a folder holds, each record is read or named with its reason, and nothing else is.

Thousands of spoilt folders are read in a process of their own (`fuzzing`), whose memory is limited and whose every
opened file is watched; what they found is kept here, each as a case of its own with a known answer.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecggen.config import DataConfig, RunConfig, SignalConfig, TokenizerConfig
from ecggen.data.build import build
from ecggen.data.preprocess import LeftOut, Window, preprocess
from ecggen.data.recording import Recording
from ecggen.data.rpeaks import detect_r_peaks
from ecggen.data.sources import contract
from ecggen.data.sources.arrays import ArraysSource
from ecggen.data.sources.catalog import make_source
from ecggen.data.sources.contract import UnreadableError
from ecggen.data.sources.inside import file_below
from ecggen.data.sources.ptbxl import PTBXLSource
from ecggen.data.sources.wfdb_folder import WFDBFolderSource
from ecggen.data.sources.wfdb_header import read_header
from ecggen.data.store import open_store
from ecggen.data.tokenizer import ECGTokenizer
from ecggen.examine import examine
from ecggen.leads import LEADS
from tests.conftest import REPO
from tests.data.layouts import hearts, table, write_arrays, write_mimic, write_ptbxl, write_record
from tests.faults.folders import OUTSIDE, SECRET
from tests.user_fault import fault_of

SIGNAL = SignalConfig()
# Equal examples in every run, so that a red test stays red.
DRAWN = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


def fuzzed(cases, seed):
    words = [sys.executable, "-m", "tests.faults.fuzzing", str(cases), str(seed)]
    done = subprocess.run(words, cwd=REPO, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def check_fuzzed(found, cases):
    assert not found["faults"], "\n".join(found["faults"][:5])
    outcomes = found["outcomes"]
    assert outcomes["cases"] == cases
    # The folders are spoilt and not merely broken: many records are still read, others not, for each of the reasons.
    assert (
        min(outcomes[name] for name in ("Window", "LeftOut", "unreadable", "refused", "stored", "looked at"))
        > cases / 100
    )


def test_three_hundred_spoilt_folders_are_read_or_refused_with_a_reason():
    check_fuzzed(fuzzed(300, 1), 300)


@pytest.mark.slow
def test_ten_thousand_spoilt_folders_are_read_or_refused_with_a_reason(fault):
    check_fuzzed(fuzzed(10_000, 7), 10_000)
    fault(
        "recordings, folders spoilt at random",
        10_000,
        0,
        "read, or left out with a reason, or one line, in bounded time",
    )


# Numbers that recordings should not hold, among those that they do.
NUMBERS = st.one_of(
    st.floats(-3, 3), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e9, -1e9, 1e38, 1e-40, 500.0, 65_520.0])
)
NAMES = st.one_of(st.sampled_from([*LEADS, "MLII", "lead v1", "VX", "AVR ", "i"]), st.text(max_size=8))


@st.composite
def recordings(draw):
    """1 to 30 leads, 1 sample to half a minute, any rate, any numbers; names that may repeat or mean nothing."""
    leads = tuple(draw(st.lists(NAMES, min_size=1, max_size=30)))
    fs = draw(st.one_of(st.sampled_from([100.0, 250.0, 500.0]), st.floats(0.001, 25_000), st.sampled_from([1e9, 79.9])))
    samples = draw(st.one_of(st.integers(1, 40), st.integers(390, 3000)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    beat = np.sin(np.arange(samples) / max(fs, 1) * 7) ** 31
    signal = (beat + rng.normal(0, draw(st.sampled_from([0.0, 0.02])), (len(leads), samples))).astype(np.float32)
    for _ in range(draw(st.integers(0, 4))):
        lead, start = draw(st.integers(0, len(leads) - 1)), draw(st.integers(0, samples - 1))
        with np.errstate(over="ignore"):
            signal[lead, start : start + draw(st.integers(1, samples))] = np.float32(draw(NUMBERS))
    return Recording("r", fs, leads, signal)


def check_any_recording(recording):
    results = preprocess(recording, SIGNAL, 4.0, 20.0)
    assert results, "neither used nor left out"
    windows = [result for result in results if isinstance(result, Window)]
    for result in results:
        if isinstance(result, LeftOut):
            assert result.reason and result.reason.isprintable()
    if not windows:
        return
    ecg = torch.from_numpy(np.stack([window.ecg for window in windows]))
    mask = torch.from_numpy(np.stack([window.lead_mask for window in windows]))
    assert ecg.shape[1:] == (12, 400) and torch.isfinite(ecg).all() and ecg.abs().max() <= 20
    assert mask.any(1).all() and not ecg[~mask].any()
    for peaks in detect_r_peaks(ecg, mask, 100.0):
        assert (peaks.diff() > 0).all() and (peaks >= 0).all() and (peaks < 400).all()
    with torch.no_grad():
        tokens, meta = ECGTokenizer(TokenizerConfig(), 100.0)(ecg, mask)
    assert torch.isfinite(tokens).all() and meta["beat_mask"].any(1).all()


@settings(max_examples=40, **DRAWN)
@given(recordings())
def test_any_recording_becomes_windows_of_numbers_or_a_reason(recording):
    check_any_recording(recording)


@pytest.mark.slow
@settings(max_examples=3000, **DRAWN)
@given(recordings())
def test_any_of_many_recordings_becomes_windows_of_numbers_or_a_reason(recording):
    check_any_recording(recording)


WORDS = st.sampled_from(
    ["r", "r/2", "12", "100", "1000", "r.dat", "16", "~", "200/mV", "0", "I", "#Dx:", "99999999999", "-1"]
)
LINES = st.lists(st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=10).map(" ".join), max_size=6)


@settings(max_examples=150, **DRAWN)
@given(LINES)
def test_any_text_as_a_header_is_a_header_or_a_reason(tmp_path_factory, lines):
    root = tmp_path_factory.getbasetemp()
    root.joinpath("r.hea").write_text("\n".join(lines), encoding="utf-8", errors="replace")
    root.joinpath("r.dat").write_bytes(bytes(2000))
    try:
        header = read_header(root, "r")
        assert header.values > 0 and header.samples >= 0
    except UnreadableError as reason:
        assert str(reason) and str(reason).isprintable()


# Where files may lie


@pytest.fixture
def abroad(tmp_path):
    """A root, and beside it somebody else's recording and table."""
    root, outside = tmp_path / "root", tmp_path / OUTSIDE
    write_record(outside / "r0", hearts(1)[0], LEADS)
    outside.joinpath("table.csv").write_text(f"{SECRET},b\n1,2\n")
    root.mkdir()
    return root


TRICKS = (
    "../outside/r0",
    "x/../../outside/r0",
    "/etc/passwd",
    "a\0b",
    "a::b",
    "",
    ".",
    "..",
    "a" * 5000,
    "~/r0",
    "file:///etc/x",
)


@pytest.mark.parametrize("name", TRICKS, ids=range(len(TRICKS)))
def test_no_name_leads_out_of_the_folder(abroad, name):
    with pytest.raises(UnreadableError, match="not a file of the folder|link out of the folder|file missing"):
        file_below(abroad, name)


def test_a_path_that_chains_file_systems_is_not_opened(abroad):
    write_record(abroad / "a::b" / "r0", hearts(1)[0], LEADS)
    source = WFDBFolderSource(abroad, 10.0)
    (entry,) = source.entries()
    with pytest.raises(UnreadableError, match="`::` in a path"):
        list(source.read(entry))


@pytest.mark.parametrize("make", ["link", "link of a folder", "pipe", "folder", "loop"])
def test_what_is_no_plain_file_of_the_folder_is_not_opened(abroad, make):
    path = abroad / "r0.hea"
    {
        "link": lambda: path.symlink_to(abroad.parent / OUTSIDE / "r0.hea"),
        "link of a folder": lambda: (abroad / "sub").symlink_to(abroad.parent / OUTSIDE),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
    }[make]()
    name = "sub/r0.hea" if make == "link of a folder" else "r0.hea"
    with pytest.raises(UnreadableError, match="not a file of the folder|link out of the folder"):
        file_below(abroad, name)


def test_a_link_within_the_folder_is_read(abroad):
    write_record(abroad / "real" / "r1", hearts(1)[0], LEADS)
    for suffix in (".hea", ".dat"):
        (abroad / f"r1{suffix}").symlink_to(abroad / "real" / f"r1{suffix}")
    source = WFDBFolderSource(abroad, 10.0)
    assert [next(iter(source.read(entry))).signal.shape for entry in source.entries()] == [(12, 5000)] * 2


@pytest.mark.parametrize(("write", "index"), [(write_ptbxl, "ptbxl_database.csv"), (write_mimic, "record_list.csv")])
def test_an_index_that_points_elsewhere_loses_that_record_only(abroad, write, index):
    write(abroad, hearts(2))
    path = abroad / index
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[1][-1] = "../outside/r0"
    path.write_text("\n".join(",".join(line) for line in lines))
    data = DataConfig(source="ptbxl" if write is write_ptbxl else "mimic", root=str(abroad), ptbxl_rate=500, workers=1)
    target = abroad / "store"
    target.mkdir()
    build(make_source(data, SIGNAL), data, SIGNAL, target)
    store = open_store(target)
    assert len(store) == 1 and [reason[:24] for _, reason in store.rejected] == ["not a file of the folder"]


@pytest.mark.parametrize("index", ["records.csv", "signals.npy"])
def test_an_index_that_is_a_link_out_is_refused_and_says_nothing_of_what_is_there(abroad, index):
    write_arrays(abroad, hearts(2))
    (abroad / index).unlink()
    (abroad / index).symlink_to(abroad.parent / OUTSIDE / "table.csv")
    for call in (ArraysSource(abroad, 10.0).entries, ArraysSource(abroad, 10.0).fingerprint):
        if call.__name__ == "fingerprint" and index == "signals.npy":
            continue  # its state is looked at, its content is not
        message = fault_of(call)
        assert "link out of the folder" in message and SECRET not in message


def test_an_empty_name_of_the_folder_is_none(abroad, monkeypatch):
    write_record(abroad / "r0", hearts(1)[0], LEADS)
    monkeypatch.chdir(abroad)
    assert "got none; pass --data-root" in fault_of(make_source, DataConfig(source="wfdb", root=""), SIGNAL)


# What a header may promise

ONE = "r.dat 16 200/mV 12 0 0 0 0 I\n"
PROMISES = {
    "r 1000000000 100 450\n" + ONE: "1e+09 channels, more than 128",
    "r 100 100 450\n" + ONE: "100 channels promised, 1 described",
    "r 0 100 450\n": "no signal in the record",
    "r 1 100 99999999999\n" + ONE: "r.dat has 2000 bytes, its header promises 2e+11",
    "r 1 100 450\nr.dat 16x100000000 200/mV 12 0 0 0 0 I\n": "r.dat has 2000 bytes",
    "r 1 100 450\nr.dat 16+99999999999 200/mV 12 0 0 0 0 I\n": "r.dat has -99999997999 bytes",
    "r 1 100 450\nr.dat 16:1000000000 200/mV 12 0 0 0 0 I\n": "too large: channels 1e+09 samples apart",
    "r 1 100 450\nr.dat 516x100000 200/mV 12 0 0 0 0 I\n": "too large: 450 samples of 100000 channels",
    "r 1 100 4000000000\nr.dat 516 200/mV 12 0 0 0 0 I\n": "too long: 4e+09 samples, more than 31 days",
    "r 1 100\nr.dat 516 200/mV 12 0 0 0 0 I\n": "packed signals without their length",
    "r 1 -500 450\n" + ONE: "sampling rate '-500'",
    "r 1 nan 450\n" + ONE: "sampling rate 'nan'",
    "r 1 5e2 450\n" + ONE: "sampling rate '5e2'",
    "r 1 . 450\n" + ONE: "sampling rate '.'",
    "r 1 100 450\nr.dat 99 200/mV 12 0 0 0 0 I\n": "signal format 99",
    "r 1 100 450\n../outside/r0.dat 16 200/mV 12 0 0 0 0 I\n": "unreadable header: '../outside",
    "r 1 100 450\n/etc/passwd 16 200/mV 12 0 0 0 0 I\n": "unreadable header: '/etc/passwd",
    "r/1000000000 12 100 450\nr 450\n": "1e+09 segments promised, 1 named",
    "r/1 1 100 450\nr 450\n": "segment r has segments of its own",
    "r/1 1 100 450\n../outside/r0 450\n": "unreadable header: '../outside",
    "r/2 12 100 9000000000\n~ 9000000000\n~ 1\n": "too long: 9e+09 samples, more than 31 days",
    "r/1 12 0.5 9000000\n~ 9000000\n": "too large: 9e+06 samples of 12 channels",
    "a" * 100_000 + "!": "a line of 100001 characters",
    "#" * (2 << 20): "more than 1048576 bytes",
    "# only a comment\n": "no line with a record's name",
}


@pytest.mark.parametrize("text", PROMISES, ids=range(len(PROMISES)))
def test_what_a_header_promises_must_be_there_and_fit(tmp_path, text):
    tmp_path.joinpath("r.hea").write_text(text)
    tmp_path.joinpath("r.dat").write_bytes(bytes(2000))
    source = WFDBFolderSource(tmp_path, 10.0)
    (entry,) = [*source.entries(), contract.Entry("r", "r")][:1]
    with pytest.raises(UnreadableError) as reason:
        list(source.read(entry))
    assert PROMISES[text] in str(reason.value)


def test_a_long_record_whose_header_is_silent_about_it_is_refused_by_its_size(tmp_path):
    tmp_path.joinpath("r.hea").write_text("r 1 100\n" + ONE)
    with tmp_path.joinpath("r.dat").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing, in a file that takes no room
    with pytest.raises(UnreadableError, match="too large"):
        list(WFDBFolderSource(tmp_path, 10.0).read(contract.Entry("r", "r")))


def test_an_array_of_a_terabyte_of_nothing_is_refused_record_by_record(tmp_path):
    write_arrays(tmp_path, hearts(1), fs=0.5)
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (1, 12, {10**10}), }}".ljust(117) + "\n"
    with (tmp_path / "signals.npy").open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode())
        file.truncate(1 << 39)
    source = ArraysSource(tmp_path, 10.0)
    with pytest.raises(UnreadableError, match="too large"):
        list(source.read(source.entries()[0]))


def test_a_windows_length_that_the_user_asks_for_is_not_too_large():
    hour = contract.checked_spans(3600 * 500, 12, 500.0, 3600.0)
    day = contract.checked_spans(86_400 * 250, 12, 250.0, 86_400.0)
    assert [len(hour), len(day)] == [1, 1]


@pytest.mark.slow
def test_a_day_of_thirty_leads_is_read_in_blocks_of_bounded_size(tmp_path):
    names = [*LEADS, *(f"X{number}" for number in range(18))]
    table(tmp_path / "records.csv", ("id", "fs", "unit", "leads"), ("day", 250, "mV", " ".join(names)))
    day = 86_400 * 250
    array = np.lib.format.open_memmap(tmp_path / "signals.npy", "w+", np.int16, (1, 30, day))
    del array  # zeros that take no room
    source = ArraysSource(tmp_path, 10.0)
    largest = count = 0
    for recording in source.read(source.entries()[0]):
        largest = max(largest, recording.signal.nbytes)
        if count % 600 == 0:
            left = preprocess(recording, SIGNAL, 10.0, 20.0)
            assert all(isinstance(result, LeftOut) and "no usable lead" in result.reason for result in left)
        count += recording.extra["span"].last - recording.extra["span"].first
    assert count == 8640 and largest <= 30 * 610 * 250 * 4


# What was found by fuzzing


def test_channels_without_a_name_are_no_leads(tmp_path):
    write_record(tmp_path / "r", hearts(1)[0], LEADS)
    header = tmp_path / "r.hea"
    lines = header.read_text().splitlines()
    header.write_text("\n".join([lines[0], *(line.rsplit(" ", 1)[0] for line in lines[1:])]) + "\n")
    source = WFDBFolderSource(tmp_path, 10.0)
    (recording,) = source.read(source.entries()[0])
    (left,) = preprocess(recording, SIGNAL, 10.0, 20.0)
    assert recording.leads == ("",) * 12 and "unknown lead names: none" in left.reason


def test_a_file_name_that_is_no_text_gets_an_id_that_is(tmp_path):
    write_record(tmp_path / "root" / "r", hearts(1)[0], LEADS)
    header = tmp_path / "root" / "r.hea"
    header.rename(header.with_name(os.fsdecode(b"caf\xe9.hea")))
    data = DataConfig(source="wfdb", root=str(tmp_path / "root"), workers=1)
    target = tmp_path / "store"
    target.mkdir()
    build(make_source(data, SIGNAL), data, SIGNAL, target)
    assert [row.id for row in open_store(target).rows] == ["caf\\udce9"]


@pytest.mark.parametrize(
    "cell", ["(" * 3000, "-" * 9000 + "1", "{1: 2, 'a': 3}", "'NORM'", "{'NORM': 1" + " " * 99_999 + "}"]
)
@pytest.mark.parametrize("task", ["superdiagnostic", "all"])
def test_statements_that_are_no_dict_of_names_are_one_line(tmp_path, cell, task):
    write_ptbxl(tmp_path, hearts(1))
    index = tmp_path / "ptbxl_database.csv"
    head = index.read_text().splitlines()[0]
    index.write_text(f'{head}\n1,7000.0,"{cell}",1,a,b\n')
    assert "expected a dict" in fault_of(PTBXLSource(tmp_path, task, 500).entries)


@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "1e999"])
def test_an_id_that_is_no_finite_number_is_one_line(tmp_path, number):
    write_ptbxl(tmp_path, hearts(1))
    index = tmp_path / "ptbxl_database.csv"
    lines = index.read_text().splitlines()
    index.write_text("\n".join([lines[0], f"{number},{lines[1].split(',', 1)[1]}"]))
    assert "expected numbers" in fault_of(PTBXLSource(tmp_path, "all", 500).entries)


@pytest.mark.parametrize(
    "descr",
    [
        "'<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 1)",
        "'|O', 'fortran_order': False, 'shape': (2, 12, 450)",
        "(((",
        "-" * 9000,
    ],
)
def test_an_array_whose_header_lies_is_one_line(tmp_path, descr):
    write_arrays(tmp_path, hearts(1))
    head = f"{{'descr': {descr}, }}".ljust(117) + "\n"
    data = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + bytes(4000)
    (tmp_path / "signals.npy").write_bytes(data)
    assert "expected an array of numbers" in fault_of(ArraysSource(tmp_path, 10.0).entries)


@pytest.mark.parametrize("rate", ["1e-9", "0.5", "9e18", "20001"])
def test_a_rate_that_nothing_can_be_drawn_at_is_one_line(tmp_path, rate):
    write_arrays(tmp_path, hearts(1), fs=rate)
    source = ArraysSource(tmp_path, 10.0)
    assert "expected samples at 1 to 20000 Hz" in fault_of(examine, source, source.entries()[0], RunConfig(), 0.0, 10.0)


def test_a_column_that_stands_twice_is_refused(tmp_path):
    write_arrays(tmp_path, hearts(1))
    index = tmp_path / "records.csv"
    index.write_text(index.read_text().replace("id,fs", "id,id,fs").replace("a0,", "a0,a1,"))
    assert "expected the column 'id' once" in fault_of(ArraysSource(tmp_path, 10.0).entries)


def test_a_table_of_a_terabyte_is_not_read(tmp_path):
    write_arrays(tmp_path, hearts(1))
    with (tmp_path / "records.csv").open("ab") as file:
        file.truncate(1 << 40)
    for call in (ArraysSource(tmp_path, 10.0).entries, ArraysSource(tmp_path, 10.0).fingerprint):
        assert "expected a table of at most" in fault_of(call)


def test_voltages_beyond_all_numbers_are_left_out_without_a_warning():
    signal = np.full((12, 1000), 3e38, np.float32)
    signal[:, ::7] = -3e38
    (left,) = preprocess(Recording("r", 100.0, LEADS, signal), SIGNAL, 10.0, 20.0)
    assert isinstance(left, LeftOut) and left.reason.startswith(("amplitude", "no usable lead"))


def test_names_that_a_terminal_would_obey_are_said_as_escapes():
    (left,) = preprocess(Recording("r", 100.0, ("\x1b[2J\n",), np.zeros((1, 1000))), SIGNAL, 10.0, 20.0)
    assert left.reason == "unknown lead names: \\x1b[2J"
