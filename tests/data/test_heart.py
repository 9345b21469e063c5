from dataclasses import replace

import numpy as np
import pytest

from ecggen.data import heart
from ecggen.data.heart import CLASSES, average_heart, vary, ventricular_beat, with_class
from ecggen.data.simulator import render_source
from ecggen.leads import LEADS, nominal_directions

FS = 500.0
R_PEAK = 4 * int(FS)  # sample of the fourth beat at 60 a minute


def leads_of(waves, rr=1.0):
    """Twelve leads of a regular rhythm whose fourth R peak lies at four seconds, [12, T] mV."""
    times = 4.0 + rr * np.arange(-12, 14)
    source = render_source(waves, times, np.full(len(times), rr), seconds=8.0, fs=FS)
    return dict(zip(LEADS, nominal_directions() @ source, strict=True))


def around_r(lead, before, after):
    return lead[R_PEAK - round(before * FS) : R_PEAK + round(after * FS)]


def test_average_heart_has_the_millivolts_of_a_healthy_adult():
    leads = leads_of(average_heart())
    v1 = around_r(leads["V1"], 0.1, 0.1)
    assert around_r(leads["V5"], 0.1, 0.1).max() == pytest.approx(1.6, abs=0.1)
    assert v1.max() == pytest.approx(0.4, abs=0.1)
    assert v1.min() == pytest.approx(-0.8, abs=0.1)
    assert v1.argmax() < v1.argmin(), "V1: expected r before S"
    t = {name: around_r(leads[name], -0.15, 0.45).max() for name in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")}
    assert all(0.25 < size < 1.35 for size in t.values()), t


def qrs_duration(waves):
    """Seconds in which any lead exceeds 0.1 mV once P, ST and T are taken away."""
    keep = (waves.kind == heart.QRS) | (waves.kind == heart.LATE)
    leads = leads_of(replace(waves, amplitude=np.where(keep, waves.amplitude, 0.0)))
    return np.sum(np.max([np.abs(around_r(lead, 0.2, 0.2)) for lead in leads.values()], axis=0) > 0.1) / FS


def test_qrs_of_the_average_heart_lasts_about_90_ms():
    assert 0.08 <= qrs_duration(average_heart()) <= 0.105


def test_rate_changes_neither_qrs_nor_p_but_t_comes_with_the_root_of_rr():
    waves = average_heart()
    early = replace(waves, amplitude=np.where(waves.kind == heart.T, 0.0, waves.amplitude))
    late = replace(waves, amplitude=np.where(waves.kind == heart.T, waves.amplitude, 0.0))
    slow, fast = (around_r(leads_of(early, rr)["II"], 0.3, 0.1) for rr in (1.0, 0.6))
    np.testing.assert_allclose(fast, slow, atol=1e-3)
    slow, fast = (around_r(leads_of(late, rr)["V3"], -0.1, 0.4).argmax() / FS + 0.1 for rr in (1.0, 0.64))
    assert fast == pytest.approx(0.8 * slow, abs=0.005)


def test_every_heart_has_the_same_list_of_waves():
    for name in CLASSES:
        rng = np.random.default_rng(1)
        waves = with_class(vary(average_heart(), rng), name, 1.0, rng)
        np.testing.assert_array_equal(waves.axis, average_heart().axis)
        assert np.all(waves.width > 0), name


@pytest.mark.parametrize("name", CLASSES)
def test_severity_zero_is_the_same_heart(name):
    before = average_heart()
    after = with_class(before, name, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(after.amplitude, before.amplitude)
    np.testing.assert_allclose(after.width, before.width)


def marked_heart(name, seed=0):
    return with_class(average_heart(), name, 1.0, np.random.default_rng(seed))


def marked(name, seed=0):
    return leads_of(marked_heart(name, seed))


def test_bundle_branch_block_lasts_120_ms_or_more_and_comes_left_and_right():
    assert all(0.12 <= qrs_duration(marked_heart("BBB", seed)) <= 0.2 for seed in range(8))
    late = [around_r(marked("BBB", seed)["V1"], -0.05, 0.15).max() for seed in range(8)]
    assert max(late) > 0.4, "right block: expected R' in V1"
    assert min(late) < 0.2, "left block: expected no R' in V1"


def test_t_inversion_turns_t_over():
    assert around_r(leads_of(average_heart())["V4"], -0.2, 0.4).max() > 0.5
    assert around_r(marked("INVT")["V4"], -0.2, 0.4).mean() < -0.05


def test_st_deviation_moves_st_and_leaves_qrs():
    normal, changed = leads_of(average_heart()), marked("STDEV")
    shift = {name: np.abs(around_r(changed[name] - normal[name], -0.1, 0.16)).mean() for name in LEADS}
    assert 0.15 < max(shift.values()) < 0.8
    np.testing.assert_allclose(around_r(changed["V5"], 0.1, 0.01), around_r(normal["V5"], 0.1, 0.01), atol=0.05)


def test_hypertrophy_meets_the_voltage_criterion_of_sokolow_and_lyon():
    def sokolow(leads):
        return around_r(leads["V5"], 0.1, 0.1).max() - around_r(leads["V1"], 0.1, 0.1).min()

    assert sokolow(leads_of(average_heart())) < 3.5 < sokolow(marked("LVH"))


def test_ventricular_beat_is_broad_and_has_no_p():
    leads = leads_of(ventricular_beat(np.random.default_rng(0)))
    size = np.max(np.abs(np.stack(list(leads.values()))), axis=0)
    assert around_r(size, 0.3, -0.15).max() < 0.02
    assert np.sum(around_r(size, 0.15, 0.2) > 0.15) / FS > 0.12
