"""Logistic regression along a path of penalties: what scikit-learn fits, in a fraction of the time.

States and their controls have hundreds or thousands of features that say nearly the same, which slows plain gradient
methods down. In the coordinates of the features' own principal axes the curvature of the loss is nearly diagonal and
known beforehand, so that a rescaled L-BFGS needs a few dozen steps; every penalty starts from the one before.

    minimise  |w|^2 / 2 + C * sum over records of the loss        (offsets free, C = inverse strength)

Letters: R records, D features, Y classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor
from torch.nn import functional as F

STEPS = 500
GRADIENT = 1e-3  # where the curvature is about one: the distance to the optimum, whose length is of order one to ten
MEMORY = 20  # of L-BFGS, steps
NEVER = -10.0  # logit of a class that the training records do not tell apart


@dataclass(frozen=True)
class Plane:
    """The linear answer for one penalty: logits = x @ weight.T + offset. weight [Y, D], offset [Y]."""

    penalty: float
    weight: Tensor
    offset: Tensor


def fit_path(x: Tensor, targets: Tensor, exclusive: bool, penalties: Sequence[float]) -> Iterator[Plane]:
    """Fit one penalty after the other, as long as the caller asks for the next.

    Args:
        x: [R, D] float32, standardised.
        targets: [R, Y] 0 or 1.
        exclusive: one class a record (one softmax), else each class by itself (Y sigmoids).
        penalties: inverse strengths C, weakest data term first.

    Yields:
        one plane a penalty; classes that all or none of the records have get weight 0 and offset `NEVER`.
    """
    assert len(x) == len(targets), f"targets: expected {len(x)} rows, got {len(targets)}; give one a record"
    told = torch.nonzero((targets > 0.5).any(0) & ~(targets > 0.5).all(0)).flatten()
    axes, z, strength = _principal(x.float())
    goal = targets[:, told].float()
    share = goal.mean(0).double()
    problem = _Problem(z, goal, strength, share * (1 - share), exclusive)
    weight, offset = torch.zeros(len(told), z.shape[1], dtype=torch.float64), torch.logit(share)
    for penalty in penalties:
        weight, offset = problem.solve(penalty, weight, offset)
        full, base = torch.zeros(targets.shape[1], x.shape[1]), torch.full((targets.shape[1],), NEVER)
        full[told], base[told] = weight.float() @ axes.T, offset.float()
        yield Plane(penalty, full, base)


def _principal(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Axes [D, M], x in their coordinates [R, M], sums of squares along them [M]; M = min(R, D).

    The penalty sees only lengths, so a rotation changes nothing, and weights outside the span of the records are zero.
    """
    if x.shape[0] < x.shape[1]:
        span, coordinates = torch.linalg.qr(x.T)
        inner, z, strength = _principal(coordinates.T.contiguous())
        return span @ inner, z, strength
    strength, axes = torch.linalg.eigh(x.T @ x)
    return axes, x @ axes, strength.clamp(min=0).double()


@dataclass(frozen=True)
class _Problem:
    """What is minimised, in principal coordinates: z [R, M], goal [R, Y], strength [M], spread [Y] of each class."""

    z: Tensor
    goal: Tensor
    strength: Tensor
    spread: Tensor
    exclusive: bool

    def solve(self, penalty: float, weight: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """The optimum [Y, M], [Y] for one penalty, from the given start."""
        # Curvature |w|^2 / 2 + C * sum p (1 - p) z^2, with p(1 - p) of the class's share: one in rescaled coordinates.
        data_term = penalty * self.spread[:, None]
        scale = torch.cat([(1 + data_term * self.strength).rsqrt(), (data_term * len(self.z)).rsqrt()], dim=1)
        start = torch.cat([weight, offset[:, None]], dim=1) / scale

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            point = torch.from_numpy(flat).reshape(scale.shape) * scale
            value, gradient = self._value(penalty, point)
            return value, (gradient * scale).flatten().numpy()

        options = {"maxiter": STEPS, "maxcor": MEMORY, "gtol": GRADIENT, "ftol": 1e-12}
        first = start.flatten().numpy()
        found = scipy.optimize.minimize(objective, first, jac=True, method="L-BFGS-B", options=options)
        point = torch.from_numpy(found.x).reshape(scale.shape) * scale
        return point[:, :-1], point[:, -1]

    def _value(self, penalty: float, point: Tensor) -> tuple[float, Tensor]:
        """The objective and its gradient [Y, M + 1] at weights and offsets [Y, M + 1]."""
        weight, offset = point[:, :-1], point[:, -1]
        logits = self.z @ weight.float().T + offset.float()
        if self.exclusive:
            loss = -(F.log_softmax(logits, 1) * self.goal).sum(dtype=torch.float64)
            error = torch.softmax(logits, 1) - self.goal
        else:
            each = F.binary_cross_entropy_with_logits(logits, self.goal, reduction="none")
            loss, error = each.sum(dtype=torch.float64), torch.sigmoid(logits) - self.goal
        gradient = torch.cat([error.T @ self.z, error.sum(0)[:, None]], dim=1).double()
        value = 0.5 * weight.square().sum() + penalty * loss
        gradient = penalty * gradient
        gradient[:, :-1] += weight
        return float(value), gradient
