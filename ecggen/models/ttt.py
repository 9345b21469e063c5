"""Estimation: W is found by gradient descent at test time (test-time training, TTT).

W is a quasi-static state of an object. It does not move by itself: there is no transition function, no rollout, nothing
of the future. It changes only because a new observation asks for a re-estimate, chunk of beats by chunk of beats, as in
filtering:

    W_c = argmin_W  proxy(W; tokens of chunk c) + lambda * ||W - W_{c-1}||^2,    W_0 = the learned prior W0

`FastState` (in `states`) says what W *is* and how a token constrains it (the proxy); `TTTUpdater` estimates. Only W
moves. The encoder, the proxy's maps and the renderer stand still; in training the inner steps are differentiable, so
that the outer loss teaches them, W0 and the step sizes how to make estimation work.

A hidden state of a recurrent network is whatever its update rule made of it. What W has to be is said without any
update rule, by what it has to explain; the few inner steps solve that problem approximately, and could be exchanged.

Letters: B records, L leads, N beats, C chunks, S beats a chunk, D state size, d encoder width.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ecggen.config import FastStateConfig, TTTConfig
from ecggen.models.states import FAST_STATES, N_LEADS, FastState, MLPState, VectorState, build_fast_state

__all__ = ["Estimator", "FastState", "TTTUpdater", "proximal_step"]  # FastState: where it has always been found


def proximal_step(w: Tensor, descent: Tensor, previous: Tensor, kept: Tensor) -> Tensor:
    """W <- (W - eta g + 2 eta lambda W_prev) / (1 + 2 eta lambda): gradient step on the proxy, exact step on the rest.

    ||W - W_prev||^2 has no gradient where a chunk starts, at W = W_prev, and plain steps on it diverge once
    eta * lambda > 1. Its proximal step is exact and stable for every lambda >= 0: a weighted mean of where the gradient
    leads and of W_prev.

    Args:
        w, descent, previous: [B, D]; descent = eta g.
        kept: [D] weight of the gradient step, 1 / (1 + 2 eta lambda).
    """
    return torch.lerp(previous, w - descent, kept)


class Estimator(nn.Module, ABC):
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

    @torch.no_grad()
    def asked(self, h: Tensor, present: Tensor) -> list[Any]:
        """`evidence` of the state alone, for those who find W without its proxy: read, not learned from."""
        return list(self.state.chunks(h, present, self.cfg.chunk_size))

    @torch.no_grad()
    def surprise(self, w: Tensor, asked: Any) -> Tensor:
        """The proxy [B] of W [B, D], read and not learned from."""
        value: Tensor = self.state.proxy(w, asked)
        return value

    @abstractmethod
    def read(self, previous: Tensor, chunk: Any, through: bool) -> tuple[Tensor, Tensor]:
        """W [B, D] of the chunks before, and one chunk's evidence -> the new W and the proxy [B] of the old one.

        Args:
            through: whether gradients flow through what happens here.
        """

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
        assert torch.compiler.is_compiling() or not torch.is_inference_mode_enabled(), (
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

    def evidence(self, h: Tensor, present: Tensor) -> list[Any]:
        """One (what the state makes of a chunk, (step size, `kept` of its proximal step) an inner step) a chunk."""
        chunks = super().evidence(h, present)
        sizes = self.step_sizes()
        kept = 1 / (1 + 2 * self.cfg.state_smoothness * sizes)
        # What is a safe step in one chunk is so in all: the same leads are shown throughout.
        steps = list(zip(self.state.safe_steps(sizes, chunks[0]).unbind(), kept.unbind(), strict=True))
        return [(chunk, steps) for chunk in chunks]

    def read(self, previous: Tensor, chunk: Any, through: bool) -> tuple[Tensor, Tensor]:
        """A few steps down the proxy, each with the exact proximal step for the smoothness of W's path."""
        asked, steps = chunk
        w, first = previous, None
        for step, kept in steps:
            gradient, value = self._proxy_gradient(w, asked, through)
            first = value if first is None else first
            w = proximal_step(w, step * self.state.bounded(gradient), previous, kept)
        assert first is not None, "model.ttt.inner_steps: expected at least 1, got 0"
        return w, first

    def _proxy_gradient(self, w: Tensor, chunk: Any, through: bool) -> tuple[Tensor, Tensor]:
        """The proxy's gradient [B, D] and value [B]: autograd's by definition, or the same written out."""
        if self.cfg.inner_gradient == "analytic":
            return self.state.proxy_gradient(w, chunk)
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
