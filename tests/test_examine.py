"""A raw recording is shown as it lies on disk, with exactly what preprocessing says of it."""

import numpy as np
import pytest

from ecggen.config import DataConfig, RunConfig, SignalConfig
from ecggen.data.build import build
from ecggen.data.recording import Recording
from ecggen.data.sources.catalog import make_source
from ecggen.data.sources.contract import Entry, UnreadableError, spans
from ecggen.data.store import open_store
from ecggen.examine import examine
from ecggen.gallery import summary
from ecggen.leads import LEADS
from tests.models.conftest import hearts
from tests.user_fault import fault_of

RUN = RunConfig()


class OneRecord:
    """A source of one record; long ones come in blocks, as from a file."""

    def __init__(self, signal, fs=100.0, leads=LEADS, blocks=False):
        self.signal, self.fs, self.leads, self.blocks = signal, fs, leads, blocks

    def read(self, entry):
        if not self.blocks:
            yield Recording(entry.id, self.fs, tuple(self.leads), self.signal)
            return
        for span in spans(self.signal.shape[1], self.fs, RUN.data.seconds):
            yield Recording(
                entry.id, self.fs, tuple(self.leads), self.signal[:, span.start : span.stop], extra={"span": span}
            )


def look(signal, start=0.0, seconds=10.0, **source):
    return examine(OneRecord(signal, **source), Entry("r1", "r1"), RUN, start, seconds)


def heart(seconds=10):
    return hearts(1, 100 * seconds)[0].numpy()


def test_raw_is_what_the_file_holds_and_beats_are_found_on_what_is_used():
    seen = look(heart(25), start=12.0, seconds=5.0)
    np.testing.assert_array_equal(seen.raw, heart(25)[:, 1200:1700])
    assert (seen.total, seen.start, seen.end, seen.reason) == (25.0, 12.0, 17.0, None)
    assert [(piece.start, piece.end, piece.reason) for piece in seen.pieces] == [(0, 10, None), (10, 20, None)]
    # One beat every 0.8 s with its R peak 0.3 s in; both windows are judged, the one that is looked at is drawn.
    np.testing.assert_allclose(seen.pieces[1].peaks, np.arange(10.7, 20, 0.8), atol=0.03)
    np.testing.assert_allclose(np.diff(seen.pieces[1].beats, axis=1), 0.8, atol=0.02)
    assert seen.pieces[0].ecg is None and seen.pieces[1].ecg.shape == (12, 1000)


def test_what_is_seen_is_what_the_cache_of_the_whole_source_would_hold(tmp_path):
    data = DataConfig(source="simulator", workers=1)
    data = DataConfig(source="simulator", workers=1, simulator=type(data.simulator)(records=3, lost_leads=0.2))
    source = make_source(data, SignalConfig())
    build(source, data, SignalConfig(), tmp_path)
    store = open_store(tmp_path)
    for at, entry in enumerate(source.entries()):
        (piece,) = examine(source, entry, RunConfig(data=data), 0.0, 10.0).pieces
        np.testing.assert_array_equal(piece.lead_mask, store.lead_mask[at])
        np.testing.assert_array_equal(piece.ecg.astype(np.float16), store.signals[at])
        np.testing.assert_allclose(piece.peaks * 100, store.ragged["r_peaks"][at], atol=1e-6)
        remarks = [remark.reason for remark in store.remarks if remark.id == entry.id]
        assert [repair for repair in piece.repairs if repair not in remarks] == []


