"""Beat windows and interpolation on cases whose answer is known by hand."""

import torch

from ecggen.data.beats import cut_beats, equal_spans, pad_spans, rr_spans, segment


def test_windows_have_the_median_rr_and_keep_the_r_peak_at_the_same_place():
    peaks = torch.tensor([100, 180, 262, 340, 520])  # RR 80, 82, 78, 180: median 81
    spans, left_out = rr_spans(peaks, 1000, before=0.35)
    assert [end - start for start, end in spans] == [81] * 5
    assert [int(p) - start for p, (start, _) in zip(peaks, spans, strict=True)] == [28] * 5
    assert left_out == 0


def test_only_windows_that_lie_inside_the_record_are_taken_and_the_others_counted():
    spans, left_out = rr_spans(torch.tensor([10, 110, 210, 310]), 340, before=0.35)
    assert spans == [(75, 175), (175, 275)]
    assert left_out == 2


def test_a_window_that_just_fits_is_taken():
    spans, left_out = rr_spans(torch.tensor([35, 135, 235]), 300, before=0.35)
    assert spans == [(0, 100), (100, 200), (200, 300)]
    assert left_out == 0


def test_fewer_than_two_beats_fall_back_to_equal_windows():
    for peaks in ([], [100], [5, 995]):
        found = segment(torch.tensor(peaks, dtype=torch.int64), 1000, 300, 0.35)
        assert found.fallback and found.spans == [(0, 300), (300, 600), (600, 900)]


def test_equal_windows_are_no_fallback_where_they_were_asked_for():
    found = segment(None, 250, 100, 0.35)
    assert found.spans == equal_spans(250, 100) == [(0, 100), (100, 200)]
    assert not found.fallback


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
