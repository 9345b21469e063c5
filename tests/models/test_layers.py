"""Layers with a leaner way through them give what PyTorch's own give, on the way back too."""

import pytest
import torch

from ecggen.config import EncoderConfig, ProjectionConfig
from ecggen.models.blocks import ResidualHead
from ecggen.models.layers import EncoderLayer


@pytest.mark.parametrize("samples", [5, 40])
def test_the_residuals_gradients_are_those_of_pytorchs_own_convolutions(samples):
    head = ResidualHead(ProjectionConfig(residual_kernel=9))
    torch.nn.init.normal_(head.pointwise.weight)
    base = torch.randn(3, 12, samples, requires_grad=True)
    learned = [base, *head.parameters()]
    weights = torch.randn(3, 12, samples)
    plain = head.pointwise(torch.nn.functional.gelu(head.depthwise(base)))
    ours = head(base)
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)
    got, expected = (torch.autograd.grad((drawn * weights).sum(), learned) for drawn in (ours, plain))
    for own, other in zip(got, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padded", [False, True])
def test_an_encoder_layer_gives_what_pytorchs_own_forward_gives(padded):
    torch.manual_seed(0)
    layer = EncoderLayer(EncoderConfig(d_model=16, heads=2, feedforward=32))
    tokens, present = torch.randn(3, 7, 16, requires_grad=True), torch.ones(3, 7, dtype=torch.bool)
    present[0, 5:] = not padded
    plain = torch.nn.TransformerEncoderLayer.forward(layer, tokens, src_key_padding_mask=~present)
    ours = layer(tokens, present[:, None, None] if padded else None)
    torch.testing.assert_close(ours[present], plain[present], rtol=1e-5, atol=1e-5)
    learned = [tokens, *layer.parameters()]
    got, expected = (torch.autograd.grad(out[present].square().sum(), learned) for out in (ours, plain))
    for own, other in zip(got, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


def test_the_residual_can_be_differentiated_by_function_transforms_too():
    head = ResidualHead(ProjectionConfig())
    torch.nn.init.ones_(head.pointwise.weight)
    base = torch.randn(1, 12, 30, generator=torch.Generator().manual_seed(0))
    by_rows = torch.func.jacrev(head)(base)
    step = torch.zeros_like(base)
    step[0, 3, 7] = 1e-2
    slope = (head(base + step) - head(base - step)) / 2e-2
    torch.testing.assert_close(by_rows[..., 0, 3, 7], slope, rtol=1e-2, atol=1e-3)