def test_gaps_and_dead_electrodes_are_marked_where_they_are_and_whole_leads_where_they_are_not_used():
    signal = heart().copy()
    signal[6, 200:210] = np.nan  # 0.1 s, interpolated
    signal[7, 300:390] = np.nan  # 0.9 s, too long
    signal[8, 500:700] = 1.0  # 2 s of one value
    signal[9] *= 1e-3  # flat
    defects = look(signal).defects
    assert {(d.row, round(d.start, 2), round(d.end, 2), d.what, d.mended) for d in defects} == {
        (6, 2.0, 2.1, "short gap, interpolated", True),
        (7, 3.0, 3.9, "long gap", False),
        (8, 5.0, 7.0, "dead electrode, one value held", False),
        (7, 0.0, 10.0, "long gap or dead electrode, lead not used", False),
        (8, 0.0, 10.0, "long gap or dead electrode, lead not used", False),
        (9, 0.0, 10.0, "flat lead not used", False),
    }


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"signal": heart(8)}, "too short: 8.00 s, shorter than 10 s"),
        ({"signal": heart(), "fs": 50.0}, "sampling rate: 50 Hz, outside 80-20000 Hz"),
        ({"signal": heart(30), "leads": list("abcdefghjklm")}, "unknown lead names"),
        ({"signal": heart(), "leads": ("I", "II")}, "lead count: 2 names for a signal of shape [12, 1000]"),
        ({"signal": heart() * np.nan}, "no usable lead"),
        ({"signal": heart() * 1000}, "amplitude"),
    ],
)
def test_a_record_that_is_left_out_as_a_whole_is_shown_with_the_reason(source, reason):
    seen = look(**source)
    assert seen.reason.startswith(reason) and seen.verdict().startswith(f"left out: {reason}")
    assert seen.raw.shape[0] == 12 == len(seen.leads)


def test_a_window_that_is_left_out_for_its_amplitude_is_shown_preprocessed_all_the_same():
    signal = heart(30).copy()
    signal[:, 1500:1600] *= 200
    seen = look(signal, start=10.0)
    used, left_out, _ = seen.pieces
    assert used.reason is None and left_out.reason.startswith("amplitude") and left_out.id == "r1@10"
    assert left_out.ecg is not None and np.abs(left_out.ecg).max() > 20 and not len(left_out.peaks)
    assert seen.reason is None and seen.verdict().startswith("1 of 3 windows left out: amplitude")


def test_a_stretch_across_two_blocks_of_a_long_record_is_whole_and_marks_nothing_twice():
    signal = np.tile(heart(8), (1, 160))  # 1280 s, the second block begins at 600 s
    signal[7, 59_900:60_100] = np.nan
    seen = look(signal, start=595.0, blocks=True)
    np.testing.assert_array_equal(seen.raw, signal[:, 59_500:60_500])
    gaps = sorted((d.start, d.end) for d in seen.defects if d.what == "long gap")
    assert gaps == [(599.0, 600.0), (600.0, 601.0)]
    assert len(seen.pieces) == 128 and [piece.start for piece in seen.pieces] == list(range(0, 1280, 10))


def test_of_two_channels_of_one_lead_the_first_is_used():
    assert look(heart()[:3], leads=("MLII", "ii", "resp")).used_as() == ["II", None, None]


class Unreadable:
    def read(self, entry):
        raise UnreadableError("file missing: r1.dat")
        yield


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Unreadable(), "got: file missing: r1.dat"),
        (OneRecord(heart(), fs=0.0), "got 0 Hz"),
        (OneRecord(heart(), fs=float("nan")), "got nan Hz"),
        (OneRecord(np.zeros((12, 0))), "[12, 0]"),
    ],
)
def test_a_record_of_which_nothing_can_be_drawn_is_one_line(source, says):
    assert says in fault_of(examine, source, Entry("r1", "r1"), RUN, 0.0, 10.0)


def test_a_start_beyond_the_end_is_one_line_that_says_the_length():
    assert "below 10 s, the length of record r1, got 10 s" in fault_of(look, heart(), 10.0)


def test_of_channels_of_one_lead_each_but_the_first_says_which_it_is():
    seen = look(heart()[:5], leads=("MLII", "ii", "resp", "V1", "II"))
    assert seen.doubles() == [None, "second II", None, None, "third II"]


def test_a_lead_in_place_of_a_broken_one_is_known_to_be_derived():
    signal = heart().copy()
    signal[2, 300:600] = np.nan
    (piece,) = look(signal).pieces
    assert piece.derived == ("III",) and piece.lead_mask[2]


def test_a_window_too_high_says_what_was_made_of_its_leads_and_that_is_no_repair_of_a_used_one():
    signal = heart().copy() * 1000
    signal[2, 300:600] = np.nan
    seen = look(signal)
    assert seen.pieces[0].reason.startswith("amplitude") and seen.pieces[0].derived == ("III",)
    assert not [line for line in summary(seen, 0) if line.startswith("repaired")]
