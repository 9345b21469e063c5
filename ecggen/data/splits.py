"""Which split a record belongs to: by its official fold, else by a hash of its patient, else of its own id.

A hash rather than a draw: the split of a record never depends on which other records are there, on their order or on a
seed, so a data set may grow without a training record ever turning into a test record. Windows of one record go
together because the record's id is hashed, not the window's.
"""

import hashlib
from collections.abc import Sequence

from ecggen.config import DataConfig
from ecggen.data.store import Row
from ecggen.errors import UserError

TRAIN_SHARE, VAL_SHARE = 0.8, 0.1  # of the patients; the rest is the test split
UNUSED = "unused"  # an official fold that the settings give to no split


def assign_splits(rows: Sequence[Row], data: DataConfig) -> list[str]:
    """`train`, `val`, `test` or `unused` for each row.

    Raises UserError where one patient would come to lie in two splits, and where a fold is in two of them.
    """
    by_fold = _by_fold(data)
    splits: list[str] = []
    seen: dict[str, str] = {}
    for row in rows:
        split = by_fold.get(row.fold, UNUSED) if row.fold is not None else hashed_split(row.patient or row.record)
        if row.patient is not None and seen.setdefault(row.patient, split) != split:
            raise UserError(
                f"splits: expected each patient in one split, got {row.patient!r} in {seen[row.patient]} and {split}; "
                "correct the folds of the records"
            )
        splits.append(split)
    return splits


def hashed_split(name: str) -> str:
    """`train`, `val` or `test`, 80/10/10, a fixed property of the name."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    if share < TRAIN_SHARE:
        return "train"
    return "val" if share < TRAIN_SHARE + VAL_SHARE else "test"


def _by_fold(data: DataConfig) -> dict[int, str]:
    by_fold: dict[int, str] = {}
    for split, folds in (("train", data.train_folds), ("val", data.val_folds), ("test", data.test_folds)):
        for fold in folds:
            if by_fold.setdefault(fold, split) != split:
                other = by_fold[fold]
                raise UserError(f"data.{split}_folds: expected each fold in one split, got {fold} also in {other}")
    return by_fold
