"""The fast logistic regression finds what scikit-learn finds."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ecggen.logistic import NEVER, fit_path

PENALTIES = (0.001, 0.1, 1.0)


def alike_features(records, size, seed=0):
    """Standardised features that say nearly the same, and labels of three classes."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((records, size)) @ rng.standard_normal((size, size)) + rng.standard_normal((records, 1))
    x = (x - x.mean(0)) / x.std(0)
    logits = x @ rng.standard_normal((size, 3)) + rng.standard_normal((records, 3)) - 1
    return torch.from_numpy(x).float(), logits


@pytest.mark.parametrize(("records", "size"), [(300, 20), (40, 90)])
def test_every_class_by_itself(records, size):
    x, logits = alike_features(records, size)
    targets = (logits > 0).astype(float)
    for plane in fit_path(x, torch.from_numpy(targets), False, PENALTIES):
        for y in range(3):
            known = LogisticRegression(C=plane.penalty, max_iter=10_000, tol=1e-8).fit(x.numpy(), targets[:, y])
            largest = np.abs(known.coef_).max()
            np.testing.assert_allclose(plane.weight[y], known.coef_[0], atol=0.01 * largest)
            assert float(plane.offset[y]) == pytest.approx(known.intercept_[0], abs=0.01)


def test_one_class_a_record():
    x, logits = alike_features(300, 20)
    number = logits.argmax(1)
    targets = np.eye(3)[number]
    for plane in fit_path(x, torch.from_numpy(targets), True, PENALTIES):
        known = LogisticRegression(C=plane.penalty, max_iter=10_000, tol=1e-8).fit(x.numpy(), number)
        np.testing.assert_allclose(plane.weight, known.coef_, atol=0.01 * np.abs(known.coef_).max())
        offset = plane.offset - plane.offset.mean()
        np.testing.assert_allclose(offset, known.intercept_ - known.intercept_.mean(), atol=0.02)


def test_a_class_that_nobody_or_everybody_has_is_not_read():
    x, logits = alike_features(100, 5)
    targets = np.stack([np.zeros(100), logits[:, 0] > 0, np.ones(100)], axis=1)
    (plane,) = fit_path(x, torch.from_numpy(targets), False, (1.0,))
    assert plane.weight[[0, 2]].abs().max() == 0 and plane.offset[0] == plane.offset[2] == NEVER
    assert plane.weight[1].abs().max() > 0
