"""Other ways to find W, to be compared with estimation by test-time training: settings of the same model.

Each answers one doubt. `amortised`: is estimation worth more than an encoder that guesses W at once? `ridge`: are a few
learned steps worse than the exact solution of what they approximate? `prior`: does anything depend on W at all?

Letters: B records, L leads, N beats, C chunks, D state size, d encoder width.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ecggen.config import TTTConfig
from ecggen.models.states import MLPState, VectorState, in_chunks
from ecggen.models.ttt import Estimator, TTTUpdater


class AmortisedEstimator(Estimator):
    """W is guessed: a network of the mean of the chunk's tokens, no proxy, nothing solved.

    Role: ablation. The usual encoder in place of estimation; what it has, it has learned before it sees the record.
    Input: as `Estimator`.
    Output: as `Estimator`.
    """

    def __init__(self, cfg: TTTConfig, state: VectorState | MLPState, width: int) -> None:
        super().__init__(cfg, state, width)
        # As many weights as the proxy's maps have at the default sizes, so that neither has more room.
        self.guess = nn.Sequential(nn.Linear(width, 2 * state.size), nn.GELU(), nn.Linear(2 * state.size, state.size))

    def evidence(self, h: Tensor, present: Tensor) -> list[Any]:
        """One (what the state makes of a chunk, the guess [B, D] from its mean token) a chunk."""
        tokens, real = in_chunks(h, present, self.cfg.chunk_size)
        count = real.sum((1, 3)).clamp(min=1)
        mean = (real[..., None] * tokens).sum((1, 3)) / count[..., None]
        found = self.state.initial(len(h))[:, None] + self.guess(mean)
        return list(zip(self.asked(h, present), found.unbind(1), strict=True))

    def read(self, previous: Tensor, chunk: Any, through: bool) -> tuple[Tensor, Tensor]:
        """W0 and what the network adds to it."""
        asked, found = chunk
        return found, self.surprise(previous, asked)


class Minimum(torch.autograd.Function):
    """Where the gradient of proxy and smoothness is zero, differentiated by the implicit function theorem.

    Role: the solution of `RidgeEstimator`, and how the outer loss goes through it.
    From (G + r) W = y and G = sum_i share_i m_i m_i^T over the rows m_i of the maps: with a gradient g by W, that by y
    is a = (G + r)^-1 g, and that by m_i is -share_i ((m_i W) a + (m_i a) W). No step of the way to W is kept, and no
    D x D gradient is ever made. Second derivatives are refused: they would take the factor for a constant.

    Input: y [B, D], maps [L*d, D], share [B, L*d], factor [B, D, D] of G + r (Cholesky).
    Output: W [B, D].
    """

    @staticmethod
    def forward(ctx: Any, asked: Tensor, maps: Tensor, share: Tensor, factor: Tensor) -> Tensor:
        """y [B, D] -> W [B, D]."""
        w = torch.cholesky_solve(asked[..., None], factor)[..., 0]
        ctx.save_for_backward(w, maps, share, factor)
        return w

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by y and by the maps; share and factor are no unknowns."""
        assert not torch.is_grad_enabled(), (
            "model.ttt.estimator=ridge: expected first derivatives, got create_graph=True, whose second ones would be "
            "wrong; set model.ttt.estimator=gradient"
        )
        w, maps, share, factor = ctx.saved_tensors
        back = torch.cholesky_solve(gradients[0][..., None], factor)[..., 0]
        by_maps = torch.addmm(-(share * (w @ maps.mT)).mT @ back, (share * (back @ maps.mT)).mT, w, alpha=-1)
        return back, by_maps, None, None


class RidgeEstimator(Estimator):
    """W is the exact minimum of proxy and smoothness: ridge regression around the W before.

    Role: for the `vector` state, whose proxy is quadratic. With G = sum_l share_l M_l^T M_l it solves
        (G + 2 lambda) W = b + 2 lambda W_{c-1}, which the gradient of proxy + lambda ||W - W_{c-1}||^2 gives at zero.
        The outer loss reaches the maps through `Minimum`.
    Input: as `Estimator`.
    Output: as `Estimator`.
    """

    # Where lambda is zero and few leads are shown, G alone has no inverse.
    FLOOR = 1e-3

    def __init__(self, cfg: TTTConfig, state: VectorState | MLPState, width: int) -> None:
        super().__init__(cfg, state, width)
        assert isinstance(state, VectorState), (
            "model.ttt.estimator: expected a `vector` state for ridge, whose proxy is quadratic, got another; "
            "set model.fast_state.mode=vector"
        )
        self.state: VectorState = state
        self.ridge = 2 * max(cfg.state_smoothness, self.FLOOR)

    def evidence(self, h: Tensor, present: Tensor) -> list[Any]:
        """One (Quadratic, factor of G + 2 lambda [B, D, D]) a chunk; the same leads are shown in all chunks."""
        chunks = self.state.chunks(h, present, self.cfg.chunk_size)
        factor = self._factor(chunks[0].share[:, :: h.shape[-1]])
        return [(chunk, factor) for chunk in chunks]

    @torch.no_grad()
    def _factor(self, share: Tensor) -> Tensor:
        """share [B, L] of each lead -> Cholesky factor of G + 2 lambda [B, D, D], NaN where rounding left none."""
        grams = self.state.decode.mT @ self.state.decode  # [L, D, D]
        matrix = torch.einsum("bl,lij->bij", share, grams)
        matrix.diagonal(dim1=1, dim2=2).add_(self.ridge)
        factor: Tensor
        factor, fault = torch.linalg.cholesky_ex(matrix)  # the plain one would wait for a GPU, and raise for one record
        factor.diagonal(dim1=1, dim2=2).masked_fill_(fault[:, None] > 0, torch.nan)
        return factor

    def read(self, previous: Tensor, chunk: Any, through: bool) -> tuple[Tensor, Tensor]:
        """The minimum itself."""
        asked, factor = chunk
        found: Tensor = Minimum.apply(asked.pull + self.ridge * previous, asked.maps, asked.share, factor)
        return found, self.surprise(previous, asked)


class PriorEstimator(Estimator):
    """W stays W0, whatever is seen.

    Role: ablation. All that is left is the population's heart; a model that renders as well does not need W.
    Input: as `Estimator`.
    Output: as `Estimator`.
    """

    def evidence(self, h: Tensor, present: Tensor) -> list[Any]:
        """What the state makes of each chunk, and nothing learns from."""
        return self.asked(h, present)

    def read(self, previous: Tensor, chunk: Any, through: bool) -> tuple[Tensor, Tensor]:
        """Nothing moves."""
        return previous, self.surprise(previous, chunk)


ESTIMATORS: dict[str, type[Estimator]] = {
    "gradient": TTTUpdater,
    "ridge": RidgeEstimator,
    "amortised": AmortisedEstimator,
    "prior": PriorEstimator,
}


def build_estimator(cfg: TTTConfig, state: VectorState | MLPState, width: int) -> Estimator:
    """The way of `cfg.estimator` for a state and encoder width d. Raises ValueError for one not in ESTIMATORS."""
    if cfg.estimator not in ESTIMATORS:
        raise ValueError(f"model.ttt.estimator: expected one of {', '.join(ESTIMATORS)}, got {cfg.estimator!r}")
    return ESTIMATORS[cfg.estimator](cfg, state, width)
