"""Metrics on numbers whose answer is known by hand, and against numpy on random ones."""

import numpy as np
import pytest
import torch

from ecggen import metrics


def sums(x: torch.Tensor, y: torch.Tensor, present: torch.Tensor | None = None) -> np.ndarray:
    return metrics.beat_sums(x, y, torch.ones(x.shape[:3], dtype=torch.bool) if present is None else present)


def noisy(records: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    y = torch.randn(records, 2, 3, 20, generator=g, dtype=torch.float64)
    return 0.5 * y + 0.3 * torch.randn(y.shape, generator=g, dtype=torch.float64) + 0.1, y


def test_a_perfect_rendering():
    _, y = noisy()
    pooled = sums(y, y).sum(0)
    assert metrics.mean_r(pooled) == pytest.approx(1)
    assert metrics.r_squared(pooled) == pytest.approx(1)
    assert metrics.rmse(pooled) == pytest.approx(0, abs=1e-7)
    assert metrics.sd_ratio(pooled) == pytest.approx(1)
    assert metrics.slope(pooled) == pytest.approx(1)


def test_half_the_amplitude_has_full_r_half_the_spread_and_slope_two():
    _, y = noisy()
    pooled = sums(0.5 * y, y).sum(0)
    assert metrics.mean_r(pooled) == pytest.approx(1)
    assert metrics.sd_ratio(pooled) == pytest.approx(0.5)
    assert metrics.slope(pooled) == pytest.approx(2)


def test_the_mean_of_each_lead_has_r2_zero():
    _, y = noisy()
    mean = y.mean((0, 2, 3), keepdim=True).expand_as(y)
    assert metrics.r_squared(sums(mean, y).sum(0)) == pytest.approx(0, abs=1e-9)
    assert metrics.mean_r(sums(mean, y).sum(0)) == 0


def test_snr_of_a_tenth_of_the_amplitude_as_error_is_20_db():
    _, y = noisy()
    assert metrics.snr_db(sums(1.1 * y, y).sum(0)) == pytest.approx(20)


def test_agrees_with_numpy():
    x, y = noisy()
    pooled = sums(x, y).sum(0)
    flat = [(x[:, lead].flatten().numpy(), y[:, lead].flatten().numpy()) for lead in range(2)]
    assert metrics.mean_r(pooled) == pytest.approx(np.mean([np.corrcoef(a, b)[0, 1] for a, b in flat]))
    assert metrics.slope(pooled) == pytest.approx(np.mean([np.polyfit(a, b, 1)[0] for a, b in flat]))
    sse = sum(((b - a) ** 2).sum() for a, b in flat)
    sst = sum(((b - b.mean()) ** 2).sum() for _, b in flat)
    assert metrics.r_squared(pooled) == pytest.approx(1 - sse / sst)
    assert metrics.rmse(pooled) == pytest.approx(np.sqrt(sse / x.numel()))


def test_absent_beats_do_not_count_whatever_they_hold():
    x, y = noisy()
    present = torch.ones(x.shape[:3], dtype=torch.bool)
    present[0, 0, 1] = present[3, 1, :] = False
    spoiled_x, spoiled_y = x.clone(), y.clone()
    spoiled_x[~present], spoiled_y[~present] = 1e9, float("nan")
    np.testing.assert_array_equal(sums(spoiled_x, spoiled_y, present), sums(x, y, present))


def test_a_lead_that_nobody_has_is_left_out_of_the_mean():
    x, y = noisy()
    present = torch.ones(x.shape[:3], dtype=torch.bool)
    present[:, 1] = False
    pooled = sums(x, y, present).sum(0)
    assert metrics.mean_r(pooled) == pytest.approx(metrics.pearson(pooled)[0])
    assert np.isnan(metrics.mean_r(np.zeros((2, 6))))


def test_intervals_hold_the_pooled_value_and_repeat():
    x, y = noisy(40)
    card = metrics.summary(sums(x, y), resamples=200)
    low, high = card["r"]["interval"]
    assert low < card["r"]["value"] < high
    assert metrics.summary(sums(x, y), resamples=200) == card


def test_paired_interval_of_equals_is_zero_and_of_better_is_positive():
    x, y = noisy(40)
    ours, theirs = sums(y + 0.1 * (x - y), y), sums(x, y)
    assert metrics.paired_interval(theirs, theirs, 200) == [0, 0]
    assert metrics.paired_interval(ours, theirs, 200)[0] > 0
