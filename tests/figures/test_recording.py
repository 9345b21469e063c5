"""The sheet of a raw recording says what is used of it and what is not."""

from dataclasses import replace

import numpy as np
import pytest

from ecggen.examination import Defect
from ecggen.figures.paper import MM_PER_SECOND
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
    assert "read as II, cut at ±2 mV, goes from 0 to 700 mV" in said(figure) and "no sample" in said(figure)
    assert figure.get_size_inches()[1] * 25.4 < 200


def test_where_it_comes_from_and_what_was_never_recorded_is_said():
    words = said(recording_figure(examination_of(), "wfdb /data"))
    assert "wfdb /data, 100 Hz, 10 s, 0-10 s shown; never recorded: I, III" in words
    assert "25 mm/s, 10 mm/mV, raw not filtered" in words and "Used: its one window" in words


def trace(figure, name):
    """Raw mV of a channel as drawn, about its median."""
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == f"raw-{name}"]
    return line.get_ydata() - np.median(line.get_ydata())


def height_mm(figure):
    return figure.get_size_inches()[1] * 25.4


def test_an_electrode_that_pops_leaves_the_r_waves_whole():
    raw = examination_of().raw * np.array([[2.6], [1.0]], np.float32)
    raw[0, 305:309] = 9.0
    figure = recording_figure(examination_of(raw=raw, pieces=()))
    drawn = trace(figure, "MLII")
    assert drawn[48] == pytest.approx(2.6, abs=0.01) and drawn.max() == 3.5
    assert "read as II, cut at ±3.5 mV, goes from -0.01 to 8.99 mV" in said(figure)


def test_what_lies_at_the_rails_for_a_while_does_not_raise_the_level_of_the_rest():
    raw = examination_of().raw.copy()
    raw[0, 200:500] = 12.0
    figure = recording_figure(examination_of(raw=raw, pieces=()))
    assert trace(figure, "MLII").max() == 2.0 and "cut at ±2 mV" in " ".join(said(figure))


def test_a_record_in_a_wrong_unit_is_drawn_smaller_so_that_it_can_be_read_and_without_the_pulse_of_the_gain():
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 1000)).astype(np.float32)
    plain = examination_of(raw=examination_of().raw + noise, pieces=())
    wrong = examination_of(raw=plain.raw * np.array([[1000.0], [1.0]], np.float32), pieces=())
    one, other = recording_figure(plain), recording_figure(wrong)
    np.testing.assert_allclose(trace(other, "MLII"), trace(one, "MLII"), atol=1e-3)
    assert height_mm(other) == height_mm(one)
    assert sum(line.get_gid() == "calibration" for line in other.axes[0].lines) == 1  # that of V1
    words = said(other)
    assert any(text.startswith("not to scale, drawn 1000 times smaller, read as II, ") for text in words)
    assert any("goes from -" in text and "e+" not in text for text in words)
    assert "25 mm/s, 10 mm/mV, raw not filtered; no gain holds for what is not to scale" in words
    assert not [text for text in said(one) if "scale" in text]


def test_a_sheet_of_twelve_tall_channels_is_cut_lower_and_says_so():
    raw = np.tile(examination_of().raw[:1], (12, 1)) * 4.5
    raw -= np.roll(raw, 40, axis=1)
    figure = recording_figure(examination_of(raw=raw, leads=tuple("abcdefghijkl"), pieces=()))
    assert height_mm(figure) < 650
    assert sum("cut at ±2 mV, goes from -4" in text for text in said(figure)) == 12
    alone = recording_figure(examination_of(raw=raw[:2], pieces=()))
    assert not [text for text in said(alone) if "cut" in text]


def test_a_lead_that_is_derived_in_place_of_a_broken_one_says_so_beside_its_hatching():
    gap = (Defect(1, 2.0, 5.0, "long gap", False),)
    one = examination_of().pieces[0]
    derived = replace(one, repairs=("limb lead derived: II V1",))  # V1 stands for III here
    figure = recording_figure(examination_of(defects=gap, pieces=(derived,)))
    assert "long gap, derived from the other limb leads" in said(figure)
    raw = np.tile(examination_of().raw, (1, 2))
    later = replace(derived, start=10.0, end=20.0)
    figure = recording_figure(examination_of(raw=raw, total=20.0, pieces=(one, later)))
    assert "derived from the other limb leads in 10-20 s" in said(figure)


def test_a_second_channel_of_a_lead_says_which_it_is():
    words = said(recording_figure(examination_of(leads=("II", "ii"))))
    assert "second II, not used" in words and not [text for text in words if "standard" in text]


def test_a_dead_electrode_is_said_once():
    whole = "long gap or dead electrode, lead not used"
    defects = (Defect(1, 2.0, 5.0, "dead electrode, one value held", False), Defect(1, 0.0, 10.0, whole, False))
    assert "dead electrode, one value held, lead not used" in said(recording_figure(examination_of(defects=defects)))
    elsewhere = said(recording_figure(examination_of(defects=defects[1:])))
    assert whole in elsewhere  # the gap itself lies outside the stretch


@pytest.mark.parametrize("name", ["resp", "i" * 30, "W" * 12, "W" * 200])
def test_words_stand_close_behind_the_name_of_their_channel_and_on_the_paper(name):
    figure = recording_figure(examination_of(leads=("II", name), raw=examination_of().raw * 900))
    figure.canvas.draw()
    (axes,) = figure.axes
    texts = [text for text in axes.texts if text.get_fontweight() == "bold"]
    end = texts[1].get_window_extent().x1
    words = axes.texts[axes.texts.index(texts[1]) + 1].get_window_extent()
    gap_mm = (words.x0 - end) / figure.dpi * 25.4
    assert 1 < gap_mm < 4 and words.x1 <= axes.bbox.x1
    assert (end - texts[1].get_window_extent().x0) / figure.dpi * 25.4 < 3 * MM_PER_SECOND
