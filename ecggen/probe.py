"""What a simple reader finds in W: heads fitted on frozen states, and how well they classify.

The states are computed once; nothing of the model moves. The strength of the penalty is chosen on the validation split.

Letters: R records, D state size, Y classes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ecggen.auroc import class_areas, macro, macro_auroc
from ecggen.data.pipeline import NO_CLASS, ECGDataset
from ecggen.errors import UserError
from ecggen.eval import batches, checked
from ecggen.logistic import fit_path
from ecggen.metrics import interval, resample_counts
from ecggen.models.ecggen import ECGGenModel
from ecggen.models.heads import HEAD_KINDS
from ecggen.optimizer import EagerAdamW
from ecggen.sidebyside import Each, one_by_one

PENALTIES = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0)  # inverse strength C of the logistic regression
UNCHOSEN = (0.01,)  # the one taken where no validation record could choose
# Weaker penalties take longer, so they are left out once so many in a row read so much worse than the best (AUROC).
PATIENCE, WORSE = 2, 0.01
# A feature that moves less than this, relative to the liveliest, is taken as constant and not read.
STILL = 1e-6
MLP_EPOCHS, MLP_BATCH, MLP_LR, MLP_DECAYS = 30, 256, 1e-3, (1e-3, 1e-1)


@dataclass(frozen=True)
class States:
    """Frozen states of a split and their labels.

    Attributes:
        w: [R, D] after the last chunk.
        w_mean: [R, D] mean of W_seq over the chunks.
        targets: [R, Y] 0 or 1; records without a label are not in here.
        unlabelled: how many were left out for that.
    """

    w: np.ndarray
    w_mean: np.ndarray
    targets: np.ndarray
    unlabelled: int


def encode_states(model: ECGGenModel, dataset: ECGDataset, limit: int | None = None) -> States:
    """W of the records of a split with all their leads shown, evenly spaced if there are more than `limit`."""
    return begin_states(model, dataset, limit)()


def begin_states(
    model: ECGGenModel, dataset: ECGDataset, limit: int | None = None, each: Each = one_by_one
) -> Callable[[], States]:
    """`encode_states`, begun by `each`: what it returns waits for the states."""
    parts = each(partial(_encode_batch, model, dataset), batches(len(dataset), limit))

    def states() -> States:
        done = parts()
        if not done:
            empty = np.zeros((0, model.state_size), np.float32)
            return States(empty, empty, np.zeros((0, len(dataset.classes))), 0)
        w, w_mean, targets = (
            np.concatenate([getattr(part, name) for part in done]) for name in ("w", "w_mean", "targets")
        )
        return States(w, w_mean, targets, sum(part.unlabelled for part in done))

    return states


@torch.no_grad()
def _encode_batch(model: ECGGenModel, dataset: ECGDataset, items: np.ndarray) -> States:
    batch = dataset.batch(items)
    device = model.projection.bias.device
    boundaries = model.tokenizer.boundaries_from_peaks(batch["r_peaks"], batch["ecg"].shape[-1])
    out = checked(model.estimate(batch["ecg"].to(device), batch["lead_mask"].to(device), boundaries))
    hot = multi_hot(batch["label"], len(dataset.classes))
    labelled = ~hot.isnan().any(1)
    real = out["chunk_mask"][..., None]
    pooled = torch.where(real, out["W_seq"], 0).sum(1) / real.sum(1)
    w, mean = (states.cpu()[labelled].numpy() for states in (out["W"], pooled))
    return States(w, mean, hot[labelled].numpy(), int((~labelled).sum()))


def multi_hot(label: Tensor, classes: int) -> Tensor:
    """Labels as the dataset gives them, [R] class numbers or [R, Y] multi-hot -> [R, Y] float, NaN where unlabelled."""
    if label.ndim == 2:
        return label.float()
    hot = nn.functional.one_hot(label.clamp(min=0), classes).float()
    return torch.where((label == NO_CLASS)[:, None], torch.nan, hot)


def accuracy(targets: np.ndarray, scores: np.ndarray, multi_label: bool) -> float:
    """Share of right answers: the top class, or with several labels a record every yes and no at logit 0."""
    if multi_label:
        return float(((scores > 0) == (targets > 0.5)).mean())
    return float((scores.argmax(1) == targets.argmax(1)).mean())


def has_two_kinds(targets: np.ndarray) -> bool:
    """Whether labels [R, Y] show both outcomes of at least one class; otherwise there is nothing to tell apart."""
    return any(0 < targets[:, y].sum() < len(targets) for y in range(targets.shape[1]))


def scores_of(head: nn.Module, x: np.ndarray) -> np.ndarray:
    """Logits [R, Y] of a fitted head for states [R, D]."""
    with torch.no_grad():
        scores: np.ndarray = head(torch.from_numpy(x).float()).double().numpy()
    return scores


def _linear_candidates(
    x: np.ndarray, targets: np.ndarray, multi_label: bool, penalties: tuple[float, ...]
) -> Iterator[tuple[str, nn.Module]]:
    for plane in fit_path(torch.from_numpy(x), torch.from_numpy(targets), not multi_label, penalties):
        head = HEAD_KINDS["linear"](x.shape[1], targets.shape[1])
        head.linear.weight.data = plane.weight  # type: ignore[union-attr]
        head.linear.bias.data = plane.offset  # type: ignore[union-attr]
        yield f"C={plane.penalty:g}", head


def _mlp_candidates(
    x: np.ndarray, targets: np.ndarray, multi_label: bool, seed: int
) -> Iterator[tuple[str, nn.Module]]:
    data, goal = torch.from_numpy(x).float(), torch.from_numpy(targets).float()
    for decay in MLP_DECAYS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = HEAD_KINDS["mlp"](x.shape[1], targets.shape[1])
            optimizer = EagerAdamW(head.parameters(), lr=MLP_LR, weight_decay=decay)
            for _ in range(MLP_EPOCHS):
                for rows in torch.randperm(len(data)).split(MLP_BATCH):
                    logits = head(data[rows])
                    if multi_label:
                        loss = nn.functional.binary_cross_entropy_with_logits(logits, goal[rows])
                    else:
                        loss = nn.functional.cross_entropy(logits, goal[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
        yield f"decay={decay:g}", head


def _fold_in(head: nn.Module, mean: np.ndarray, scale: np.ndarray) -> nn.Module:
    """Move the standardisation (w - mean) / scale into the head's first linear map, so that it reads W itself."""
    first = next(m for m in head.modules() if isinstance(m, nn.Linear))
    weight = first.weight.data.double() / torch.from_numpy(scale)
    first.bias.data = (first.bias.data.double() - weight @ torch.from_numpy(mean)).float()
    first.weight.data = weight.float()
    return head


