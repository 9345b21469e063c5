"""`VCGGenerator`: the heart state W drawn as a source in space.

V is not an ECG. It is the one source that all leads share, three axes over one beat, and it is kept simple on purpose:
a few curves that are common to all hearts (`basis`), mixed by coefficients that are this heart's (`A(W)`).

Letters: B records, C chunks, D state size, K basis curves, T' samples of a beat.
"""

import torch
from torch import Tensor, nn

from ecggen.config import VCGConfig

# At the start half of the basis curves stand around the R peak, within this share of a beat, because QRS is the
# fastest part of a beat; the others are spread evenly.
QRS_SHARE = 0.08


def initial_basis(k: int, beat_len: int, peak: float) -> Tensor:
    """K Gaussian bumps over a beat, [K, T']: half of them narrow around `peak` (share of the beat), half wide."""
    narrow = k // 2
    spread = torch.linspace(0, 1, k - narrow)
    around = torch.linspace(peak - QRS_SHARE, peak + QRS_SHARE, narrow) if narrow else torch.zeros(0)
    centre = torch.cat([spread, around])
    width = torch.cat([torch.full((k - narrow,), 0.7 / max(k - narrow - 1, 1)), torch.full((narrow,), 0.015)])
    phase = torch.arange(beat_len) / beat_len
    return torch.exp(-0.5 * ((phase[None] - centre[:, None]) / width[:, None]) ** 2)


class VCGGenerator(nn.Module):
    """V = A(W) @ basis.

    Role: rendering, first step; turns the state of the object into its picture in space.
    Input: W [..., D].
    Output: A [..., 3, K] coefficients and V [..., 3, T'] mV, the latent source.
    """

    def __init__(self, cfg: VCGConfig, state_size: int, beat_len: int, peak: float) -> None:
        super().__init__()
        self.k = cfg.basis_k
        self.state_size = state_size
        out = 3 * cfg.basis_k
        self.coefficients: nn.Module = (
            nn.Linear(state_size, out)
            if cfg.hidden == 0
            else nn.Sequential(nn.Linear(state_size, cfg.hidden), nn.GELU(), nn.Linear(cfg.hidden, out))
        )
        self.basis = nn.Parameter(initial_basis(cfg.basis_k, beat_len, peak))

    def forward(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """W [..., D] -> A [..., 3, K], V [..., 3, T']."""
        assert w.shape[-1] == self.state_size, f"W: expected [..., {self.state_size}], got {tuple(w.shape)}"
        a = self.coefficients(w).reshape(*w.shape[:-1], 3, self.k)
        return a, a @ self.basis


def smoothness(v: Tensor) -> Tensor:
    """Mean squared second difference along the beat, mV^2: a source does not jump. V [..., 3, T'] -> number."""
    return torch.diff(v, n=2, dim=-1).square().mean()


def energy(v: Tensor) -> Tensor:
    """Mean square, mV^2: keeps the source from growing where no lead looks. V [..., 3, T'] -> number."""
    return v.square().mean()


def loop_closure(v: Tensor) -> Tensor:
    """Squared distance between the two ends of a beat, mV^2: a cycle ends about where it began. V -> number."""
    return (v[..., -1] - v[..., 0]).square().sum(-1).mean()
