"""Which training records' labels a probe may see: all of them, a tenth, a hundredth, drawn several times.

Letters: R records, Y classes.
"""

import numpy as np

SHARES: dict[str, tuple[float, int]] = {"100 %": (1.0, 1), "10 %": (0.1, 3), "1 %": (0.01, 10)}  # of labels; draws


def label_draws(targets: np.ndarray, share: float, draws: int) -> list[np.ndarray]:
    """Rows of the training records [R, Y] whose labels are known: the same number in every draw, always the same rows.

    Records with equal labels are spread evenly, so that every draw has about the classes' shares. Classes that would
    be missing, with or without, come first. The smaller set of a draw lies within the larger one.
    """
    smallest = _size(len(targets), min(share for share, _ in SHARES.values()))
    orders = [_stratified(targets, smallest, seed) for seed in range(draws)]
    needed = max(needed for _, needed in orders)
    return [order[: max(_size(len(targets), share), needed)] for order, _ in orders]


def _size(records: int, share: float) -> int:
    return max(1, round(records * share))


def _stratified(targets: np.ndarray, smallest: int, seed: int) -> tuple[np.ndarray, int]:
    """An order of the records [R] of which every beginning, from `smallest` on, is like the whole.

    Returns:
        the order, and how many records at its beginning show every outcome that there is.
    """
    rng = np.random.default_rng(seed)
    place = np.empty(len(targets))
    _, group = np.unique(targets, axis=0, return_inverse=True)
    for label in range(group.max() + 1):
        rows = rng.permutation(np.flatnonzero(group.ravel() == label))
        place[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    order = np.argsort(place, kind="stable")
    firsts: list[int] = []
    for y in range(targets.shape[1]):
        for outcome in (0, 1):
            having = np.flatnonzero(targets[order, y] == outcome)
            if len(having) and having[0] >= smallest and having[0] not in firsts:
                firsts.append(int(having[0]))
    order = np.concatenate([order[firsts], np.delete(order, firsts)]).astype(int)
    shown = [np.flatnonzero(targets[order, y] == outcome) for y in range(targets.shape[1]) for outcome in (0, 1)]
    return order, max(int(rows[0]) + 1 for rows in shown if len(rows))
