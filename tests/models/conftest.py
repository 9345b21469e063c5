"""Small models and made-up hearts for the model tests."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ecggen.config import EncoderConfig, FastStateConfig, ModelConfig, TokenizerConfig, TTTConfig, VCGConfig
from ecggen.leads import nominal_directions
from ecggen.models.ecggen import ECGGenModel


def small_config(mode: str = "vector", **ttt: float) -> ModelConfig:
    return ModelConfig(
        tokenizer=TokenizerConfig(beat_len=40, width=16),
        encoder=EncoderConfig(d_model=16, layers=1, heads=2, feedforward=32),
        fast_state=FastStateConfig(mode=mode, size=24, key_width=4, hidden=5, value_width=6),
        ttt=replace(TTTConfig(chunk_size=2), **ttt),
        vcg=VCGConfig(basis_k=8),
    )


def small_model(mode: str = "vector", **ttt: float) -> ECGGenModel:
    torch.manual_seed(0)
    return ECGGenModel(small_config(mode, **ttt)).eval()


def hearts(records: int, samples: int = 600, seed: int = 0) -> Tensor:
    """[B, 12, T] mV: QRS-like pulses every 0.8 s, each record with an axis and a T wave of its own."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(samples) / 100
    phase = (t % 0.8) - 0.3
    waves = torch.stack(
        [
            torch.exp(-0.5 * (phase / 0.02) ** 2),
            -torch.exp(-0.5 * ((phase - 0.03) / 0.02) ** 2),
            torch.exp(-0.5 * ((phase - 0.25) / 0.05) ** 2),
        ]
    )
    axes = torch.randn(records, 3, 3, generator=generator) * 0.5 + torch.tensor([1.0, 0.6, 0.3])[:, None]
    leads = torch.tensor(nominal_directions(), dtype=torch.float32)
    return leads @ (axes @ waves) + 0.01 * torch.randn(records, 12, samples, generator=generator)


def windows(records: int, beats: int, length: int = 80) -> list[list[tuple[int, int]]]:
    return [[(n * length, (n + 1) * length) for n in range(beats)] for _ in range(records)]


@pytest.fixture(params=["vector", "mlp"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)
