"""What is planted in simulated hearts is where the truth says, and nowhere else."""

import csv

import numpy as np
import pytest

from ecggen.config import DataConfig, RunConfig, SimulatorConfig
from ecggen.data.pipeline import ECGDataset
from ecggen.data.simulator import SimulatorSource
from ecggen.errors import UserError
from ecggen.leads import LEADS
from ecggen.planted import (
    FS,
    LEVEL,
    SECONDS,
    Planting,
    drift_path,
    phantom,
    plant,
    planted_leads,
    read_truth,
    simulator_truth,
)


def recording(seed=0, ectopic=0.0):
    source = SimulatorSource(
        SimulatorConfig(records=1, seed=seed, drift=0.0, lost_leads=0.0, ectopic=ectopic), SECONDS, FS
    )
    return next(iter(source.read(source.entries()[0])))


def test_twice_the_level_adds_twice_as_much_and_none_adds_nothing():
    heart, path = recording(), np.linspace(-0.1, 0.1, 1000)
    assert not planted_leads(heart, np.zeros(1000)).any()
    np.testing.assert_allclose(planted_leads(heart, 2 * path), 2 * planted_leads(heart, path), atol=1e-12)


def test_a_rise_lifts_the_st_segment_of_the_leads_that_face_it_beat_by_beat():
    heart, path = recording(), np.linspace(0.0, 0.2, 1000)
    added, peaks = planted_leads(heart, path), heart.extra["r_peaks"]
    inner = peaks[(peaks > 20) & (peaks < 960)]
    at = inner + round(0.13 * FS * np.sqrt(np.median(np.diff(peaks)) / FS))
    v2 = added[LEADS.index("V2"), at]
    assert np.corrcoef(v2, path[inner])[0, 1] > 0.999 and (v2[1:] > 0).all()
    before = added[:, inner - 10]
    assert np.abs(before).max() < 0.01 * np.abs(added).max(), "the PR segment stays where it was"


def test_what_is_added_keeps_the_limb_identities():
    added = dict(zip(LEADS, planted_leads(recording(), np.full(1000, 0.1)), strict=True))
    np.testing.assert_allclose(added["III"], added["II"] - added["I"], atol=1e-12)
    np.testing.assert_allclose(added["aVR"], -(added["I"] + added["II"]) / 2, atol=1e-12)


def test_ectopic_beats_get_nothing():
    heart = recording(seed=3, ectopic=0.4)
    peaks, premature = heart.extra["r_peaks"], heart.extra["ectopic"]
    assert premature.any() and not premature.all()
    added = planted_leads(heart, np.full(1000, 0.1))
    st = np.clip(peaks + 10, 0, 999)
    assert np.abs(added[:, st[premature]]).max(0).mean() < 0.3 * np.abs(added[:, st[~premature]]).max(0).mean()


def test_paths_rise_as_often_as_they_fall_and_reach_the_stated_level():
    rng, time = np.random.default_rng(0), np.linspace(0, 1, 101)
    paths = np.stack([drift_path(time, LEVEL, rng) for _ in range(4000)])
    assert abs(np.mean(paths[:, -1] > paths[:, 0]) - 0.5) < 0.03
    assert np.abs(paths.mean(0)).max() < 0.1 * LEVEL, "a clock would know nothing"
    assert paths.std() == pytest.approx(LEVEL / np.sqrt(2), rel=0.1)


def test_a_run_reads_the_planted_records_and_never_the_truth(tmp_path):
    plant(Planting(records=20, seed=1), tmp_path)
    with (tmp_path / "records.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["fold"] for row in rows[:11]] == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "1"]
    run = RunConfig(data=DataConfig(source="arrays", root=str(tmp_path), workers=1))
    dataset = ECGDataset(run, "test")
    assert len(dataset) == 2 and dataset[0]["lead_mask"].all()
    assert not {"drift", "level", "source"} & dataset[0].keys()
    truth = read_truth(tmp_path)
    assert set(dataset.ids) <= truth.level.keys() and truth.level[dataset.ids[0]].shape == (1000,)


def test_a_planted_population_is_the_still_one_with_something_added(tmp_path):
    plant(Planting(records=4, seed=2), tmp_path / "drift")
    plant(Planting(records=4, seed=2, level=0.0), tmp_path / "still")
    moving, standing = (np.load(tmp_path / name / "signals.npy") for name in ("drift", "still"))
    source = SimulatorSource(SimulatorConfig(records=4, seed=2, drift=0.0, lost_leads=0.0), SECONDS, FS)
    truth = read_truth(tmp_path / "drift")
    for number, entry in enumerate(source.entries()):
        added = planted_leads(next(iter(source.read(entry))), truth.level[entry.id].astype(float))
        np.testing.assert_allclose(moving[number] - standing[number], added, atol=1e-5)
    still = read_truth(tmp_path / "still")
    assert not any(level.any() for level in still.level.values())
    assert all(level.any() for level in phantom(still, 0).level.values())


def test_a_folder_without_truth_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match=r"expected truth\.npz of planted records"):
        read_truth(tmp_path)


def test_the_simulators_own_drift_is_read_at_its_r_peaks():
    run = RunConfig(data=DataConfig(simulator=SimulatorConfig(records=3), workers=1))
    dataset = ECGDataset(run, "all")
    truth = simulator_truth(dataset, run.model.signal.fs)
    item = dataset[0]
    np.testing.assert_allclose(truth.level[item["id"]][item["true_r_peaks"]], item["drift"], atol=1e-6)
