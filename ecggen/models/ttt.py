"""Estimation: W is found by gradient descent at test time (test-time training, TTT).

W is a quasi-static state of an object. It does not move by itself: there is no transition function, no rollout, nothing
of the future. It changes only because a new observation asks for a re-estimate, chunk of beats by chunk of beats, as in
filtering:

    W_c = argmin_W  proxy(W; tokens of chunk c) + lambda * ||W - W_{c-1}||^2,    W_0 = the learned prior W0

`FastState` says what W *is* and how a token constrains it (the proxy); `TTTUpdater` does the estimation. Only W moves.
The encoder, the proxy's maps and the renderer stand still; in training the inner steps are differentiable, so that the
outer loss teaches them, W0 and the step sizes how to make estimation work.

A hidden state of a recurrent network is whatever its update rule made of it. What W has to be is said without any
update rule, by what it has to explain; the few inner steps solve that problem approximately, and could be exchanged.

Letters: B records, L leads, N beats, C chunks, S beats a chunk, D state size, d encoder width.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ecggen.config import FastStateConfig, TTTConfig
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
    Input: share [B, L*d] share of each lead's tokens among the present ones (repeated over d; the same for all chunks
        of a record, because the same leads are shown throughout), pull b [B, D], rest c [B].
    Output: read by `VectorState.proxy`.
    """

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


class FastState(nn.Module):
    """What W is. The module holds slow weights only; W itself is a value, handed around and never changed in place.

    Role: representation. Gives the prior W0 (the population heart) and the proxy by which tokens constrain W.
    Input: H [B, L, N, d] encoded tokens and present [B, L, N] for `chunks`; W [B, D] for `proxy`.
    Output: `initial` W [B, D]; `chunks`, the evidence of each chunk of beats; `proxy` [B], how badly W explains one.
    """

    size: int
    prior: nn.Parameter

    def initial(self, batch: int) -> Tensor:
        """W0 for every record: [B, D]."""
        return self.prior.expand(batch, self.size)


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
        n, d = h.shape[2:]
        target = torch.where(present[..., None], h - self.offset[:, None], torch.zeros((), device=h.device))
        pad = -n % chunk_size
        target = nn.functional.pad(target, (0, 0, 0, pad)).unflatten(2, (-1, chunk_size))
        count = nn.functional.pad(present, (0, pad)).unflatten(2, (-1, chunk_size)).sum((1, 3)).clamp(min=1)
        seen = target.sum(3) / count[:, None, :, None]  # [B, L, C, d]
        pull = seen.permute(0, 2, 1, 3).flatten(2) @ self.decode.flatten(0, 1)
        rest = 0.5 * target.square().sum((1, 3, 4)) / count
        shown = present.any(2).to(h.dtype)
        share = (shown / shown.sum(1, keepdim=True).clamp(min=1)).repeat_interleave(d, dim=1)
        steepest = share[:, ::d] @ self._steepest()
        return [Quadratic(share, pull[:, c], rest[:, c], steepest) for c in range(pull.shape[1])]

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

    def safe_step(self, gradient: Tensor, step: Tensor, chunk: Quadratic) -> Tensor:
        """step * gradient [B, D], shortened where the chunk's curvature would make it diverge.

        Learned maps and step sizes may grow; with few leads shown a step that is right for twelve could diverge.
        """
        scale = MAX_STEP / (chunk.steepest * step.max()).clamp(min=MAX_STEP)
        return scale[:, None] * step * gradient

    def proxy(self, w: Tensor, chunk: Quadratic) -> Tensor:
        """W [B, D] -> [B]."""
        seen = w @ self.decode.flatten(0, 1).mT
        return 0.5 * (chunk.share * seen.square()).sum(1) - (chunk.pull * w).sum(1) + chunk.rest


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

    def safe_step(self, gradient: Tensor, step: Tensor, chunk: Tokens) -> Tensor:
        """step * gradient [B, D], gradients longer than MAX_GRADIENT shortened: far out this proxy is steeper."""
        return step * gradient * (MAX_GRADIENT / gradient.norm(dim=1, keepdim=True).clamp(min=MAX_GRADIENT))

    def proxy(self, w: Tensor, chunk: Tokens) -> Tensor:
        """W [B, D] -> [B]."""
        error = self.function(w, chunk.keys) - chunk.values
        return mean_over_present(0.5 * error.square().sum(-1), chunk.present)


FAST_STATES: dict[str, type[VectorState] | type[MLPState]] = {"vector": VectorState, "mlp": MLPState}


def build_fast_state(cfg: FastStateConfig, width: int) -> VectorState | MLPState:
    """The state of `cfg.mode` for encoder width d. Raises ValueError for a mode that is not in FAST_STATES."""
    if cfg.mode not in FAST_STATES:
        raise ValueError(f"model.fast_state.mode: expected one of {', '.join(FAST_STATES)}, got {cfg.mode!r}")
    return FAST_STATES[cfg.mode](cfg, width)


def proximal_step(w: Tensor, descent: Tensor, step: Tensor, previous: Tensor, smoothness: float) -> Tensor:
    """W <- (W - eta g + 2 eta lambda W_prev) / (1 + 2 eta lambda): gradient step on the proxy, exact step on the rest.

    ||W - W_prev||^2 has no gradient where a chunk starts, at W = W_prev, and plain steps on it diverge once
    eta * lambda > 1. Its proximal step is exact and stable for every lambda >= 0.

    Args:
        w, descent, previous: [B, D]; descent = eta g.
        step: [D] step sizes eta > 0.
        smoothness: lambda.
    """
    pull = 2 * step * smoothness
    return (w - descent + pull * previous) / (1 + pull)


