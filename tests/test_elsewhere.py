"""Judging recordings of other places: intervals over records, kinds of beats, leads that are there."""

import shutil

import numpy as np
import pytest
import torch

from benchmarks.elsewhere import (
    LINEAR,
    NO_BEAT,
    OURS,
    Beats,
    annotated,
    beat_kinds,
    by,
    dataset_of,
    figures,
    judged_beats,
)
from ecggen import metrics
from ecggen.leads import LEADS
from tests.models.conftest import small_model


def some_beats(records, each=4, off=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(len(records) * each, 1, 1, 30, generator=generator)
    x = y + off * torch.randn(y.shape, generator=generator)
    sums = metrics.beat_sums(x, y, torch.ones(y.shape[:3], dtype=torch.bool))
    return Beats({OURS: sums}, np.repeat(records, each), np.tile(np.arange(each) * 0.8, len(records)))


def test_beats_of_a_record_add_up():
    found = some_beats(["a", "b"])
    added = by(found.record, found.sums[OURS])
    assert list(added) == ["a", "b"]
    np.testing.assert_allclose(added["b"], found.sums[OURS][4:].sum(0))


def test_many_windows_of_one_heart_are_one_record_and_have_no_interval():
    one = figures(some_beats(["a"], each=50, off=0.3), resamples=20)
    assert one["records"] == 1 and one["beats"] == 50 and one[OURS]["interval"] is None
    several = figures(some_beats(["a", "b", "c"], off=0.3), resamples=20)
    low, high = several[OURS]["interval"]
    assert several["records"] == 3 and low <= several[OURS]["r"] <= high and set(several["each"]) == {"a", "b", "c"}


def test_the_difference_to_the_regression_is_paired():
    found = some_beats(["a", "b", "c"], off=0.3)
    found.sums[LINEAR] = found.sums[OURS].copy()
    assert figures(found, resamples=20)["difference"] == [0.0, 0.0]


def test_a_beat_is_what_the_nearest_annotation_within_75_ms_calls_it():
    found = some_beats(["a", "b"], each=3)  # R peaks at 0, 0.8 and 1.6 s
    reference = {
        "a": (np.array([0.05, 0.86, 1.7]), np.array(["N", "V", "N"])),
        "b": (np.array([0.0, 0.75, 1.6]), np.array(["L", "A", "R"])),
    }
    kinds = beat_kinds(found, lambda record: reference[record])
    assert kinds.tolist() == [
        *("normal", "ventricular, fusion", NO_BEAT),
        *("bundle branch block", "atrial, nodal", "bundle branch block"),
    ]


@pytest.mark.real_data
def test_only_records_with_both_leads_are_judged_and_every_beat_finds_its_annotation(real_data, tmp_path):
    for name in ("100", "103"):
        for suffix in ("hea", "dat", "atr"):
            shutil.copy(real_data / "mitdb" / f"{name}.{suffix}", tmp_path)
    model = small_model()
    dataset = dataset_of(model, tmp_path)
    found = judged_beats(model, dataset, ("II",), ("V5",), None)
    assert found is not None and set(found.record) == {"100"} and found.windows == 180
    kinds = beat_kinds(found, lambda record: annotated(tmp_path, record))
    assert (kinds == NO_BEAT).mean() < 0.01 and (kinds == "normal").mean() > 0.95
    assert judged_beats(model, dataset, ("II",), ("V1",), None) is None
    both = judged_beats(model, dataset, LEADS, LEADS, None)
    assert both is not None and set(both.record) == {"100", "103"}
    assert (both.sums[OURS][..., 0] > 0).sum(1).tolist() == [2] * len(both.record), "two leads are judged in each"
