"""Hearts that were not recorded but could have been: a training record turned and scaled a little.

A heart lies a little otherwise in every chest, and a chest lets more or less of it through. Both change all leads
together, as a rotation and a gain of the source that they share. What no dipole explains of a record stays as it is.

Letters: B records, L leads, T samples.
"""

import numpy as np
import torch
from torch import Tensor

from ecggen.config import TrainConfig
from ecggen.leads import DOWER, lead_indices, nominal_directions
from ecggen.models.blocks import axis_angle_to_matrix


def varied(cfg: TrainConfig, rng: np.random.Generator, ecg: Tensor, lead_present: Tensor) -> Tensor:
    """Each record with a heart turned by a random rotation and all its leads times a random gain.

    With Dower's lead vectors D and their least-squares inverse D+ (see `baselines.dower_round_trip`) a source V = D+ E
    turned by R changes the leads by D (R - I) D+ E. The limb identities hold before and after. A record that lacks a
    lead is not turned, since D+ needs all of them.

    Args:
        cfg: `rotation` is the sd of the angle in degrees about an axis of any direction, `scaling` that of the
            logarithm of the gain; with both at zero the records come back as they are.
        rng: of the step.
        ecg: [B, L, T] mV.
        lead_present: [B, L] bool, the leads that the recordings have.

    Returns:
        [B, L, T] mV.
    """
    assert ecg.ndim == 3 and lead_present.shape == ecg.shape[:2], (
        f"lead_present: expected {tuple(ecg.shape[:2])}, got {tuple(lead_present.shape)}"
    )
    if cfg.rotation == 0 and cfg.scaling == 0:
        return ecg
    axis = rng.standard_normal((len(ecg), 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.deg2rad(cfg.rotation) * rng.standard_normal((len(ecg), 1))
    gain = np.exp(cfg.scaling * rng.standard_normal((len(ecg), 1, 1)))
    independent = lead_indices(tuple(DOWER))
    vectors = torch.from_numpy(nominal_directions()).to(ecg)
    turn = axis_angle_to_matrix(torch.from_numpy(axis * angle).to(ecg)) - torch.eye(3).to(ecg)
    source = torch.linalg.pinv(vectors[independent]) @ ecg[:, independent]
    change = vectors @ (turn @ source)
    whole = lead_present.all(1)[:, None, None].to(ecg.device)
    return torch.from_numpy(gain).to(ecg) * (ecg + torch.where(whole, change, torch.zeros((), device=ecg.device)))
