"""Encoding anyone's recordings: real records with odd layouts and missing leads."""

import csv
import shutil

import numpy as np
import pytest

from ecggen.config import DataConfig, RunConfig
from ecggen.data.pipeline import ECGDataset
from ecggen.encode import encode_file
from tests.models.conftest import small_model

pytestmark = pytest.mark.real_data


def encoded(root, out):
    model = small_model()
    run = RunConfig(data=DataConfig(source="wfdb", root=str(root), workers=1), model=model.cfg)
    states, index = encode_file(model, ECGDataset(run, "all"), out)
    with np.load(states, allow_pickle=False) as arrays, index.open() as stream:
        return {name: arrays[name] for name in arrays.files}, list(csv.DictReader(stream))


def test_challenge_records_of_three_hospitals(real_data, tmp_path):
    arrays, rows = encoded(real_data / "cinc", tmp_path / "states.npz")
    assert len({row["id"].split("@")[0] for row in rows}) == 24
    assert len(rows) == len(arrays["W"]) == len(arrays["id"])
    assert all(np.isfinite(arrays[name]).all() for name in ("W", "V", "rendered"))
    assert sum(int(row["fallback"]) for row in rows) == 0
    assert {row["id"].split("/")[0] for row in rows} == {"CPSC2018", "Chapman-Shaoxing_Ningbo", "Georgia"}


def test_a_two_lead_half_hour_gives_a_state_a_window_and_all_twelve_leads(real_data, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for suffix in ("hea", "dat"):
        shutil.copy(real_data / "mitdb" / f"100.{suffix}", folder)
    arrays, rows = encoded(folder, tmp_path / "out" / "states.npz")
    assert len(rows) == 180 and rows[1]["id"] == "100@10"
    assert {row["leads"] for row in rows} == {"II V5"}
    assert arrays["rendered"].shape == (180, 12, 40) and np.isfinite(arrays["rendered"]).all()
    assert arrays["rendered"].std(2).min() > 0
    # About 75 beats a minute, the two at a window's edges apart.
    assert 9 <= np.median([int(row["beats"]) for row in rows]) <= 13


def test_a_frank_record_keeps_its_measured_source(real_data):
    run = RunConfig(data=DataConfig(source="wfdb", root=str(real_data / "ptb_frank"), workers=1))
    item = ECGDataset(run, "all")[0]
    assert item["lead_mask"].all()
    assert item["frank"].shape == (3, 1000) and item["frank"].isfinite().all()
