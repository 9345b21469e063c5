"""The area under the ROC curve against scikit-learn's, ties and bootstrap samples included."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ecggen.auroc import areas, class_areas, macro, macro_auroc
from ecggen.metrics import resample_counts


def scored(records, levels):
    """Targets, and scores that know something of them; few levels make many ties."""
    rng = np.random.default_rng(7)  # not the samples' own seed: equal random numbers would tie them to the targets
    targets = (rng.random(records) < 0.3).astype(float)
    scores = rng.standard_normal(records) + targets
    return targets, np.round(scores * levels) / levels


@pytest.mark.parametrize("levels", [1, 3, 10**6])
def test_every_bootstrap_sample_has_the_area_of_the_records_written_out(levels):
    targets, scores = scored(120, levels)
    assert (len(np.unique(scores)) < 120) == (levels < 10**6)
    counts = resample_counts(120, 50)
    found = areas(targets, scores, counts.T.astype(np.float32))
    for sample, area in zip(counts.astype(int), found, strict=True):
        rows = np.repeat(np.arange(120), sample)
        assert area == pytest.approx(roc_auc_score(targets[rows], scores[rows]), abs=1e-12)


def test_known_areas():
    once = np.ones((4, 1), np.float32)
    truth = np.array([0, 0, 1, 1])
    assert areas(truth, np.array([1.0, 2, 3, 4]), once) == 1
    assert areas(truth, np.array([4.0, 3, 2, 1]), once) == 0
    assert areas(truth, np.array([1.0, 3, 2, 4]), once) == 0.75
    assert areas(truth, np.zeros(4), once) == 0.5


def test_large_sets_are_counted_exactly():
    targets, scores = scored(30_000, 50)
    found = areas(targets, scores, np.ones((30_000, 1), np.float32))[0]
    assert found == pytest.approx(roc_auc_score(targets, scores), abs=1e-12)


def test_a_sample_without_both_outcomes_has_no_area_and_the_mean_leaves_the_class_out():
    targets, scores = np.array([[1, 1], [0, 0], [0, 1]]), np.array([[1.0, 1], [0, 0], [2, 3]])
    counts = np.array([[1, 0], [1, 2], [1, 1]], np.float32)  # the second sample lacks the one record of class 0
    each = class_areas(targets, scores, counts)
    np.testing.assert_array_equal(each, [[0.5, np.nan], [1, 1]])
    np.testing.assert_array_equal(macro(each), [0.75, 1])
    value, by_class = macro_auroc(np.array([[1, 1], [0, 1]]), np.array([[1.0, 1], [0, 0]]))
    assert value == 1 and by_class == {0: 1}
    assert np.isnan(macro_auroc(np.zeros((0, 2)), np.zeros((0, 2)))[0])
