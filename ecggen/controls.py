"""What a probe finds where nothing was learned: the yardstick without which a probe of W says nothing about W.

The mean beat of a record already tells much, random features of it tell more, and an untrained model is a random
feature map as well. A learned state has to be clearly above all of them.

Letters: R records, L leads, T' samples of a beat, D features in, M features out.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ecggen.data.pipeline import ECGDataset
from ecggen.data.tokenizer import ECGTokenizer
from ecggen.eval import batches
from ecggen.models.ecggen import ECGGenModel
from ecggen.probe import STILL, multi_hot

COMPONENTS = 128
RANDOM_FEATURES = 2048
OFFSET = 0.5  # spread of the offsets in units of the projections', so that not all kinks lie at the mean beat
SEED = 1_000_003  # of everything random here, far from the seeds that people train with


def untrained(model: ECGGenModel, seed: int = SEED) -> ECGGenModel:
    """A model of the same settings with the weights that another seed begins a training with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ECGGenModel(model.cfg).eval()


@torch.no_grad()
def mean_beats(tokenizer: ECGTokenizer, dataset: ECGDataset, limit: int | None = None) -> np.ndarray:
    """Mean beat of all leads, [R, L * T'] mV, of the same records in the same order as `probe.encode_states`.

    A lead that a record does not have is flat.
    """
    found = []
    for items in batches(len(dataset), limit):
        batch = dataset.batch(items)
        spans = tokenizer.boundaries_from_peaks(batch["r_peaks"], batch["ecg"].shape[-1])
        meta = tokenizer.cut(batch["ecg"], batch["lead_mask"], spans)
        real = meta["beat_mask"][:, None] & batch["lead_mask"][:, :, None]
        beats = torch.where(real[..., None], meta["beats"], torch.zeros(()))
        mean = beats.sum(2) / meta["beat_mask"].sum(1).clamp(min=1)[:, None, None]
        labelled = ~multi_hot(batch["label"], len(dataset.classes)).isnan().any(1)
        found.append(mean.flatten(1)[labelled].numpy())
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class PrincipalComponents:
    """The first principal components of training records: mean [D], axes [D, M]."""

    mean: np.ndarray
    axes: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[R, D] -> [R, M]."""
        out: np.ndarray = ((x - self.mean) @ self.axes).astype(np.float32)
        return out


def fit_components(x: np.ndarray, count: int = COMPONENTS) -> PrincipalComponents:
    """Components of the covariance of training features [R, D], at most `count` of them."""
    mean = x.mean(0, dtype=np.float64)
    centred = torch.from_numpy(x - mean)
    axes = torch.linalg.eigh(centred.T @ centred)[1].flip(1)[:, :count]
    return PrincipalComponents(mean, axes.numpy())


@dataclass(frozen=True)
class RandomFeatures:
    """Rectified random projections, max(0, x A + b): a wide first layer that nobody trained. A [D, M], b [M]."""

    weight: np.ndarray
    offset: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[R, D] -> [R, M]."""
        out: np.ndarray = np.maximum(x @ self.weight + self.offset, 0)
        return out


def draw_features(
    x: np.ndarray, count: int = RANDOM_FEATURES, seed: int = SEED, one_unit: bool = True
) -> RandomFeatures:
    """Random features around training features [R, D]; drawn, but for their mean and scale.

    Args:
        x: what they are to be drawn for.
        count: M.
        seed: of the projections.
        one_unit: one scale for all keeps the proportions of a beat in mV: with a scale of its own, every sample between
            two waves would count as much as one of the QRS, and the control would be a weaker one. The numbers of a
            state have no common unit, so each gets its own scale (False).
    """
    rng = np.random.default_rng(seed)
    mean = x.mean(0, dtype=np.float64)
    spread = x.std(0, dtype=np.float64, keepdims=True).T
    scale = np.full_like(spread, x.std()) if one_unit else spread
    moves = spread > STILL * spread.max(initial=0)  # one that stood still in training says nothing
    weight = moves * rng.standard_normal((x.shape[1], count)) / np.sqrt(x.shape[1]) / np.maximum(scale, 1e-12)
    offset = OFFSET * rng.standard_normal(count) - mean @ weight
    return RandomFeatures(weight.astype(np.float32), offset.astype(np.float32))
