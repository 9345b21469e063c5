"""What W is: the two kinds of state, each with the proxy by which a chunk of tokens constrains it.

`ecggen.models.ttt` estimates them and says what a state is not.

Letters: B records, L leads, N beats, C chunks, D state size, d encoder width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ecggen.config import FastStateConfig
from ecggen.leads import LEADS

N_LEADS = len(LEADS)
# Largest product of step size and curvature: gradient steps on a quadratic converge below two and diverge above.
MAX_STEP = 1.9
SQUARINGS = 3
MAX_GRADIENT = 10.0  # length of the inner gradient in `mlp` mode, about half that of its W0


@dataclass(frozen=True)
class Quadratic:
    """What a chunk asks of a point W, summed up: proxy(W) = sum_l share_l ||M_l W||^2 / 2 - b^T W + c.

    Role: observation side of the proxy in `vector` mode; never depends on W.
    Input: maps [L*d, D] the M_l one below the other; share [B, L*d] share of each lead's tokens among the present ones
        (repeated over d; the same for all chunks of a record, because the same leads are shown throughout), pull b
        [B, D], rest c [B].
    Output: read by `VectorState.proxy`.
    """

    maps: Tensor
    share: Tensor
    pull: Tensor
    rest: Tensor
    steepest: Tensor  # [B], upper bound of the proxy's curvature


@dataclass(frozen=True)
class Tokens:
    """What a chunk asks of a function f_W: that it gives value(token) at key(token).

    Role: observation side of the proxy in `mlp` mode; never depends on W.
    Input: keys [B, M, k] how a token looks, values [B, M, v] what it sees, present [B, M] bool.
    Output: read by `MLPState.proxy`.
    """

    keys: Tensor
    values: Tensor
    present: Tensor


def mean_over_present(values: Tensor, present: Tensor) -> Tensor:
    """[B, M] -> [B]: the average over present tokens only, so that padding neither pulls nor dilutes."""
    kept = torch.where(present, values, torch.zeros((), device=values.device))
    return kept.sum(1) / present.sum(1).clamp(min=1)


def in_chunks(h: Tensor, present: Tensor, chunk_size: int) -> tuple[Tensor, Tensor]:
    """H [B, L, N, d], present [B, L, N] -> [B, L, C, S, d] and [B, L, C, S], beats added where the last chunk lacks."""
    pad = -h.shape[2] % chunk_size
    if pad:
        h, present = nn.functional.pad(h, (0, 0, 0, pad)), nn.functional.pad(present, (0, pad))
    return h.unflatten(2, (-1, chunk_size)), present.unflatten(2, (-1, chunk_size))


class FastState(nn.Module):
    """What W is. The module holds slow weights only; W itself is a value, handed around and never changed in place.

    Role: representation. Gives the prior W0 (the population heart) and the proxy by which tokens constrain W.
    Input: H [B, L, N, d] encoded tokens and present [B, L, N] for `chunks`; W [B, D] for `proxy`.
    Output: `initial` W [B, D]; `chunks`, the evidence of each chunk of beats; `proxy` [B], how badly W explains one;
        `proxy_gradient` [B, D], its derivative by W written out, through which autograd can go on.
    """

    size: int
    prior: nn.Parameter

    def initial(self, batch: int) -> Tensor:
        """W0 for every record: [B, D]."""
        return self.prior.expand(batch, self.size)

    def bounded(self, gradient: Tensor) -> Tensor:
        """The proxy's gradient [B, D], shortened where the state knows that it would lead too far."""
        return gradient


