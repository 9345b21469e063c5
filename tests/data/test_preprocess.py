from itertools import combinations

import numpy as np
import pytest

from ecggen.config import SignalConfig
from ecggen.data.preprocess import FLAT_RANGE, LeftOut, derive_limb_leads, filter_signal, mend, preprocess
from ecggen.data.recording import Recording
from ecggen.errors import UserError
from ecggen.leads import LEADS, LIMB_LEADS
from tests.data.layouts import hearts

SIGNAL = SignalConfig()


@pytest.fixture(scope="module")
def heart():
    """[12, 5000] mV at 500 Hz."""
    return hearts(1)[0]


def run(signal, fs=500.0, leads=LEADS, **known):
    return preprocess(Recording("r", fs, tuple(leads), signal, **known), SIGNAL, 10.0, 20.0)


def tone(hertz, fs, seconds=10.0):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * fs)) / fs)[None]


@pytest.mark.parametrize("fs", [100, 128, 250, 257, 333.333, 360, 500, 977, 1000, 250.1, 5000])
def test_a_tone_inside_the_band_keeps_its_height_and_place(fs):
    got = filter_signal(tone(8.0, fs), fs, SIGNAL)[0]
    assert abs(len(got) - 1000) <= 1
    got, expected = got[100:900], tone(8.0, 100.0)[0, 100:900]
    assert got @ expected / (expected @ expected) == pytest.approx(1, abs=0.01)
    assert np.corrcoef(got, expected)[0, 1] > 0.999  # a shift of one sample in a hundred would cost 0.1


@pytest.mark.parametrize(("hertz", "gain"), [(0.05, 0.01), (0.67, 0.5), (40.0, 0.5), (49.0, 0.01)])
def test_band_edges_are_at_half_height_and_far_outside_nothing_is_left(hertz, gain):
    got = filter_signal(tone(hertz, 1000.0, 60.0), 1000.0, SIGNAL)[0, 1000:5000]
    assert np.sqrt(2) * got.std() == pytest.approx(gain, abs=0.03)


def test_what_lies_above_the_new_nyquist_frequency_does_not_fold_back():
    assert np.abs(filter_signal(tone(92.0, 500.0), 500.0, SIGNAL)[0, 50:-50]).max() < 0.002  # would appear at 8 Hz


def test_ends_of_a_window_look_as_they_do_within_the_record():
    long = hearts(1, seconds=40.0)[0]
    within = filter_signal(long, 500.0, SIGNAL)[:, 1000:2000]
    alone = filter_signal(long[:, 5000:10_000], 500.0, SIGNAL)
    ends = np.r_[0:30, 970:1000]
    assert np.sqrt(np.mean((within - alone)[:, ends] ** 2)) < 0.35 * within.std()
    assert np.abs(within - alone)[:, 100:900].max() < 0.05


def test_impossible_band_names_the_settings():
    with pytest.raises(UserError, match=r"model\.signal"):
        filter_signal(tone(8.0, 100.0), 100.0, SignalConfig(fs=60.0))


def test_leads_are_ordered_by_name_not_by_position(heart):
    order = np.random.default_rng(0).permutation(12)
    names = [[LEADS[index].lower, LEADS[index].upper][index % 2]() for index in order]
    (shuffled,), (straight,) = run(heart[order], leads=names), run(heart)
    assert np.array_equal(shuffled.ecg, straight.ecg)
    assert shuffled.ecg.shape == (12, 1000)
    assert shuffled.ecg.dtype == np.float32
    assert straight.repairs == ()
    assert straight.absent == ""


@pytest.mark.parametrize("shown", list(combinations(LIMB_LEADS, 2)))
def test_any_two_limb_leads_give_the_other_four(heart, shown):
    (full,) = run(heart)
    rows = [LEADS.index(name) for name in shown]
    (window,) = run(heart[rows], leads=shown)
    assert window.lead_mask.tolist() == [True] * 6 + [False] * 6
    assert np.abs(window.ecg[:6] - full.ecg[:6]).max() < 1e-4
    assert not window.ecg[6:].any()
    assert window.absent == "V1 V2 V3 V4 V5 V6"
    assert len(window.repairs) == 1
    assert window.repairs[0].startswith("limb lead derived")


def test_one_limb_lead_gives_no_other(heart):
    (window,) = run(heart[[1, 7]], leads=("MLII", "V2"))
    assert [name for name, shown in zip(LEADS, window.lead_mask, strict=True) if shown] == ["II", "V2"]


def test_least_squares_uses_all_limb_leads_there_are():
    ecg = np.zeros((12, 100), np.float32)
    ecg[0], ecg[1] = np.sin(np.arange(100)), np.cos(np.arange(100))
    ecg[2] = ecg[1] - ecg[0] + 0.3  # an inconsistent III shares its error with I and II
    mask = np.array([True] * 3 + [False] * 9)
    assert derive_limb_leads(ecg, mask)[3:6].all()
    assert np.allclose(ecg[3], -(ecg[0] + ecg[1]) / 2, atol=1e-6)  # the error of I, -0.1, and of II, +0.1, cancel
    assert np.allclose(ecg[4], ecg[0] - ecg[1] / 2 - 0.15, atol=1e-6)


def test_unknown_leads_are_ignored_and_of_two_with_one_name_the_first_counts(heart):
    (window,) = run(np.vstack([heart[1], heart[0], heart[5]]), leads=("II", "RESP", "ii"))
    assert window.lead_mask.sum() == 1
    assert np.array_equal(window.ecg[1], run(heart)[0].ecg[1])