def fit_head(
    kind: str,
    x: np.ndarray,
    targets: np.ndarray,
    val_x: np.ndarray,
    val_targets: np.ndarray,
    multi_label: bool,
    seed: int = 0,
) -> tuple[nn.Module, str]:
    """Fit a head on frozen states, its penalty chosen on the validation split by macro AUROC.

    Args:
        kind: one of HEAD_KINDS.
        x, val_x: [R, D] states.
        targets, val_targets: [R, Y] 0 or 1.
        multi_label: several labels a record.
        seed: of the small MLP.

    Returns:
        the head, reading W as it is, and the chosen penalty in words.

    Raises:
        UserError: where the training records show fewer than two outcomes.
    """
    if not has_two_kinds(targets):
        raise UserError(
            f"head: expected training labels of at least two kinds, got {len(x)} labelled records of one kind; "
            "set train.head=none or read another data.task"
        )
    mean, scale = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    scale = np.where(scale > STILL * scale.max(), scale, np.inf)
    standard, val_standard = (((part - mean) / scale).astype(np.float32) for part in (x, val_x))
    if kind == "linear":
        penalties = PENALTIES if has_two_kinds(val_targets) else UNCHOSEN
        candidates = _linear_candidates(standard, targets, multi_label, penalties)
    else:
        candidates = _mlp_candidates(standard, targets, multi_label, seed)
    chosen, head = _best(candidates, val_standard, val_targets)
    return _fold_in(head, mean, scale), chosen


def _best(
    candidates: Iterable[tuple[str, nn.Module]], val_x: np.ndarray, val_targets: np.ndarray
) -> tuple[str, nn.Module]:
    """The candidate with the highest macro AUROC on the validation split, the first one where nothing tells."""
    best: tuple[float, str, nn.Module] | None = None
    behind = 0
    for name, head in candidates:
        value = macro_auroc(val_targets, scores_of(head, val_x))[0]
        quality = -1.0 if np.isnan(value) else value
        if best is None or quality > best[0]:
            best = quality, name, head
        behind = behind + 1 if quality < best[0] - WORSE else 0
        if behind == PATIENCE:
            break
    assert best is not None, "candidates: expected at least one, got none; give a penalty"
    return best[1], best[2]


def probe_card(
    head: nn.Module, states: States, classes: tuple[str, ...], multi_label: bool, resamples: int
) -> dict[str, Any]:
    """Macro AUROC and accuracy of a head on a judged split, with a 95 % bootstrap interval over records."""
    scores = scores_of(head, states.w)
    auroc, each = macro_auroc(states.targets, scores)
    counts = np.ascontiguousarray(resample_counts(len(scores), resamples).T, np.float32)
    return {
        "auroc": auroc,
        "interval": interval(macro(class_areas(states.targets, scores, counts))),
        "per_class": {classes[y]: value for y, value in each.items()},
        "accuracy": accuracy(states.targets, scores, multi_label),
        "records": len(scores),
        "unlabelled": states.unlabelled,
    }