class VectorState(FastState):
    """W is a point in R^D; each lead's token is decoded from it by that lead's own slow map.

    Role: assumes that the heart is a low-dimensional point. Every lead sees it through its own window M_l, and
        estimation is a filter: the proxy is quadratic in W, so a chunk's tokens are summed up once (`Quadratic`).
    Input: see FastState.
    Output: proxy [B] = mean over present tokens of ||M_l W + c_l - h||^2 / 2.
    """

    def __init__(self, cfg: FastStateConfig, width: int) -> None:
        super().__init__()
        self.size = cfg.size
        self.prior = nn.Parameter(torch.randn(cfg.size) * 0.02)
        decode = torch.empty(N_LEADS, width, cfg.size)
        for lead in decode:
            # Orthonormal rows: the proxy's curvature starts at one or below, so that steps of order one are stable.
            nn.init.orthogonal_(lead)
        self.decode = nn.Parameter(decode)
        self.offset = nn.Parameter(torch.zeros(N_LEADS, width))

    def chunks(self, h: Tensor, present: Tensor, chunk_size: int) -> list[Quadratic]:
        """H [B, L, N, d], present [B, L, N] -> one Quadratic a chunk.

        Expanding the squares of the proxy: b = sum_l M_l^T (sum of h - c_l) / count, over present tokens.
        """
        d, maps = h.shape[3], self.decode.flatten(0, 1)
        h, present = in_chunks(h, present, chunk_size)
        weight = present / present.sum((1, 3), keepdim=True).clamp(min=1).to(h.dtype)  # [B, L, C, S]
        seen = (weight[..., None] * h).sum(3).transpose(1, 2).flatten(2)  # [B, C, L*d]
        expected = weight.sum(3).mT @ (self.offset[:, None] @ self.decode)[:, 0]  # sum_l weight M_l^T c_l
        pull = (seen @ maps - expected).unbind(1)
        with torch.no_grad():  # no part of the gradient
            rest = 0.5 * (weight * (h - self.offset[:, None, None]).square().sum(-1)).sum((1, 3))
        shown = present.any(3).any(2).to(h.dtype)
        share = shown / shown.sum(1, keepdim=True).clamp(min=1)
        steepest = share @ self._steepest()
        share = share.repeat_interleave(d, dim=1)
        return [Quadratic(maps, share, b, c, steepest) for b, c in zip(pull, rest.unbind(1), strict=True)]

    @torch.no_grad()
    def _steepest(self) -> Tensor:
        """Upper bound of the largest eigenvalue of each lead's M_l^T M_l, [L].

        lambda_max(G) <= ||G^p||_F^(1/p), which is tight to a factor of rank^(1/2p); p = 2^SQUARINGS.
        """
        gram = self.decode @ self.decode.mT
        size = gram.diagonal(dim1=1, dim2=2).sum(1)
        power = gram / size[:, None, None].clamp(min=1e-12)
        for _ in range(SQUARINGS):
            power = power @ power
        return size * power.square().sum((1, 2)).pow(0.5 / 2**SQUARINGS)

    def safe_steps(self, steps: Tensor, chunk: Quadratic) -> Tensor:
        """Step sizes [S, D] -> [S, B, D], shortened for records whose curvature would make them diverge.

        Learned maps and step sizes may grow; with few leads shown a step that is right for twelve could diverge.
        """
        scale = MAX_STEP / (chunk.steepest * steps.amax(1, keepdim=True)).clamp(min=MAX_STEP)
        return scale[..., None] * steps[:, None]

    def proxy(self, w: Tensor, chunk: Quadratic) -> Tensor:
        """W [B, D] -> [B]."""
        seen = w @ chunk.maps.mT
        return 0.5 * (chunk.share * seen.square()).sum(1) - (chunk.pull * w).sum(1) + chunk.rest

    def proxy_gradient(self, w: Tensor, chunk: Quadratic) -> tuple[Tensor, Tensor]:
        """W [B, D] -> gradient G W - b [B, D], G = sum_l share_l M_l^T M_l, and the proxy [B] without its graph.

        Two thin products a step: G itself would be D x D numbers a record, more to move than they spare to compute.
        """
        gradient = torch.addmm(chunk.pull, chunk.share * (w @ chunk.maps.mT), chunk.maps, beta=-1)
        with torch.no_grad():  # W^T G W / 2 - b^T W + c
            value = 0.5 * (w * (gradient - chunk.pull)).sum(1) + chunk.rest
        return gradient, value


