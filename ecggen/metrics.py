"""How well rendered beats match measured ones: pure functions of sums that add up over records.

Every figure here follows from six sums a record and lead. Records can therefore be judged in batches, pooled in any
order and resampled (bootstrap over records) without touching a sample again.

Letters: R records, L leads, N beats, T' samples of a beat. x is the rendering, y the measurement.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

# The sums: n, x, y, x*x, y*y, x*y.
N_SUMS = 6
EPS = 1e-12
INTERVAL = (2.5, 97.5)  # percent


def beat_sums(rendered: Tensor, measured: Tensor, present: Tensor) -> np.ndarray:
    """The six sums of each record and lead over all its valid beats.

    Args:
        rendered, measured: [R, L, N, T'] mV.
        present: [R, L, N] bool; what absent beats hold is not looked at.

    Returns:
        [R, L, 6] float64.
    """
    assert rendered.shape == measured.shape, f"rendered: expected {tuple(measured.shape)}, got {tuple(rendered.shape)}"
    kept = present[..., None]
    zero = torch.zeros((), dtype=torch.float64, device=measured.device)
    x, y = (torch.where(kept, s.double(), zero) for s in (rendered, measured))
    count = present.sum(2).double() * measured.shape[-1]
    sums = [count, *(s.sum((2, 3)) for s in (x, y, x * x, y * y, x * y))]
    return torch.stack(sums, dim=-1).cpu().numpy()


def _centred(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variances of x and y and their covariance from sums [..., 6]."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    n = np.maximum(n, 1)
    return xx / n - (x / n) ** 2, yy / n - (y / n) ** 2, xy / n - (x / n) * (y / n)


def _squared_error(sums: np.ndarray) -> np.ndarray:
    return sums[..., 3] + sums[..., 4] - 2 * sums[..., 5]


def pearson(sums: np.ndarray) -> np.ndarray:
    """Pearson r of each lead: [..., L, 6] -> [..., L]; 0 where either side is constant."""
    var_x, var_y, cov = _centred(sums)
    both = np.sqrt(np.maximum(var_x, 0) * np.maximum(var_y, 0))
    return np.where(both > EPS, cov / np.maximum(both, EPS), 0.0)


def _over_leads(values: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Mean over the leads that have samples: [..., L] -> [...]; NaN where none has."""
    has = sums[..., 0] > 0
    total = np.where(has, values, 0.0).sum(-1)
    return np.divide(total, has.sum(-1), out=np.full(np.shape(total), np.nan), where=has.any(-1))


def mean_r(sums: np.ndarray) -> np.ndarray:
    """r a lead, then the mean over leads: [..., L, 6] -> [...]."""
    return _over_leads(pearson(sums), sums)


def r_squared(sums: np.ndarray) -> np.ndarray:
    """1 - SSE / SST pooled over leads, SST about each lead's own mean: [..., L, 6] -> [...]."""
    total = (_centred(sums)[1] * np.maximum(sums[..., 0], 1)).sum(-1)
    return 1 - _squared_error(sums).sum(-1) / np.maximum(total, EPS)


def rmse(sums: np.ndarray) -> np.ndarray:
    """Root mean square error in mV pooled over leads: [..., L, 6] -> [...]."""
    return np.sqrt(_squared_error(sums).clip(0).sum(-1) / np.maximum(sums[..., 0].sum(-1), 1))


def snr_db(sums: np.ndarray) -> np.ndarray:
    """Power of the measurement over power of the error, dB: [..., L, 6] -> [...]."""
    return 10 * np.log10(np.maximum(sums[..., 4].sum(-1), EPS) / np.maximum(_squared_error(sums).sum(-1), EPS))


def sd_ratio(sums: np.ndarray) -> np.ndarray:
    """Standard deviation of the rendering over that of the measurement, mean over leads: [..., L, 6] -> [...].

    A least-squares answer has about r here: amplitudes shrunk towards the mean.
    """
    var_x, var_y, _ = _centred(sums)
    return _over_leads(np.sqrt(np.maximum(var_x, 0) / np.maximum(var_y, EPS)), sums)


def slope(sums: np.ndarray) -> np.ndarray:
    """Slope of measured on rendered, mean over leads; 1 = neither shrunk nor inflated: [..., L, 6] -> [...]."""
    var_x, _, cov = _centred(sums)
    return _over_leads(np.where(var_x > EPS, cov / np.maximum(var_x, EPS), 0.0), sums)


METRICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "r": mean_r,
    "r2": r_squared,
    "rmse": rmse,
    "snr": snr_db,
    "sd_ratio": sd_ratio,
    "slope": slope,
}


@lru_cache(maxsize=1)  # a card resamples the same records again and again, and drawing takes longer than summing
def resample_counts(records: int, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each record is in each bootstrap sample, [resamples, records] read-only; equal seeds draw alike."""
    counts = np.random.default_rng(seed).multinomial(records, np.full(records, 1 / records), size=resamples)
    counts = counts.astype(float)
    counts.setflags(write=False)
    return counts


def resampled_sums(sums: np.ndarray, resamples: int, seed: int = 0) -> np.ndarray:
    """Sums of bootstrap samples of the records: [R, L, 6] -> [resamples, L, 6]; equal seeds give equal samples."""
    records = len(sums)
    weights = resample_counts(records, resamples, seed)
    return (weights @ sums.reshape(records, -1)).reshape(resamples, *sums.shape[1:])


def interval(values: np.ndarray) -> list[float]:
    """The 95 % interval of bootstrap values [resamples]; resamples without a figure (NaN) are left out."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, INTERVAL) if len(finite) else (np.nan, np.nan)
    return [float(low), float(high)]


def summary(sums: np.ndarray, resamples: int) -> dict[str, dict[str, object]]:
    """Every metric pooled over all records, with its 95 % bootstrap interval over records. sums [R, L, 6]."""
    pooled, boot = sums.sum(0), resampled_sums(sums, resamples)
    return {
        name: {"value": float(metric(pooled)), "interval": interval(metric(boot))} for name, metric in METRICS.items()
    }


def summary_by_lead(sums: np.ndarray, resamples: int) -> list[dict[str, dict[str, object]]]:
    """`summary` of each lead by itself, in their order. sums [R, L, 6]."""
    pooled, boot = sums.sum(0)[:, None], resampled_sums(sums, resamples)[:, :, None]
    values = {name: (metric(pooled), metric(boot)) for name, metric in METRICS.items()}
    return [
        {
            name: {"value": float(value[at]), "interval": interval(drawn[:, at])}
            for name, (value, drawn) in values.items()
        }
        for at in range(sums.shape[1])
    ]


def difference(ours: np.ndarray, theirs: np.ndarray, resamples: int) -> dict[str, dict[str, object]]:
    """Every metric of ours less theirs, both judged on the same records and resamples. [R, L, 6] each."""
    assert ours.shape == theirs.shape, f"theirs: expected {ours.shape} as ours, got {theirs.shape}; judge both alike"
    boot = resampled_sums(ours, resamples), resampled_sums(theirs, resamples)
    return {
        name: {
            "value": float(metric(ours.sum(0)) - metric(theirs.sum(0))),
            "interval": interval(metric(boot[0]) - metric(boot[1])),
        }
        for name, metric in METRICS.items()
    }


def paired_interval(ours: np.ndarray, theirs: np.ndarray, resamples: int) -> list[float]:
    """95 % interval of the difference in mean r, both judged on the same resamples. [R, L, 6] each."""
    return interval(mean_r(resampled_sums(ours, resamples)) - mean_r(resampled_sums(theirs, resamples)))
