"""What a training step sees: which records, and which of their leads.

Both follow from the seed and the step alone, so that a training that is carried on sees what it would have seen.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ecggen.config import TrainConfig
from ecggen.leads import PRECORDIALS, lead_indices

ORDER = 0  # the random stream of the order of records, apart from training's others


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