class MLPState(FastState):
    """W is the weights of a small MLP, flattened: f_W(key(token)) should give value(token).

    Role: assumes that the heart is a *function* from how one looks (key: lead and context) to what one sees (value).
        More capacity a beat than a point, and a proxy that is not quadratic. A fixed MLP that maps a state vector would
        not be this: here every record has an MLP of its own and its weights are the state.
    Input: see FastState.
    Output: proxy [B] = mean over present tokens of ||f_W(key) - value||^2 / 2.
    """

    def __init__(self, cfg: FastStateConfig, width: int) -> None:
        super().__init__()
        self.shapes = {
            "weight_in": (cfg.hidden, cfg.key_width),
            "bias_in": (cfg.hidden,),
            "weight_out": (cfg.value_width, cfg.hidden),
            "bias_out": (cfg.value_width,),
        }
        start = [
            torch.randn(self.shapes["weight_in"]),
            torch.zeros(self.shapes["bias_in"]),
            torch.randn(self.shapes["weight_out"]),
            torch.zeros(self.shapes["bias_out"]),
        ]
        self.prior = nn.Parameter(torch.cat([x.flatten() for x in start]))
        self.size = self.prior.numel()
        self.key = nn.Linear(width, cfg.key_width)
        self.value = nn.Linear(width, cfg.value_width)

    def unflatten(self, w: Tensor) -> dict[str, Tensor]:
        """W [B, D] -> the MLP's weights by name, each [B, ...]."""
        sizes = [torch.Size(s).numel() for s in self.shapes.values()]
        parts = w.split(sizes, dim=1)
        return {name: part.reshape(-1, *s) for (name, s), part in zip(self.shapes.items(), parts, strict=True)}

    def function(self, w: Tensor, keys: Tensor) -> Tensor:
        """f_W, the record's own MLP: W [B, D], keys [B, M, k] -> [B, M, v].

        f_W(x) = W_out gelu(W_in x / sqrt(k) + b_in) / sqrt(hidden) + b_out: weights of order one, and so a proxy whose
        curvature is of order one in every weight (the scaling of Jacot et al. 2018).
        """
        p = self.unflatten(w)
        into, out = keys.shape[-1] ** -0.5, p["bias_in"].shape[-1] ** -0.5
        hidden = nn.functional.gelu(torch.baddbmm(p["bias_in"][:, None], keys, p["weight_in"].mT, alpha=into))
        return torch.baddbmm(p["bias_out"][:, None], hidden, p["weight_out"].mT, alpha=out)

    def chunks(self, h: Tensor, present: Tensor, chunk_size: int) -> list[Tokens]:
        """H [B, L, N, d], present [B, L, N] -> one Tokens a chunk."""
        # The curvature of this proxy grows with keys and values, so tall tokens would make fixed step sizes diverge:
        # amplitude enters by its logarithm.
        size = h.square().mean(-1, keepdim=True).add(1e-6).sqrt()
        bounded = h * (torch.log1p(size) / size)
        keys, values = self.key(bounded), self.value(bounded)
        cut = [slice(at, at + chunk_size) for at in range(0, h.shape[2], chunk_size)]
        return [
            Tokens(keys[:, :, c].flatten(1, 2), values[:, :, c].flatten(1, 2), present[:, :, c].flatten(1)) for c in cut
        ]

    def safe_steps(self, steps: Tensor, chunk: Tokens) -> Tensor:
        """Step sizes [S, D] -> [S, 1, D]; what is too long here is the gradient, see `bounded`."""
        return steps[:, None]

    def bounded(self, gradient: Tensor) -> Tensor:
        """[B, D], gradients longer than MAX_GRADIENT shortened: far out this proxy is steeper."""
        return gradient * (MAX_GRADIENT / gradient.norm(dim=1, keepdim=True).clamp(min=MAX_GRADIENT))

    def proxy(self, w: Tensor, chunk: Tokens) -> Tensor:
        """W [B, D] -> [B]."""
        error = self.function(w, chunk.keys) - chunk.values
        return mean_over_present(0.5 * error.square().sum(-1), chunk.present)

    def proxy_gradient(self, w: Tensor, chunk: Tokens) -> tuple[Tensor, Tensor]:
        """W [B, D] -> gradient [B, D] by the chain rule, f_W read backwards, and the proxy [B] without its graph."""
        p = self.unflatten(w)
        into, out = chunk.keys.shape[-1] ** -0.5, p["bias_in"].shape[-1] ** -0.5
        before = torch.baddbmm(p["bias_in"][:, None], chunk.keys, p["weight_in"].mT, alpha=into)
        hidden = nn.functional.gelu(before)
        error = torch.baddbmm(p["bias_out"][:, None], hidden, p["weight_out"].mT, alpha=out) - chunk.values
        share = chunk.present.to(error.dtype) / chunk.present.sum(1, keepdim=True).clamp(min=1)
        pulled = error * share[..., None]
        back = torch.ops.aten.gelu_backward(out * pulled @ p["weight_out"], before)
        gradient = {
            "weight_in": into * back.mT @ chunk.keys,
            "bias_in": back.sum(1),
            "weight_out": out * pulled.mT @ hidden,
            "bias_out": pulled.sum(1),
        }
        with torch.no_grad():
            value = 0.5 * (pulled * error).sum((1, 2))
        return torch.cat([gradient[name].flatten(1) for name in self.shapes], 1), value


FAST_STATES: dict[str, type[VectorState] | type[MLPState]] = {"vector": VectorState, "mlp": MLPState}


def build_fast_state(cfg: FastStateConfig, width: int) -> VectorState | MLPState:
    """The state of `cfg.mode` for encoder width d. Raises ValueError for a mode that is not in FAST_STATES."""
    if cfg.mode not in FAST_STATES:
        raise ValueError(f"model.fast_state.mode: expected one of {', '.join(FAST_STATES)}, got {cfg.mode!r}")
    return FAST_STATES[cfg.mode](cfg, width)
