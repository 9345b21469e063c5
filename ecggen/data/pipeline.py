"""Datasets and loaders over the cache: a research pipeline, simple and readable, not an industrial one.

No augmentation and no worker processes: preprocessed records are memory-mapped, so that a batch is one gather and one
conversion to float32. What training hides from the model (leads) is training's business and done there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ecggen.config import SPLITS, RunConfig
from ecggen.data.cache import open_cache
from ecggen.data.splits import assign_splits
from ecggen.data.store import Store
from ecggen.data.transfer import sent
from ecggen.errors import UserError

ALL = "all"  # every record whatever its split, for encoding
NO_CLASS = -1  # in a batch of class numbers: this record has no label of the task


class ECGDataset(Dataset[dict[str, Any]]):
    """The records of one split.

    Args:
        cfg: `cfg.data` and `cfg.model.signal` decide what is read; the cache is built where it is not there.
        split: train, val, test, or all.

    Attributes:
        classes: class names of the whole source, sorted, the same for all splits; empty without labels.
        multi_label: True where a record may have several labels: then labels are multi-hot, else class numbers.
        unlabelled: records of this split without a label of the task; they have label None.
        store: the cache behind it, with `rejected` (what was left out) and `info` (counts).

    Raises UserError for an unknown split and where the source is missing or holds nothing usable.
    """

    def __init__(self, cfg: RunConfig, split: str) -> None:
        if split not in (*SPLITS, ALL):
            raise UserError(f"split: expected one of {', '.join((*SPLITS, ALL))}, got {split!r}; choose one of them")
        self.split = split
        self.store: Store = open_cache(cfg.data, cfg.model.signal)
        splits = assign_splits(self.store.rows, cfg.data)
        self.index = np.array([row for row, of in enumerate(splits) if split in (of, ALL)], np.int64)
        self.ids = [self.store.rows[row].id for row in self.index]
        self.classes: tuple[str, ...] = tuple(self.store.info["classes"])
        self.multi_label: bool = self.store.info["multi_label"]
        self.labels = self._label_table()
        self.moved: Tensor | None = None  # the signals of this split on a device, see `move_signals`
        self.unlabelled = sum(not self.store.rows[row].labels for row in self.index)

    def _label_table(self) -> Tensor | None:
        """[n, Y] float multi-hot with NaN rows, or [n] int64 with NO_CLASS, or None for a source without labels."""
        if not self.classes:
            return None
        number = {name: index for index, name in enumerate(self.classes)}
        table = np.zeros((len(self.index), len(self.classes)), np.float32)
        for at, row in enumerate(self.index):
            labels = self.store.rows[row].labels
            table[at, [number[name] for name in labels or ()]] = 1
            if not labels:
                table[at] = np.nan
        if self.multi_label:
            return torch.from_numpy(table)
        return torch.from_numpy(np.where(np.isnan(table).any(1), NO_CLASS, table.argmax(1)))

    def __len__(self) -> int:
        return len(self.index)

    def move_signals(self, device: torch.device, room: int) -> bool:
        """Keep the signals of this split on a device, if they take at most `room` bytes; whether it did.

        `ecg` of a batch is then there from the start, and the rest of it stays where it was.
        """
        fits = len(self) * self.store.signals[:1].nbytes <= room
        if fits:
            self.moved = torch.from_numpy(self.store.signals[self.index]).to(device)
        return fits

    def __getitem__(self, item: int) -> dict[str, Any]:
        """One record.

        `ecg` [12, T] float32 mV; `lead_mask` [12] bool, True = measured or derived; `label` int, multi-hot [Y] float
        or None; `id`; `r_peaks` [n] int64 samples, over all leads. Where the source knows them also `source` and
        `frank` [3, T] mV (NaN for a record without), `true_r_peaks` [n], `drift` [n], `ectopic` [n].
        """
        return self.__getitems__([range(len(self))[item]])[0]

    def __getitems__(self, items: Sequence[int]) -> list[dict[str, Any]]:
        """Several records with one read; a DataLoader finds this by its name."""
        batch = self.batch(items)
        labels = [None] * len(items) if self.labels is None else [self._label(item) for item in items]
        return [
            {name: labels[at] if name == "label" else values[at] for name, values in batch.items()}
            for at in range(len(items))
        ]

    def _label(self, item: int) -> int | Tensor | None:
        assert self.labels is not None
        label = self.labels[item]
        if self.multi_label:
            return None if label.isnan().any() else label
        return None if label == NO_CLASS else int(label)

    def batch(self, items: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """What `collate_fn` makes of the same records, read at once: [B, ...] tensors, and lists where lengths differ.

        Label rows of records without a label are NO_CLASS or NaN; `label` is None for a source without labels.
        """
        items = np.asarray(items, np.int64)
        rows = self.index[items]
        batch: dict[str, Any] = {
            "ecg": self.signals(items),
            "lead_mask": self.lead_mask(items),
            "label": None if self.labels is None else self.labels[torch.from_numpy(items)],
            "id": [self.ids[item] for item in items],
        }
        for name, vectors in self.store.vectors.items():
            batch[name] = torch.from_numpy(vectors[rows]).float()
        for name, values in self.store.ragged.items():
            batch[name] = [torch.from_numpy(values[row].copy()) for row in rows]
        return batch

    def signals(self, items: np.ndarray) -> Tensor:
        """[B, 12, T] float32 mV, on the device to which the signals were moved."""
        if self.moved is None:
            return torch.from_numpy(self.store.signals[self.index[items]]).float()
        return self.moved[sent(torch.from_numpy(items), self.moved.device)].float()

    def lead_mask(self, items: np.ndarray) -> Tensor:
        """[B, 12] bool, True = measured or derived."""
        return torch.from_numpy(self.store.lead_mask[self.index[items]])

    def r_peaks(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[B, P] samples, padded with zeros, and how many each record has [B]."""
        return self.store.ragged["r_peaks"].table(self.index[items])


