import numpy as np
import pytest
import torch
import wfdb

from benchmarks.rpeaks import GROUPS, TARGETS, Score, ours, read_mitdb
from ecggen.config import SignalConfig
from ecggen.data.preprocess import filter_signal
from ecggen.data.rpeaks import detect_r_peaks
from ecggen.leads import LEADS

FS = 100.0
GAINS = torch.tensor([0.6, 1.0, 0.4, -0.8, 0.2, 0.7, -0.5, -0.9, 0.3, 1.1, 1.2, 0.9])


def bump(time, centre, width):
    return torch.exp(-0.5 * ((time - centre) / width) ** 2)


def heart(beats, seconds=10.0, leads=12, t_wave=0.25, heights=None, fs=FS):
    """ECG [leads, T] in mV, R waves at `beats` seconds: P 160 ms before, T 280 ms after, another gain in each lead."""
    source = torch.zeros(round(seconds * fs), dtype=torch.float64)
    for beat, height in zip(beats, heights or [1.0] * len(beats), strict=True):
        at = slice(max(0, int((beat - 0.4) * fs)), int((beat + 0.6) * fs))
        time = torch.arange(len(source[at]), dtype=torch.float64) / fs + at.start / fs - beat
        q, r, s = bump(time, -0.035, 0.010), bump(time, 0, 0.016), bump(time, 0.035, 0.010)
        source[at] += height * (r - 0.2 * q - 0.2 * s)
        source[at] += 0.12 * bump(time, -0.16, 0.025) + t_wave * bump(time, 0.28, 0.045)
    return (GAINS[:leads, None] * source).float()


def noise(shape, seed=0, scale=0.02):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def regular(rate, seconds=10.0):
    return torch.arange(0.37, seconds - 0.2, 60 / rate).tolist()


def samples(beats, fs=FS):
    return torch.tensor(beats, dtype=torch.float64).mul(fs).round().long()


def assert_found(peaks, beats, fs=FS, within=1):
    expected = samples(beats, fs)
    assert len(peaks) == len(expected), f"expected {expected.tolist()}, got {peaks.tolist()}"
    assert (peaks - expected).abs().max() <= within, f"expected {expected.tolist()}, got {peaks.tolist()}"


@pytest.fixture(scope="module")
def mixed():
    """Eight unlike records in one batch: rates from 35 to 190 per minute, noise, ectopic intervals."""
    records = [heart(regular(rate)) for rate in (35, 50, 72, 90, 120, 150, 190)]
    records.append(heart([0.4, 1.2, 1.7, 2.9, 3.6, 4.0, 5.2, 6.0, 6.6, 7.3, 8.4, 9.2]))
    return torch.stack(records) + noise((8, 12, 1000))


@pytest.mark.parametrize("rate", [32, 45, 60, 75, 100, 140, 180, 215])
def test_every_beat_is_found_on_its_sample(rate):
    beats = regular(rate)
    assert_found(detect_r_peaks(heart(beats)[None])[0], beats)


@pytest.mark.parametrize("fs", [100.0, 125.0, 250.0, 500.0])
def test_other_sampling_rates(fs):
    beats = regular(72)
    assert_found(detect_r_peaks(heart(beats, fs=fs)[None], fs=fs)[0], beats, fs, within=max(1, round(0.01 * fs)))


def test_irregular_rhythm_and_noise():
    beats = [0.4, 1.2, 1.7, 2.9, 3.6, 4.0, 5.2, 6.0, 6.6, 7.3, 8.4, 9.2]
    ecg = heart(beats) + noise((12, 1000), scale=0.05)
    assert_found(detect_r_peaks(ecg[None])[0], beats)


def test_high_t_waves_are_not_beats():
    beats = regular(66)
    assert_found(detect_r_peaks(heart(beats, t_wave=0.9)[None])[0], beats, within=2)


def test_a_low_beat_in_a_regular_rhythm_is_found_and_a_pause_stays_empty():
    beats = regular(75)
    heights = [0.45 if i == 5 else 1.0 for i in range(len(beats))]
    assert_found(detect_r_peaks(heart(beats, heights=heights)[None])[0], beats)
    with_pause = [beat for beat in regular(75, 30) if not 10 < beat < 16]
    ecg = heart(with_pause, seconds=30) + noise((12, 3000), scale=0.005)
    assert_found(detect_r_peaks(ecg[None])[0], with_pause)


def test_wide_and_narrow_beats_side_by_side():
    beats = regular(60)
    time = torch.arange(1000, dtype=torch.float64) / FS
    ecg = heart(beats)
    for beat in beats[2::4]:  # replaced by a beat twice as wide, of the other polarity
        wide = -1.5 * bump(time, beat, 0.032) + 0.5 * bump(time, beat + 0.28, 0.06)
        ecg += (GAINS[:, None] * wide).float() - heart([beat])
    assert_found(detect_r_peaks(ecg[None])[0], beats, within=2)


def test_amplitude_may_change_over_half_an_hour():
    beats = regular(72, 1800)
    ecg = heart(beats, seconds=1800, leads=2)
    ecg = ecg * torch.linspace(0.3, 2.0, ecg.shape[-1]) + noise(ecg.shape, scale=0.01)
    assert_found(detect_r_peaks(ecg[None])[0], beats)


