from collections import Counter

import pytest

from ecggen.config import DataConfig
from ecggen.data.splits import assign_splits, hashed_split
from ecggen.data.store import Row
from ecggen.errors import UserError


def row(record, patient=None, fold=None, window=None):
    return Row(window or record, record, patient, fold, None)


def test_official_folds_decide_where_there_are_any():
    rows = [row("a", fold=1), row("b", fold=9), row("c", fold=10), row("d", fold=11)]
    assert assign_splits(rows, DataConfig()) == ["train", "val", "test", "unused"]
    moved = DataConfig(train_folds=(1, 2), val_folds=(10,), test_folds=(9,))
    assert assign_splits(rows, moved) == ["train", "test", "val", "unused"]


def test_hash_deals_80_10_10_and_is_fixed_for_ever():
    counts = Counter(hashed_split(f"patient {number}") for number in range(20_000))
    assert counts["train"] == pytest.approx(16_000, rel=0.02)
    assert counts["val"] == pytest.approx(2_000, rel=0.06)
    assert counts["test"] == pytest.approx(2_000, rel=0.06)
    # By `sha256sum`: 8 starts with 2c, 15 with e629, 6 with e7; train ends at cccc..., val at e666...
    assert [hashed_split(name) for name in ("8", "15", "6")] == ["train", "val", "test"]


def test_a_patient_stays_together_and_windows_stay_with_their_record():
    rows = [row(f"r{number}", patient=f"p{number % 40}") for number in range(400)]
    split_of = {}
    for one, split in zip(rows, assign_splits(rows, DataConfig()), strict=True):
        assert split_of.setdefault(one.patient, split) == split
    windows = [row("holter", window=f"holter@{start}") for start in range(0, 1000, 10)]
    assert len(set(assign_splits(windows, DataConfig()))) == 1


def test_the_split_of_a_record_does_not_depend_on_the_others():
    rows = [row(f"r{number}") for number in range(100)]
    splits = assign_splits(rows, DataConfig())
    assert assign_splits(rows[50:], DataConfig()) == splits[50:]


def test_a_patient_in_two_splits_is_refused():
    with pytest.raises(UserError, match="'ann' in train and val"):
        assign_splits([row("a", "ann", 1), row("b", "ann", 9)], DataConfig())


def test_a_fold_in_two_splits_is_refused():
    with pytest.raises(UserError, match="got 9 also in train"):
        assign_splits([], DataConfig(train_folds=(8, 9)))
