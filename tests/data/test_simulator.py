from dataclasses import replace

import numpy as np
import pytest
from scipy import signal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ecggen.config import SimulatorConfig
from ecggen.data.heart import CLASSES, average_heart
from ecggen.data.simulator import CLASS_SHARES, SimulatorSource, render_source
from ecggen.leads import LEADS, LIMB_IDENTITIES, nominal_directions

CLEAN = SimulatorConfig(records=40, noise=0.0, lost_leads=0.0)


def simulator(cfg=CLEAN, seconds=10.0, fs=100.0):
    return SimulatorSource(cfg, seconds, fs)


def record(index, cfg=CLEAN, **form):
    source = simulator(cfg, **form)
    return next(iter(source.read(source.entries()[index])))


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_recording_is_complete():
    entry = simulator().entries()[3]
    (got,) = simulator().read(entry)
    assert got.id == entry.id
    assert got.labels == entry.labels
    assert got.patient == got.id
    assert got.leads == LEADS
    assert got.fs == 100.0
    assert got.signal.shape == (12, 1000)
    assert got.extra["source"].shape == (3, 1000)
    beats = len(got.extra["r_peaks"])
    assert got.extra["drift"].shape == got.extra["ectopic"].shape == (beats,)
    assert np.all(np.diff(got.extra["r_peaks"]) > 30)
    rotation = got.extra["rotation"]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_a_record_depends_on_seed_and_index_alone():
    few, many = replace(CLEAN, records=8, noise=1.0), replace(CLEAN, records=30, noise=1.0)
    backwards = [next(simulator(many).read(e)) for e in reversed(simulator(many).entries())][::-1]
    for index in range(8):
        np.testing.assert_array_equal(record(index, few).signal, backwards[index].signal)
    other = record(0, replace(few, seed=1))
    assert other.id != backwards[0].id
    assert not np.allclose(other.signal, backwards[0].signal)


def test_fingerprint_tells_settings_apart():
    prints = {
        simulator().fingerprint(),
        simulator(replace(CLEAN, noise=0.5)).fingerprint(),
        simulator(seconds=20.0).fingerprint(),
        simulator(fs=500.0).fingerprint(),
    }
    assert len(prints) == 4
    assert simulator().fingerprint() == simulator().fingerprint()


def test_all_classes_come_in_their_shares():
    labels = [entry.labels[0] for entry in simulator(SimulatorConfig(records=2000)).entries()]
    assert set(CLASS_SHARES) == set(CLASSES)
    for name, share in CLASS_SHARES.items():
        assert labels.count(name) / 2000 == pytest.approx(share, abs=0.04)


def test_clean_leads_are_the_dower_view_of_the_rotated_source_up_to_amplifier_gain():
    got = record(1)
    view = nominal_directions() @ got.extra["source"]
    for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"):
        row = LEADS.index(lead)
        gain = (got.signal[row] @ view[row]) / (view[row] @ view[row])
        assert 0.8 < gain < 1.25
        np.testing.assert_allclose(got.signal[row], gain * view[row], atol=1e-9)


def test_limb_identities_hold_with_gains_and_noise():
    got = record(2, replace(CLEAN, noise=1.0))
    one, two = got.signal[LEADS.index("I")], got.signal[LEADS.index("II")]
    for name, (of_i, of_ii) in LIMB_IDENTITIES.items():
        np.testing.assert_allclose(got.signal[LEADS.index(name)], of_i * one + of_ii * two, atol=1e-12)


def test_noise_changes_the_leads_and_not_the_truth():
    clean, noisy = record(5), record(5, replace(CLEAN, noise=1.0))
    np.testing.assert_array_equal(clean.extra["source"], noisy.extra["source"])
    assert 0.01 < np.std(clean.signal - noisy.signal) < 0.5


def test_lost_leads_are_missing_throughout_and_in_their_share():
    cfg = replace(CLEAN, lost_leads=0.25)
    lost = np.array([np.isnan(record(i, cfg).signal) for i in range(40)])
    assert np.array_equal(lost.any(axis=2), lost.all(axis=2))
    assert lost.mean() == pytest.approx(0.25, abs=0.08)
    assert not np.isnan(record(0).signal).any()


