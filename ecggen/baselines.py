"""What a model has to beat: classical transforms between leads.

They are fitted on the training records and judged on the same beats as the model.

One pass over training beats gives means, the covariance between leads and the mean beat; every linear baseline, for any
set of visible leads, follows from these in closed form.

Letters: B records, L leads, N beats, T' samples of a beat.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecggen.data.pipeline import ECGDataset
from ecggen.data.tokenizer import ECGTokenizer
from ecggen.leads import DOWER, LEADS, follows_from, lead_indices, nominal_directions

# Added to the covariance, relative to its mean variance: leads can be linear combinations of each other.
RIDGE = 1e-6


@dataclass(frozen=True)
class Baselines:
    """Moments of training beats.

    Attributes:
        mean: [L] mV, over all samples.
        covariance: [L, L] mV^2, float64.
        mean_beat: [L, T'] mV.
        records: how many records they were fitted on.
    """

    mean: Tensor
    covariance: Tensor
    mean_beat: Tensor
    records: int

    def linear(self, beats: Tensor, visible: tuple[str, ...]) -> Tensor:
        """Least squares from the visible leads, sample by sample: [B, L, N, T'] -> the same, all leads.

        Limb leads that follow from others shown are left out: they hold nothing but rounding and, in a few records,
        faults, which a regression on all six would weigh with large opposite weights.
        """
        seen = lead_indices(_independent(visible))
        among = self.covariance[seen][:, seen]
        ridge = RIDGE * among.diagonal().mean().clamp(min=1e-9) * torch.eye(len(seen), dtype=among.dtype)
        weights = torch.linalg.solve(among + ridge, self.covariance[seen]).float()
        centred = beats[:, seen] - self.mean[seen][:, None, None]
        return torch.einsum("bsnt,sl->blnt", centred, weights) + self.mean[:, None, None]

    def best_leads(self, visible: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """For each lead the visible one, scaled, that leaves the least squared error on the training beats.

        min over a of E (y - a x)^2 is E y^2 - (E xy)^2 / E x^2, at a = E xy / E x^2.

        Returns:
            which of the visible leads [L], and its scale a [L].
        """
        seen = lead_indices(visible)
        power = (self.covariance + self.mean[:, None] * self.mean)[seen].float()
        own = power[torch.arange(len(seen)), seen].clamp(min=1e-12)[:, None]
        best = (power.square() / own).argmax(0)
        return best, (power / own).gather(0, best[None])[0]

    def best_lead(self, beats: Tensor, visible: tuple[str, ...]) -> Tensor:
        """Every lead as the visible lead that fits it best, scaled: [B, L, N, T'] -> the same."""
        best, scale = self.best_leads(visible)
        return beats[:, lead_indices(visible)][:, best] * scale[:, None, None]

    def best_lead_names(self, visible: tuple[str, ...]) -> dict[str, list[str | float]]:
        """The same in words: lead -> which visible one, and its scale."""
        best, scale = self.best_leads(visible)
        return {lead: [visible[best[at]], float(scale[at])] for at, lead in enumerate(LEADS)}

    def average(self, beats: Tensor) -> Tensor:
        """The mean beat of the training set for everyone."""
        return self.mean_beat[:, None].expand_as(beats)

    def principal(self, beats: Tensor, components: int = 3) -> Tensor:
        """Projection on the first principal components across leads: what the best rank-3 rendering could reach."""
        axes = torch.linalg.eigh(self.covariance)[1][:, -components:].float()
        centred = beats - self.mean[:, None, None]
        return torch.einsum("blnt,lk,mk->bmnt", centred, axes, axes) + self.mean[:, None, None]


def _independent(visible: tuple[str, ...]) -> tuple[str, ...]:
    """The visible leads without those that follow from the ones before them."""
    kept: tuple[str, ...] = ()
    for lead in visible:
        if lead not in follows_from(kept):
            kept += (lead,)
    return kept


def dower_round_trip(beats: Tensor) -> Tensor:
    """What a dipole seen by standard lead vectors keeps of a record: beats [B, L, N, T'] mV -> the same.

    Leads to VCG by the inverse Dower transform (Edenbrandt and Pahlm, J Electrocardiol 21:361, 1988), the least-squares
    inverse of Dower's lead vectors for I, II, V1..V6; back to all leads by those vectors (Dower, Health Sciences 1968)
    and the limb identities. Nothing is fitted; the transform needs all twelve leads.
    """
    independent = lead_indices(tuple(DOWER))
    vectors = torch.from_numpy(nominal_directions()).to(beats)
    source = torch.einsum("xl,blnt->bxnt", torch.linalg.pinv(vectors[independent]), beats[:, independent])
    return torch.einsum("lx,bxnt->blnt", vectors, source)


def fit_baselines(tokenizer: ECGTokenizer, dataset: ECGDataset, limit: int, batch_size: int = 64) -> Baselines:
    """Fit on at most `limit` records of a training split, evenly spaced, on their beats over all leads.

    Records that lack a lead are left out: a covariance needs all of them. Raises ValueError where none is complete.
    """
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(limit, len(dataset))).astype(int))
    n, leads = 0, len(LEADS)
    total = torch.zeros(leads, dtype=torch.float64)
    outer = torch.zeros(leads, leads, dtype=torch.float64)
    beat_sum = torch.zeros(leads, tokenizer.cfg.beat_len, dtype=torch.float64)
    records = 0
    with torch.no_grad():
        for at in range(0, len(chosen), batch_size):
            beats, count = _complete_beats(tokenizer, dataset, chosen[at : at + batch_size])
            flat = beats.transpose(0, 1).flatten(1)
            n, records = n + flat.shape[1], records + count
            total += flat.sum(1)
            outer += flat @ flat.T
            beat_sum += beats.sum(0)
    if records == 0:
        raise ValueError(f"baselines: expected training records with all {leads} leads, got none")
    mean = total / n
    covariance = outer / n - mean[:, None] * mean
    mean_beat = beat_sum / (n / tokenizer.cfg.beat_len)
    return Baselines(mean.float(), covariance, mean_beat.float(), records)


def _complete_beats(tokenizer: ECGTokenizer, dataset: ECGDataset, items: np.ndarray) -> tuple[Tensor, int]:
    """Real beats of the records that have all leads: [beats, L, T'] float64, and how many records these were."""
    batch = dataset.batch(items)
    full = batch["lead_mask"].all(1)
    if not full.any():
        return torch.zeros(0, len(LEADS), tokenizer.cfg.beat_len, dtype=torch.float64), 0
    ecg = batch["ecg"][full]
    peaks = [p for p, whole in zip(batch["r_peaks"], full, strict=True) if whole]
    meta = tokenizer.cut(ecg, boundaries=tokenizer.boundaries_from_peaks(peaks, ecg.shape[-1]))
    return meta["beats"].transpose(1, 2)[meta["beat_mask"]].double(), int(full.sum())
