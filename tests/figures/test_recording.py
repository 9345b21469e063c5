"""The sheet of a raw recording says what is used of it and what is not."""

from dataclasses import replace

import numpy as np
import pytest

from ecggen.examination import Defect
from ecggen.figures.recording import recording_figure
from tests.portraits import examination_of


def said(figure):
    return [text.get_text() for text in (*figure.axes[0].texts, *figure.texts)]


def patches(figure, name):
    return [patch for patch in figure.axes[0].patches if patch.get_gid() == name]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_channels_are_drawn_about_their_median_in_the_order_of_the_file_with_what_they_are_read_as():
    raw = examination_of().raw + np.array([[1.25], [0.0]], np.float32)
    figure = recording_figure(examination_of(raw=raw))
    words = said(figure)
    assert words.index("MLII") < words.index("V1")
    assert "read as II, offset of +1.25 mV taken off" in words
    lines = {line.get_gid(): line.get_ydata() for line in figure.axes[0].lines}
    drawn, given = lines["raw-MLII"], examination_of().raw[0]
    np.testing.assert_allclose(drawn - np.median(drawn), given - np.median(given), atol=1e-6)
    np.testing.assert_allclose(np.median(drawn) + np.median(given), np.median(lines["clean-MLII"]), atol=1e-6)


def test_r_peaks_and_beat_windows_stand_at_their_times():
    seen = examination_of()
    axes = recording_figure(seen).axes[0]
    (peaks,) = [line for line in axes.lines if line.get_gid() == "peaks"]
    np.testing.assert_allclose(peaks.get_xdata(), seen.pieces[0].peaks)
    beats = [line.get_xdata() for line in axes.lines if line.get_gid() == "beat"]
    np.testing.assert_allclose([(x[0], x[-1]) for x in beats], seen.pieces[0].beats, atol=0.02)


def test_a_defect_is_hatched_in_its_row_and_named():
    defects = (Defect(1, 2.0, 3.5, "long gap", False), Defect(0, 5.0, 5.1, "short gap, interpolated", True))
    figure = recording_figure(examination_of(defects=defects))
    gap, mended = patches(figure, "defect")
    assert (gap.get_x(), gap.get_width()) == (2.0, 1.5) and gap.get_hatch()
    assert gap.get_y() + gap.get_height() <= mended.get_y()  # V1 lies below MLII
    assert "long gap" in said(figure) and "read as II, short gap, interpolated" in said(figure)
    assert {"not used", "mended"} <= set(legend(figure))


def test_a_window_that_is_left_out_is_tinted_from_top_to_bottom_and_says_why():
    reason = "amplitude: 30 mV after filtering, beyond 20 mV (unit or artefact?)"
    piece = replace(examination_of().pieces[0], reason=reason, peaks=np.zeros(0), beats=np.zeros((0, 2)))
    figure = recording_figure(examination_of(pieces=(piece,)))
    (patch,) = patches(figure, "left-out")
    assert (patch.get_x(), patch.get_width(), patch.get_height()) == (0.0, 10.0, figure.axes[0].get_ylim()[1])
    assert f"window 0-10 s left out: {reason}" in said(figure) and "left out" in legend(figure)


@pytest.mark.parametrize("reason", ["too short: 4.00 s, shorter than 10 s", "unknown lead names: a b"])
def test_a_record_that_is_left_out_is_drawn_raw_with_the_reason_above_it(reason):
    seen = examination_of(reason=reason, pieces=(), raw=examination_of().raw[:, :400], leads=("a", "b"))
    figure = recording_figure(seen)
    assert f"Left out: {reason}" in said(figure) and "not a standard lead" in said(figure)
    (patch,) = patches(figure, "left-out")
    assert patch.get_width() == 4.0
    assert legend(figure) == ["raw", "left out"]


def test_the_rest_that_fills_no_window_is_said_to_be_not_used():
    raw = np.concatenate([examination_of().raw] * 2, axis=1)[:, :1500]
    figure = recording_figure(examination_of(raw=raw, total=15.0))
    (patch,) = patches(figure, "left-out")
    assert (patch.get_x(), patch.get_width()) == (10.0, 5.0)
    assert "left out: rest, shorter than a window" in said(figure)


def test_a_channel_that_is_no_ecg_is_cut_and_says_how_far_it_goes_and_one_without_samples_says_so():
    raw = examination_of().raw.copy()
    raw[0, 100] = 700.0
    raw[1] = np.nan
    figure = recording_figure(examination_of(raw=raw))
    assert "read as II, cut, goes from 0 to 700 mV" in said(figure) and "no sample" in said(figure)
    assert figure.get_size_inches()[1] * 25.4 < 200


def test_where_it_comes_from_and_what_was_never_recorded_is_said():
    words = said(recording_figure(examination_of(), "wfdb /data"))
    assert "wfdb /data, 100 Hz, 10 s, 0-10 s shown; never recorded: I, III" in words
    assert "25 mm/s, 10 mm/mV, raw not filtered" in words and "Used: its one window" in words
