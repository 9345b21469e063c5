"""Layers of PyTorch's with a leaner way through them: the same numbers, sooner, for tensors as narrow as ours.

Letters: B records, M tokens or drawn beats, L leads, d_model encoder width, T' samples of a rendered beat.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ecggen.config import EncoderConfig


class EncoderLayer(nn.TransformerEncoderLayer):
    """PyTorch's layer, weights and all, with a leaner way through it.

    Role: evidence, one round of tokens speaking to each other. `forward` of the parent copies queries, keys and values
        several times, and more so on the way back; for tokens as narrow as ours that costs as much as the products.
    Input: tokens [B, M, d_model]; seen bool, True = takes part, broadcast to [B, heads, M, M]; None = all.
    Output: tokens [B, M, d_model].
    """

    def __init__(self, cfg: EncoderConfig) -> None:
        super().__init__(
            cfg.d_model, cfg.heads, cfg.feedforward, cfg.dropout, "gelu", batch_first=True, norm_first=True
        )

    def forward(self, tokens: Tensor, seen: Tensor | None) -> Tensor:  # type: ignore[override]
        """tokens [B, M, d_model] -> [B, M, d_model]."""
        tokens = tokens + self.dropout1(self._attended(self.norm1(tokens), seen))
        inner = self.dropout(nn.functional.gelu(self.linear1(self.norm2(tokens))))
        changed: Tensor = tokens + self.dropout2(self.linear2(inner))
        return changed

    def _attended(self, tokens: Tensor, seen: Tensor | None) -> Tensor:
        own = self.self_attn
        joint = nn.functional.linear(tokens, own.in_proj_weight, own.in_proj_bias)
        query, key, value = (x.unflatten(-1, (own.num_heads, -1)).transpose(1, 2) for x in joint.chunk(3, dim=-1))
        dropout = own.dropout if self.training else 0.0
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, seen, dropout)
        out: Tensor = own.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class Depthwise(torch.autograd.Function):
    """Depthwise convolution, the gradient of its weights summed tap by tap.

    Role: rendering, a step of `ResidualHead`; PyTorch's own gradient takes several times as long on a CPU.
    Input: base [M, L, T'], weight [L, 1, k] with odd k, bias [L].
    Output: [M, L, T'].
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(base: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """base [M, L, T'] -> [M, L, T']."""
        return nn.functional.conv1d(base, weight, bias, padding=weight.shape[2] // 2, groups=len(weight))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keeps what the way back needs."""
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of base, weight and bias."""
        (grad,), (base, weight) = grads, ctx.saved_tensors
        reach, samples = weight.shape[2] // 2, base.shape[2]
        back = nn.functional.conv1d(grad, weight.flip(2), padding=reach, groups=len(weight))
        wide = nn.functional.pad(base, (reach, reach))
        taps = [(grad * wide[:, :, at : at + samples]).sum((0, 2)) for at in range(weight.shape[2])]
        return back, torch.stack(taps, 1)[:, None], grad.sum((0, 2))