class Estimator(nn.Module):
    """Finds W from encoded tokens, chunk of beats by chunk of beats.

    Role: estimation, what all ways of it share: chunks in order, padding that changes nothing, shapes. How a chunk is
        read is `read`'s business: `TTTUpdater` is the model's own way; it is compared with those of `estimators`.
    Input: H [B, L*N, d] (lead-major), lead_mask [B, L] and beat_mask [B, N] bool, True = present.
    Output: dict with `W` [B, D] after the last chunk, `W_seq` [B, C, D] after each chunk, `proxy` [B, C] before each
        chunk is read (how badly the W of the chunks before explained this one).
    """

    def __init__(self, cfg: TTTConfig, state: VectorState | MLPState, width: int) -> None:
        super().__init__()
        self.cfg = cfg
        self.state = state
        self.width = width

    def evidence(self, h: Tensor, present: Tensor) -> list[Any]:
        """What each chunk says: H [B, L, N, d], present [B, L, N] -> one entry a chunk, read by `read`."""
        return list(self.state.chunks(h, present, self.cfg.chunk_size))

    def read(self, previous: Tensor, chunk: Any, through: bool) -> tuple[Tensor, Tensor]:
        """W [B, D] of the chunks before, and one chunk's evidence -> the new W and the proxy [B] of the old one.

        Args:
            through: whether gradients flow through what happens here.
        """
        raise NotImplementedError

    def forward(self, h: Tensor, lead_mask: Tensor, beat_mask: Tensor) -> dict[str, Any]:
        """H [B, L*N, d] -> W [B, D], W_seq [B, C, D], proxy [B, C].

        Gradients flow through where the caller has them enabled (training). Otherwise each step is cut off; an inner
        gradient itself is always computed.
        """
        b, n = beat_mask.shape
        assert h.ndim == 3 and h.shape[:2] == (b, N_LEADS * n), (
            f"H: expected [{b}, {N_LEADS * n}, d] because N is {n}, got {tuple(h.shape)}"
        )
        assert lead_mask.shape == (b, N_LEADS), f"lead_mask: expected [{b}, {N_LEADS}], got {tuple(lead_mask.shape)}"
        assert not torch.is_inference_mode_enabled(), (
            "estimation: expected torch.no_grad(), got torch.inference_mode(); W is found by gradient descent"
        )
        through = torch.is_grad_enabled()
        w = self.state.initial(b)
        path, surprise = [], []
        real = beat_mask[:, :: self.cfg.chunk_size]  # beats are packed to the front, so a chunk's first one decides
        chunks = self.evidence(h.reshape(b, N_LEADS, n, -1), lead_mask[:, :, None] & beat_mask[:, None, :])
        for chunk, seen in zip(chunks, real.T, strict=True):
            found, before = self.read(w, chunk, through)
            w = torch.where(seen[:, None], found, w)  # a chunk of padding leaves W exactly as it was
            path.append(w)
            surprise.append(before.detach())
        return {"W": w, "W_seq": torch.stack(path, 1), "proxy": torch.stack(surprise, 1)}


class TTTUpdater(Estimator):
    """Estimation by gradient steps at test time, the model's own way.

    Role: estimation. Moves W and nothing else; step sizes are learned, one a step and dimension.
    Input: as `Estimator`.
    Output: as `Estimator`.
    """

    def __init__(self, cfg: TTTConfig, state: VectorState | MLPState, width: int = 0) -> None:
        super().__init__(cfg, state, width)
        raw = torch.full((cfg.inner_steps, state.size), cfg.step_size).expm1().log()
        self.raw_step = nn.Parameter(raw)

    def step_sizes(self) -> Tensor:
        """Step sizes eta > 0: [inner_steps, D]."""
        return nn.functional.softplus(self.raw_step)

    def read(self, previous: Tensor, chunk: Any, through: bool) -> tuple[Tensor, Tensor]:
        """A few steps down the proxy, each with the exact proximal step for the smoothness of W's path."""
        w, first = previous, None
        for step in self.step_sizes():
            gradient, value = self._proxy_gradient(w, chunk, through)
            first = value if first is None else first
            descent = self.state.safe_step(gradient, step, chunk)
            w = proximal_step(w, descent, step, previous, self.cfg.state_smoothness)
        assert first is not None, "model.ttt.inner_steps: expected at least 1, got 0"
        return w, first

    def _proxy_gradient(self, w: Tensor, chunk: Any, through: bool) -> tuple[Tensor, Tensor]:
        # Records do not share W, so the gradient of the sum is each record's own gradient.
        with torch.enable_grad():
            at = w if through and w.requires_grad else w.detach().requires_grad_()
            value = self.state.proxy(at, chunk)
            (gradient,) = torch.autograd.grad(value.sum(), at, create_graph=through)
        return (gradient if through else gradient.detach()), value


def _shape_check() -> None:
    """`python -m ecggen.models.ttt`: both modes on random tokens, shapes and movement printed."""
    b, n, d = 3, 5, 32
    h = torch.randn(b, N_LEADS * n, d)
    leads, beats = torch.ones(b, N_LEADS, dtype=torch.bool), torch.ones(b, n, dtype=torch.bool)
    for mode in FAST_STATES:
        updater = TTTUpdater(TTTConfig(chunk_size=2), build_fast_state(FastStateConfig(mode=mode), d))
        out = updater(h, leads, beats)
        size = updater.state.size
        assert out["W"].shape == (b, size) and out["W_seq"].shape == (b, 3, size)
        moved = (out["W_seq"][:, 0] - updater.state.initial(b)).norm(dim=1).mean()
        print(
            f"{mode}: H {tuple(h.shape)} -> W {tuple(out['W'].shape)}, "
            f"W_seq {tuple(out['W_seq'].shape)}, moved {moved:.3f}"
        )


if __name__ == "__main__":
    _shape_check()