def collate_fn(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Items of `ECGDataset` to a batch: `ecg` [B, 12, T], `lead_mask` [B, 12], `label` [B] int64, [B, Y] float or None.

    Where only some of the items have a label, the rows of the others are NO_CLASS or NaN. What differs in length from
    record to record (`r_peaks`), and ids, stay lists.
    """
    assert items, "items: expected at least one record, got none; skip empty batches"
    shapes = {tuple(item["ecg"].shape) for item in items}
    assert len(shapes) == 1, f"ecg: expected one shape [L, T] in a batch, got {sorted(shapes)}; read one window length"
    batch: dict[str, Any] = {}
    for name in items[0]:
        values = [item[name] for item in items]
        if name == "label":
            batch[name] = _collate_labels(values)
        elif name in ("ecg", "lead_mask", "source", "frank"):
            batch[name] = torch.stack(values)
        else:
            batch[name] = values
    return batch


def _collate_labels(labels: list[int | Tensor | None]) -> Tensor | None:
    known = next((label for label in labels if label is not None), None)
    if known is None:
        return None
    if isinstance(known, Tensor):
        nothing = torch.full_like(known, torch.nan)
        return torch.stack([label if isinstance(label, Tensor) else nothing for label in labels])
    return torch.tensor([NO_CLASS if label is None else label for label in labels], dtype=torch.int64)


def make_dataloader(cfg: RunConfig, split: str) -> DataLoader[dict[str, Any]]:
    """Batches of `cfg.train.batch_size` records; the training split shuffled by `cfg.train.seed`.

    The last, smaller batch of the training split is dropped, unless it is the only one.
    Raises UserError as `ECGDataset` does, and for a split without records.
    """
    dataset = ECGDataset(cfg, split)
    if len(dataset) == 0:
        raise UserError(
            f"split {split!r}: expected records, got none of {len(dataset.store)}; "
            "choose another split, set its folds (data.*_folds), or add records"
        )
    training = split == "train"
    return DataLoader(
        dataset,
        batch_size=cfg.train.batch_size,
        shuffle=training,
        drop_last=training and len(dataset) >= cfg.train.batch_size,
        collate_fn=collate_fn,
        generator=torch.Generator().manual_seed(cfg.train.seed),
    )
