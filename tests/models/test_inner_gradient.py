"""The inner gradient written out by hand is the one that autograd derives, and so is all that is learned through it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ecggen.config import FastStateConfig, TTTConfig
from ecggen.models.states import N_LEADS, build_fast_state
from ecggen.models.ttt import TTTUpdater
from tests.models.conftest import hearts, small_model

SHAPES = 6  # drawn for each mode and precision


def drawn(mode: str, seed: int) -> tuple[FastStateConfig, TTTConfig, dict[str, Any]]:
    """A state, a way of estimation and tokens of random sizes: hidden leads, padded beats, half-filled chunks."""
    generator = torch.Generator().manual_seed(seed)

    def one_of(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=generator))

    state = FastStateConfig(mode, one_of(1, 40), one_of(1, 9), one_of(1, 9), one_of(1, 9))
    smoothness = (0.0, 0.1, 3.0)[one_of(0, 2)]
    ttt = TTTConfig(chunk_size=one_of(1, 4), inner_steps=one_of(1, 4), state_smoothness=smoothness, step_size=0.7)
    b, n, width = one_of(1, 5), one_of(1, 7), one_of(1, 20)
    leads = torch.rand(b, N_LEADS, generator=generator) < 0.5
    leads[:, 0] = True
    beats = torch.arange(n) < torch.randint(1, n + 1, (b, 1), generator=generator)
    h = 3 * torch.randn(b, N_LEADS * n, width, generator=generator)
    return state, ttt, {"h": h, "lead_mask": leads, "beat_mask": beats}


def estimated(way: str, mode: str, seed: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """W after each chunk, its proxies, and the outer gradients of everything that can learn."""
    state_cfg, ttt_cfg, given = drawn(mode, seed)
    torch.manual_seed(seed)
    h = given.pop("h").to(dtype).requires_grad_()
    state = build_fast_state(state_cfg, h.shape[-1])
    ttt = TTTUpdater(replace(ttt_cfg, inner_gradient=way), state).to(dtype)
    out = ttt(h, **given)
    weights = torch.randn(out["W_seq"].shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    (weights * out["W_seq"]).sum().backward()
    learned = {name: p.grad for name, p in ttt.named_parameters() if p.grad is not None}
    assert h.grad is not None and "raw_step" in learned and "state.prior" in learned
    return {"W_seq": out["W_seq"].detach(), "proxy": out["proxy"], "H": h.grad, **learned}


@pytest.mark.parametrize("seed", range(SHAPES))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_state_and_outer_gradients_are_those_of_autograd(mode, dtype, tolerance, seed):
    by_hand, defined = (estimated(way, mode, seed, dtype) for way in ("analytic", "autograd"))
    assert by_hand.keys() == defined.keys()
    for name, value in defined.items():
        size = float(value.abs().max().clamp(min=1))
        torch.testing.assert_close(
            by_hand[name], value, rtol=0, atol=tolerance * size, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_long_gradients_and_steep_maps_are_shortened_alike(mode):
    found = {}
    for way in ("analytic", "autograd"):
        torch.manual_seed(0)
        state = build_fast_state(FastStateConfig(mode=mode, size=24, key_width=4, hidden=5, value_width=6), 16)
        with torch.no_grad():
            for p in state.parameters():
                p.mul_(5.0)
        ttt = TTTUpdater(TTTConfig(step_size=2.0, inner_gradient=way), state).double()
        h = 20 * torch.randn(3, N_LEADS * 4, 16, generator=torch.Generator().manual_seed(1)).double()
        found[way] = ttt(h, torch.ones(3, N_LEADS, dtype=torch.bool), torch.ones(3, 4, dtype=torch.bool))["W_seq"]
    torch.testing.assert_close(found["analytic"], found["autograd"], rtol=1e-9, atol=1e-9)


def test_the_whole_model_finds_the_same_heart_either_way(mode):
    ecg = hearts(2)
    drawings = []
    for way in ("analytic", "autograd"):
        with torch.no_grad():
            drawings.append(small_model(mode, inner_gradient=way).forward_gen(ecg)["E_hat_seq"])
    torch.testing.assert_close(*drawings, rtol=0, atol=1e-5)