def test_r_peaks_lie_on_the_largest_source_of_each_normal_beat():
    normals = [i for i, entry in enumerate(simulator().entries()) if entry.labels == ("NORM",)]
    for index in normals[:6]:
        got = record(index, replace(CLEAN, ectopic=0.0))
        steepness = np.linalg.norm(signal.detrend(got.extra["source"]), axis=0)
        for peak in got.extra["r_peaks"]:
            if 10 <= peak < 990:
                assert abs(int(steepness[peak - 10 : peak + 10].argmax()) - 10) <= 4


def test_without_drift_the_path_is_zero_and_with_it_st_follows():
    still = record(3, replace(CLEAN, drift=0.0))
    assert not still.extra["drift"].any()
    moving = record(3, replace(CLEAN, drift=3.0, ectopic=0.0))
    standing = record(3, replace(CLEAN, drift=0.0, ectopic=0.0))
    path = moving.extra["drift"]
    change = np.linalg.norm(moving.extra["source"] - standing.extra["source"], axis=0)
    st = [change[p + 10 : p + 20].mean() for p in moving.extra["r_peaks"] if p + 20 <= 1000]
    assert np.abs(path).max() > 0.02
    assert correlation(np.array(st), np.abs(path[: len(st)])) > 0.95
    assert np.abs(np.diff(path)).max() < 0.5 * np.ptp(path), "drift is slow against the beat"


def test_ectopic_beats_come_early_and_in_their_share():
    cfg = replace(CLEAN, ectopic=0.1)
    records = [record(i, cfg) for i in range(40)]
    shares = np.concatenate([r.extra["ectopic"] for r in records])
    assert shares.mean() == pytest.approx(0.1, abs=0.03)
    for r in records:
        rr, ectopic = np.diff(r.extra["r_peaks"]), r.extra["ectopic"]
        for beat in np.flatnonzero(ectopic[1:]):
            assert rr[beat] < 0.85 * np.median(rr[~ectopic[1:]])
    assert not any(record(i, replace(CLEAN, ectopic=0.0)).extra["ectopic"].any() for i in range(5))


@pytest.mark.parametrize("fs", [100.0, 250.0, 360.0, 500.0])
def test_the_same_source_at_every_rate(fs):
    times, rr = np.arange(-2.0, 13.0), np.ones(15)
    fine = render_source(average_heart(), times, rr, 10.0, 1000.0)
    coarse = render_source(average_heart(), times, rr, 10.0, fs)
    assert coarse.shape == (3, round(10 * fs))
    band = [signal.butter(4, 30.0, fs=rate, output="sos") for rate in (fs, 1000.0)]
    smooth = signal.sosfiltfilt(band[0], coarse), signal.sosfiltfilt(band[1], fine)
    inside = slice(round(0.5 * fs), -round(0.5 * fs))  # the comparison's own filter needs room at the ends
    at = np.arange(coarse.shape[1])[inside] / fs
    for axis in range(3):
        expected = np.interp(at, np.arange(10000) / 1000, smooth[1][axis])
        np.testing.assert_allclose(smooth[0][axis, inside], expected, atol=0.03)


def test_mains_are_a_tone_at_500_hz_and_at_the_edge_of_the_band_at_100_hz():
    cfg = replace(CLEAN, noise=5.0)

    def share_above(fs, low, high):
        power = 0.0
        for index in range(10):
            noise = record(index, cfg, fs=fs).signal - record(index, CLEAN, fs=fs).signal
            frequency, density = signal.periodogram(noise[:2], fs=fs)
            power += density[:, (frequency > low) & (frequency < high)].mean()
        return power

    assert share_above(500.0, 49.0, 61.0) > 3 * share_above(500.0, 70.0, 82.0)
    assert share_above(100.0, 36.0, 44.0) < 3 * share_above(100.0, 28.0, 36.0)  # 60 Hz does not fold to 40 Hz


def test_classes_can_be_learned_but_not_without_error():
    source = simulator(SimulatorConfig(records=500))
    beats, labels = [], []
    for entry in source.entries():
        (got,) = source.read(entry)
        inside = [p for p in got.extra["r_peaks"] if 30 <= p < 950]
        whole = np.nan_to_num(got.signal)
        beats.append(np.median([whole[::2, p - 30 : p + 50 : 2] for p in inside], axis=0).ravel())
        labels.append(entry.labels[0])
    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(beats[:400], labels[:400])
    assert 0.5 < fitted.score(beats[400:], labels[400:]) < 0.97


def test_long_records_and_odd_lengths():
    assert record(0, seconds=61.3).signal.shape == (12, 6130)
    assert record(0, seconds=2.5, fs=360.0).signal.shape == (12, 900)