def test_one_lead_full_of_artefacts_changes_nothing():
    beats = regular(72)
    ecg = heart(beats, leads=2)
    clean = detect_r_peaks(ecg[None])[0]
    bursts = noise((1000,), scale=2.0)
    bursts[300:700] = 0
    ecg[1] = ecg[1] + bursts
    assert_found(detect_r_peaks(ecg[None])[0], clean.div(FS).tolist())


@pytest.mark.parametrize("junk", [float("nan"), float("inf"), -float("inf"), 1e30, 3.0])
def test_hidden_leads_have_no_influence(mixed, junk):
    mask = torch.zeros(8, 12, dtype=torch.bool)
    mask[:, [0, 1, 7]] = True
    hidden = mixed.clone()
    hidden[~mask] = 0
    other = mixed.clone()
    other[~mask] = junk
    other[:, 5, ::7] = -5.0
    for expected, got, full in zip(detect_r_peaks(hidden), detect_r_peaks(other, mask), mixed, strict=True):
        assert torch.equal(expected, got)
        assert torch.equal(expected, detect_r_peaks(full[None, [0, 1, 7]])[0])


def test_missing_samples_of_a_shown_lead_count_as_zero():
    beats = regular(72)
    ecg = heart(beats)
    ecg[1] = float("nan")
    assert_found(detect_r_peaks(ecg[None])[0], beats)


def test_a_record_is_the_same_alone_and_in_any_batch(mixed):
    mask = torch.rand(8, 12, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[:, 1] = True
    together = detect_r_peaks(mixed, mask)
    large = detect_r_peaks(mixed.repeat(20, 1, 1), mask.repeat(20, 1))
    for i, expected in enumerate(together):
        assert torch.equal(expected, detect_r_peaks(mixed[i : i + 1], mask[i : i + 1])[0])
        assert torch.equal(expected, large[i]) and torch.equal(expected, large[152 + i])


def test_result_is_int64_and_ascending(mixed):
    for peaks in detect_r_peaks(mixed):
        assert peaks.dtype == torch.int64 and (peaks.diff() > 0).all()


@pytest.mark.parametrize("value", [0.0, 1.7, float("nan")])
def test_a_record_without_signal_has_no_beat(value):
    ecg = torch.stack([torch.full((12, 1000), value), heart(regular(72))])
    empty, full = detect_r_peaks(ecg)
    assert empty.dtype == torch.int64 and len(empty) == 0
    assert torch.equal(full, detect_r_peaks(ecg[1:])[0])
    assert [len(p) for p in detect_r_peaks(ecg, torch.zeros(2, 12, dtype=torch.bool))] == [0, 0]


@pytest.mark.parametrize("shape", [(0, 12, 1000), (2, 0, 1000), (2, 12, 0), (2, 12, 1), (2, 12, 30), (1, 1, 170)])
def test_empty_and_very_short_records_do_not_fail(shape):
    assert len(detect_r_peaks(torch.zeros(shape))) == shape[0]
    assert len(detect_r_peaks(noise(shape))) == shape[0]


def test_wrong_shapes_say_what_is_expected():
    with pytest.raises(AssertionError, match=r"ecg: expected \[B, L, T\], got \[12, 1000\]"):
        detect_r_peaks(torch.zeros(12, 1000))
    with pytest.raises(AssertionError, match=r"lead_mask: expected \[2, 12\].*got \[2, 3\]"):
        detect_r_peaks(torch.zeros(2, 12, 1000), torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(AssertionError, match="fs: expected at least 80 Hz"):
        detect_r_peaks(torch.zeros(2, 12, 1000), fs=50.0)


@pytest.mark.real_data
@pytest.mark.parametrize("group", GROUPS)
def test_mitdb_beats_are_found(real_data, group):
    score = Score()
    for name in GROUPS[group]:
        record = read_mitdb(real_data / "mitdb" / name)
        score.add(record, ours(record))
    assert min(score.sensitivity, score.predictive_value) >= TARGETS[group], score


@pytest.mark.real_data
@pytest.mark.parametrize("shown", [("I",), ("II",), ("I", "II", "V2"), LEADS[:6]])
def test_fiducial_hardly_depends_on_the_leads_shown(real_data, shown):
    moved = []
    for header in sorted((real_data / "cinc").rglob("*.hea")):
        record = wfdb.rdrecord(str(header.with_suffix("")))
        ecg = torch.from_numpy(filter_signal(np.nan_to_num(record.p_signal.T), record.fs, SignalConfig())).float()[None]
        mask = torch.tensor([[name in shown for name in LEADS]])
        every, some = detect_r_peaks(ecg)[0], detect_r_peaks(ecg, mask)[0]
        distance = (every[:, None] - some[None]).abs()
        moved.append(distance.min(1).values if len(some) else torch.full_like(every, ecg.shape[-1]))
    moved = torch.cat(moved)
    assert len(moved) > 200
    assert (moved <= 2).float().mean() >= 0.97, (moved <= 2).float().mean()
