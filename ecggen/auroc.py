"""Area under the ROC curve by counting: exact with ties, and of every bootstrap sample at once.

The area is the chance that a record with the class scores above one without it, a tie counting half (Hanley and McNeil,
Radiology 143:29, 1982). A bootstrap sample only changes how often each record counts, so that scores are sorted once,
whatever the number of samples.

Letters: R records, Y classes, S bootstrap samples.
"""

import numpy as np


def areas(targets: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The area of one class in every bootstrap sample.

    Args:
        targets: [R] 0 or 1.
        scores: [R], higher = more likely 1.
        counts: [R, S] how often each record is in each sample; float32 holds whole numbers up to 2^24 exactly.

    Returns:
        [S] float64, NaN for samples without both outcomes.
    """
    assert targets.shape == scores.shape == counts.shape[:1], (
        f"targets, scores, counts: expected [R], [R], [R, S], got {targets.shape}, {scores.shape}, {counts.shape}; "
        "give one class and counts by record"
    )
    with_it = np.flatnonzero(targets > 0.5)
    without = np.flatnonzero(targets <= 0.5)
    without = without[np.argsort(scores[without], kind="stable")]
    # below[k]: how many records without the class are among the k lowest-scored of them.
    below = np.zeros((len(without) + 1, counts.shape[1]), counts.dtype)
    np.cumsum(counts[without], axis=0, out=below[1:])
    lowest = np.searchsorted(scores[without], scores[with_it], "left")
    highest = np.searchsorted(scores[without], scores[with_it], "right")
    beaten = below[lowest]
    if (lowest != highest).any():
        beaten = (beaten + below[highest]) / 2
    weight = counts[with_it]
    won = (beaten * weight).sum(0, dtype=np.float64)
    pairs = weight.sum(0, dtype=np.float64) * below[-1]
    return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)


def class_areas(targets: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`areas` of every class: targets, scores [R, Y], counts [R, S] -> [Y, S]."""
    assert targets.shape == scores.shape, f"scores: expected {targets.shape} as targets, got {scores.shape}"
    return np.stack([areas(targets[:, y], scores[:, y], counts) for y in range(targets.shape[1])])


def macro(each: np.ndarray) -> np.ndarray:
    """Mean over the classes that have both outcomes: [Y, S] -> [S]; NaN where none has."""
    known = np.isfinite(each)
    total = np.where(known, each, 0.0).sum(0)
    return np.divide(total, known.sum(0), out=np.full(each.shape[1], np.nan), where=known.any(0))


def macro_auroc(targets: np.ndarray, scores: np.ndarray) -> tuple[float, dict[int, float]]:
    """Mean area under the ROC curve over the classes that have both outcomes, and each class's own. [R, Y] both.

    NaN and {} where no class has both.
    """
    each = class_areas(targets, scores, np.ones((len(targets), 1), np.float32))
    return float(macro(each)[0]), {y: float(area[0]) for y, area in enumerate(each) if np.isfinite(area[0])}
