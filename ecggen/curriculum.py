"""What a training step sees: which records, which of their leads, which of their beats.

All follow from the seed and the step alone, so that a training that is carried on sees what it would have seen. Nothing
here is done record by record, and nothing waits for a GPU, so that the next step is laid out while one computes.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ecggen.config import TrainConfig
from ecggen.data.beats import BeatWindows
from ecggen.data.pipeline import ECGDataset
from ecggen.data.tokenizer import ECGTokenizer
from ecggen.data.transfer import sent
from ecggen.leads import PRECORDIALS, lead_indices

# Streams of random numbers that must not be one another's.
ORDER, SHOW, DROPOUT = 0, 1, 2


@dataclass(frozen=True)
class Scene:
    """What one step sees.

    Attributes:
        step: counted from 0.
        ecg: [B, L, T] mV.
        lead_present, shown: [B, L] bool, the leads that a recording has, and those of them that the step shows.
        windows: of the beats that it sees.
    """

    step: int
    ecg: Tensor
    lead_present: Tensor
    shown: Tensor
    windows: BeatWindows

    def to(self, device: torch.device) -> "Scene":
        """The same on another device."""
        ecg, present, shown = (sent(part, device) for part in (self.ecg, self.lead_present, self.shown))
        return Scene(self.step, ecg, present, shown, self.windows.to(device))


def scene_of_step(cfg: TrainConfig, step: int, dataset: ECGDataset, tokenizer: ECGTokenizer) -> Scene:
    """What a step sees of the records of a split."""
    items = records_of_step(cfg, step, len(dataset))
    rng = np.random.default_rng((cfg.seed, SHOW, step))
    ecg, present = dataset.signals(items), dataset.lead_mask(items)
    shown = shown_leads(cfg, rng, present)
    return Scene(step, ecg, present, shown, beat_windows(cfg, rng, tokenizer, dataset.r_peaks(items), ecg.shape[-1]))


def records_of_step(cfg: TrainConfig, step: int, records: int) -> np.ndarray:
    """The records of a step: every epoch is a permutation of its own, its remainder is dropped."""
    size = min(cfg.batch_size, records)
    epoch, within = divmod(step, records // size)
    return _order(cfg.seed, epoch, records)[within * size : (within + 1) * size].copy()


@lru_cache(maxsize=2)  # drawn once an epoch, not at each of its steps
def _order(seed: int, epoch: int, records: int) -> np.ndarray:
    order = np.random.default_rng((seed, ORDER, epoch)).permutation(records)
    order.setflags(write=False)
    return order


def shown_leads(cfg: TrainConfig, rng: np.random.Generator, lead_present: Tensor) -> Tensor:
    """Which leads a step shows, [B, L] bool: as many in every record, which ones drawn for each, at least one each.

    In `cfg.reduced_sets` of the steps they are I, II and one chest lead, what reduced lead sets record; random subsets
    of three are seldom that.
    """
    kind = rng.random()
    every, reduced = kind < cfg.all_leads, kind < cfg.all_leads + cfg.reduced_sets
    count = lead_present.shape[1] if every else 1 if reduced else int(rng.integers(cfg.min_leads, cfg.max_leads + 1))
    lottery = torch.from_numpy(rng.random(lead_present.shape)).masked_fill(~lead_present, 2.0)
    rank = lottery.argsort(1).argsort(1)
    drawn = (rank < count) & lead_present
    if every or not reduced:
        return drawn
    asked = torch.zeros_like(lead_present)
    asked[:, lead_indices(("I", "II"))] = True
    asked[torch.arange(len(asked)), torch.from_numpy(rng.choice(lead_indices(PRECORDIALS), len(asked)))] = True
    shown = asked & lead_present
    return torch.where(shown.any(1, keepdim=True), shown, drawn)


def beat_windows(
    cfg: TrainConfig,
    rng: np.random.Generator,
    tokenizer: ECGTokenizer,
    r_peaks: tuple[np.ndarray, np.ndarray],
    samples: int,
) -> BeatWindows:
    """Beat windows from the cached R peaks: some neighbouring beats of each record, shifted a little.

    At test time the beats are found on the shown leads alone and lie a few milliseconds elsewhere. Few beats are enough
    to learn how one is read, and a step costs as much as its record with most beats.

    Args:
        r_peaks: [B, P] samples and how many each record has [B].
        samples: length of the records.
    """
    peaks, counts = r_peaks
    shift = np.rint(rng.normal(0, cfg.boundary_jitter * tokenizer.fs, len(peaks))).astype(int)
    windows = tokenizer.segment(peaks + shift[:, None], counts, samples).windows
    if not cfg.max_beats:
        return windows
    spare = windows.mask.sum(1).numpy() - cfg.max_beats
    return windows.neighbours(torch.from_numpy(rng.integers(0, np.maximum(spare, 0) + 1)), cfg.max_beats)
