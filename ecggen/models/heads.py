"""Heads that read a diagnosis from W, and from W alone.

Letters: B records, D state size, Y classes.
"""

from torch import Tensor, nn

MLP_HIDDEN = 64


class LinearHead(nn.Module):
    """Linear probe.

    Role: reads what the state says plainly; the yardstick of a representation.
    Input: W [B, D].
    Output: logits [B, Y].
    """

    def __init__(self, state_size: int, classes: int) -> None:
        super().__init__()
        self.state_size = state_size
        self.linear = nn.Linear(state_size, classes)

    def forward(self, w: Tensor) -> Tensor:
        """W [B, D] -> logits [B, Y]."""
        assert w.ndim == 2 and w.shape[1] == self.state_size, (
            f"W: expected [B, {self.state_size}], got {tuple(w.shape)}"
        )
        logits: Tensor = self.linear(w)
        return logits


class MLPHead(nn.Module):
    """Small MLP with one hidden layer; its input is normalised as a batch-free affine map fitted with it.

    Role: reads what the state says less plainly, at the price of weights of its own.
    Input: W [B, D].
    Output: logits [B, Y].
    """

    def __init__(self, state_size: int, classes: int) -> None:
        super().__init__()
        self.state_size = state_size
        self.body = nn.Sequential(nn.Linear(state_size, MLP_HIDDEN), nn.GELU(), nn.Linear(MLP_HIDDEN, classes))

    def forward(self, w: Tensor) -> Tensor:
        """W [B, D] -> logits [B, Y]."""
        assert w.ndim == 2 and w.shape[1] == self.state_size, (
            f"W: expected [B, {self.state_size}], got {tuple(w.shape)}"
        )
        logits: Tensor = self.body(w)
        return logits


HEAD_KINDS: dict[str, type[LinearHead] | type[MLPHead]] = {"linear": LinearHead, "mlp": MLPHead}