def test_short_gaps_are_interpolated(heart):
    damaged = heart.copy()
    damaged[6, 1000:1090] = np.nan
    damaged[7, 2000:2050] = np.inf
    (window,) = run(damaged)
    assert window.lead_mask.all()
    assert np.isfinite(window.ecg).all()
    assert window.repairs == ("short gaps interpolated: V1 V2",)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.37])
def test_a_lead_with_a_long_gap_or_a_dead_stretch_is_not_used(heart, value):
    damaged = heart.copy()
    damaged[8, 2000:3000] = value
    (window,) = run(damaged)
    assert not window.lead_mask[8]
    assert not window.ecg[8].any()
    assert window.lead_mask.sum() == 11
    assert window.repairs == ("long gap or dead electrode, lead not used: V3",)


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_limb_lead_without_signal_is_derived_from_two_others(heart, value):
    damaged = heart.copy()
    damaged[0] = value
    (window,), (full,) = run(damaged), run(heart)
    assert window.lead_mask.all()
    assert np.abs(window.ecg[0] - full.ecg[0]).max() < 1e-4


def test_a_lead_of_next_to_no_height_is_flat(heart):
    damaged = heart.copy()
    damaged[9] = np.random.default_rng(0).normal(0, FLAT_RANGE / 50, 5000)
    (window,) = run(damaged)
    assert not window.lead_mask[9]
    assert window.repairs == ("flat lead not used: V4",)


def test_a_gap_in_a_long_record_costs_only_its_window():
    long = hearts(1, seconds=40.0)[0]
    long[6, 7000:7400] = np.nan
    windows = run(long)
    assert [window.id for window in windows] == ["r@0", "r@10", "r@20", "r@30"]
    assert [bool(window.lead_mask[6]) for window in windows] == [True, False, True, True]


def test_the_last_incomplete_window_is_dropped_and_one_window_keeps_the_id_of_the_record(heart):
    (window,) = run(np.hstack([heart, heart[:, :4000]]))
    assert window.id == "r"


def bad(heart, change):
    form = {"signal": heart.copy(), "fs": 500.0, "leads": LEADS}
    form.update(change(form["signal"]))
    return run(**form)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda signal: {"signal": signal[:, :4990]}, "too short: 9.98 s, shorter than 10 s"),
        (lambda signal: {"signal": signal[:, :0]}, "too short: 0.00 s"),
        (lambda signal: {"signal": signal[:7]}, "lead count: 12 names for a signal of shape"),
        (lambda signal: {"signal": signal[0]}, "lead count"),
        (lambda signal: {"leads": tuple("abcdefghxjkl")}, "unknown lead names: a b c"),
        (lambda signal: {"signal": signal[:0], "leads": ()}, "unknown lead names: none"),
        (lambda signal: {"signal": signal * 1000}, "amplitude"),
        (lambda signal: {"signal": signal * np.nan}, "no usable lead: long gap"),
        (lambda signal: {"signal": signal * 0}, "no usable lead"),
        (lambda signal: {"signal": signal * 1e-3}, "no usable lead: flat"),
        (lambda signal: {"fs": 50.0}, "sampling rate: 50 Hz, outside 80-20000 Hz"),
        (lambda signal: {"fs": 1e6}, "sampling rate"),
        (lambda signal: {"fs": np.nan}, "sampling rate"),
        (lambda signal: {"fs": -500.0}, "sampling rate"),
    ],
)
def test_a_record_that_cannot_be_used_is_left_out_with_its_reason(heart, change, reason):
    (result,) = bad(heart, change)
    assert isinstance(result, LeftOut)
    assert result.reason.startswith(reason)
    assert "\n" not in result.reason


def test_truth_goes_through_the_same_filter_and_onto_the_same_time_axis(heart):
    extra = {"source": heart[:3], "r_peaks": np.array([5, 2500, 4990]), "drift": np.array([0.1, 0.2, 0.3])}
    (window,) = run(heart, extra=extra)
    assert np.array_equal(window.vectors["source"], window.ecg[:3])
    assert window.truth["true_r_peaks"].tolist() == [1, 500, 998]
    assert window.truth["drift"].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_truth_is_dealt_out_to_the_windows():
    extra = {"r_peaks": np.array([400, 6000, 9000]), "drift": np.array([1.0, 2.0, 3.0])}
    first, second = run(hearts(1, seconds=20.0)[0], extra=extra)
    assert first.truth["true_r_peaks"].tolist() == [80]
    assert second.truth["true_r_peaks"].tolist() == [200, 800]
    assert second.truth["drift"].tolist() == [2.0, 3.0]


def test_mending_leaves_a_clean_signal_alone_and_never_writes_into_it(heart):
    mended, broken, filled = mend(heart, 500.0)
    assert mended is heart
    assert not broken.any()
    assert not filled.any()
    damaged = heart.copy()
    damaged[0, 10] = np.nan
    before = damaged.copy()
    mended, _, filled = mend(damaged, 500.0)
    assert np.array_equal(damaged, before, equal_nan=True)
    assert mended[0, 10] == pytest.approx((heart[0, 9] + heart[0, 11]) / 2)
    assert np.argwhere(filled).tolist() == [[0, 10]]


@pytest.mark.parametrize("start", [0, 1, 37, 4400, 4500])
def test_a_dead_stretch_is_found_wherever_it_lies(heart, start):
    damaged = heart.copy()
    damaged[3, start : start + 500] = damaged[3, start]
    _, broken, _ = mend(damaged, 500.0)
    assert broken[3].sum() == pytest.approx(500, abs=2)
    damaged = heart.copy()
    damaged[3, start : start + 490] = damaged[3, start]
    assert not mend(damaged, 500.0)[1].any()
