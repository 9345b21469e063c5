"""Beat windows and interpolation on cases whose answer is known by hand."""

from itertools import pairwise
from statistics import median

import numpy as np
import pytest
import torch

from ecggen.data.beats import BeatWindows, cut_beats, pad_spans, peak_table, segment


def around(peaks, n_samples, beat_len=300, before=0.35):
    """Spans of one record, how many were left out, whether equal windows were taken."""
    found = segment(*peak_table([torch.tensor(peaks, dtype=torch.int64)]), n_samples, beat_len, before)
    (spans,) = found.windows.spans()
    return spans, int(found.left_out), bool(found.fallback)


def test_windows_have_the_median_rr_and_keep_the_r_peak_at_the_same_place():
    peaks = [100, 180, 262, 340, 520]  # RR 80, 82, 78, 180: median 81
    spans, left_out, _ = around(peaks, 1000)
    assert [end - start for start, end in spans] == [81] * 5
    assert [p - start for p, (start, _) in zip(peaks, spans, strict=True)] == [28] * 5
    assert left_out == 0


def test_only_windows_that_lie_inside_the_record_are_taken_and_the_others_counted():
    assert around([10, 110, 210, 310], 340) == ([(75, 175), (175, 275)], 2, False)


def test_a_window_that_just_fits_is_taken():
    assert around([35, 135, 235], 300) == ([(0, 100), (100, 200), (200, 300)], 0, False)


def test_fewer_than_two_beats_fall_back_to_equal_windows():
    for peaks in ([], [100], [5, 995]):
        assert around(peaks, 1000) == ([(0, 300), (300, 600), (600, 900)], len(peaks), True)


def test_a_record_too_short_for_any_window_has_none():
    assert around([], 200) == ([], 0, True)
    found = segment(None, np.zeros(2, np.int64), 200, 300, 0.35)
    assert found.windows.spans() == [[], []] and found.windows.mask.shape == (2, 0)


def test_windows_begin_with_the_r_peak_where_that_is_asked_and_padding_is_none():
    found = segment(*peak_table([torch.tensor([10, 60, 110]), torch.tensor([0, 50])]), 400, 100, 0.0)
    assert found.windows.spans() == [[(10, 60), (60, 110), (110, 160)], [(0, 50), (50, 100)]]


def test_no_window_is_shorter_than_two_samples():
    spans, _, _ = around([20, 21, 22, 23], 100)
    assert [end - start for start, end in spans] == [2] * 4


def test_equal_windows_are_no_fallback_where_they_were_asked_for():
    found = segment(None, np.array([3, 0]), 250, 100, 0.35)
    assert found.windows.spans() == [[(0, 100), (100, 200)]] * 2
    assert found.left_out.tolist() == [0, 0] and found.fallback.tolist() == [False, False]


def one_by_one(peaks, n_samples, beat_len, before):
    """Windows of one record as they are defined."""
    if len(peaks) > 1:
        rr = max(round(median(later - earlier for earlier, later in pairwise(peaks))), 2)
        starts = [p - round(before * rr) for p in peaks]
        spans = [(s, s + rr) for s in starts if s >= 0 and s + rr <= n_samples]
        if len(spans) > 1:
            return spans
    return [(s, s + beat_len) for s in range(0, n_samples - beat_len + 1, beat_len)]


def test_the_windows_of_a_batch_are_those_of_each_record_by_itself():
    rng = np.random.default_rng(0)
    peaks = [np.unique(rng.integers(0, 1000, rng.integers(0, 15))).tolist() for _ in range(500)]
    found = segment(*peak_table([torch.tensor(own, dtype=torch.int64) for own in peaks]), 1000, 100, 0.35)
    assert found.windows.spans() == [one_by_one(own, 1000, 100, 0.35) for own in peaks]
    assert found.windows.starts[~found.windows.mask].eq(0).all()
    assert found.windows.lengths[~found.windows.mask].eq(1).all()


def test_neighbours_are_windows_side_by_side_from_the_first_on():
    spans = [[(0, 10), (10, 20), (20, 30), (30, 40)], [(5, 9), (9, 13)]]
    taken = pad_spans(spans).neighbours(torch.tensor([2, 0]), 2)
    assert taken.spans() == [spans[0][2:], spans[1]]
    taken = pad_spans(spans).neighbours(torch.tensor([1, 0]), 3)
    assert taken.spans() == [spans[0][1:], spans[1]]
    assert taken.starts[1, 2] == 0 and taken.lengths[1, 2] == 1
    with pytest.raises(AssertionError, match="expected room for 2 windows"):
        pad_spans(spans).neighbours(torch.tensor([3, 0]), 2)


def test_more_padding_changes_no_window():
    spans = [[(0, 10), (10, 20)], [(5, 9)]]
    wide = pad_spans(spans).padded(5)
    assert wide.spans() == spans and wide.mask.shape == (2, 5)
    assert wide.starts[~wide.mask].eq(0).all() and wide.lengths[~wide.mask].eq(1).all()
    with pytest.raises(AssertionError, match="at least 5, got 4"):
        wide.padded(4)
    again = wide.padded(5)
    assert isinstance(again, BeatWindows) and all(map(torch.equal, again, wide))


def test_padding_repeats_no_real_beat():
    starts, lengths, mask = pad_spans([[(3, 8), (8, 13)], [(1, 4)]])
    assert starts.tolist() == [[3, 8], [1, 0]]
    assert lengths.tolist() == [[5, 5], [3, 1]]
    assert mask.tolist() == [[True, True], [True, False]]


def test_a_window_of_beat_len_samples_comes_out_as_it_went_in():
    ecg = torch.randn(2, 3, 50)
    starts, lengths, _ = pad_spans([[(0, 10), (40, 50)], [(7, 17), (20, 30)]])
    beats = cut_beats(ecg, starts, lengths, 10)
    assert beats.shape == (2, 3, 2, 10)
    torch.testing.assert_close(beats[1, :, 0], ecg[1, :, 7:17], rtol=0, atol=0)
    torch.testing.assert_close(beats[0, :, 1], ecg[0, :, 40:50], rtol=0, atol=0)


def test_interpolation_is_linear():
    ramp = torch.arange(100.0).expand(1, 1, 100)
    starts, lengths, _ = pad_spans([[(20, 40)]])
    torch.testing.assert_close(cut_beats(ramp, starts, lengths, 40)[0, 0, 0], 20 + torch.arange(40) / 2)
    torch.testing.assert_close(cut_beats(ramp, starts, lengths, 5)[0, 0, 0], torch.tensor([20.0, 24, 28, 32, 36]))
