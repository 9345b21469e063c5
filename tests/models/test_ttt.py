"""Estimation: what W is, how it moves, and what must leave it alone."""

import subprocess
import sys

import pytest
import torch

from ecggen.config import FastStateConfig, TTTConfig
from ecggen.models.states import FAST_STATES, build_fast_state
from ecggen.models.ttt import TTTUpdater, proximal_step
from tests.conftest import REPO
from tests.models.conftest import hearts, small_model, windows

WIDTH, BEATS = 16, 6


def updater(mode: str, **ttt: float) -> TTTUpdater:
    torch.manual_seed(1)
    state = build_fast_state(FastStateConfig(mode=mode, size=24, key_width=4, hidden=5, value_width=6), WIDTH)
    return TTTUpdater(TTTConfig(**ttt), state)


def tokens(records: int = 3, beats: int = BEATS) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    h = torch.randn(records, 12 * beats, WIDTH, generator=torch.Generator().manual_seed(2))
    return h, torch.ones(records, 12, dtype=torch.bool), torch.ones(records, beats, dtype=torch.bool)


def test_shapes_and_one_state_a_chunk(mode):
    out = updater(mode, chunk_size=4)(*tokens())
    size = build_fast_state(FastStateConfig(mode=mode, size=24, key_width=4, hidden=5, value_width=6), WIDTH).size
    assert out["W"].shape == (3, size)
    assert out["W_seq"].shape == (3, 2, size)
    assert out["proxy"].shape == (3, 2)
    assert torch.equal(out["W"], out["W_seq"][:, -1])


def test_vector_proxy_is_the_mean_squared_decoding_error_over_present_tokens():
    state = updater("vector").state
    h, _, _ = tokens(2, 4)
    h4 = h.reshape(2, 12, 4, WIDTH)
    present = torch.rand(2, 12, 1, generator=torch.Generator().manual_seed(3)).expand(2, 12, 4) < 0.5
    w = torch.randn(2, state.size, generator=torch.Generator().manual_seed(4))
    got = state.proxy(w, state.chunks(h4, present, 4)[0])
    decoded = torch.einsum("bd,lvd->blv", w, state.decode) + state.offset
    error = 0.5 * (decoded[:, :, None] - h4).square().sum(-1)
    expected = torch.stack([e[p].mean() for e, p in zip(error, present, strict=True)])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_estimation_lowers_the_proxy_of_the_chunk_it_has_read(mode):
    ttt = updater(mode, chunk_size=BEATS, inner_steps=4, state_smoothness=0.0, step_size=0.3)
    h, leads, beats = tokens()
    chunk = ttt.state.chunks(h.reshape(3, 12, BEATS, WIDTH), (leads[:, :, None] & beats[:, None]), BEATS)[0]
    after = ttt.state.proxy(ttt(h, leads, beats)["W"], chunk)
    before = ttt.state.proxy(ttt.state.initial(3), chunk)
    assert (after < before).all()


def test_large_smoothness_pins_the_state_and_zero_lets_it_move(mode):
    ends = {}
    for smoothness in (0.0, 1.0, 1e4):
        ttt = updater(mode, chunk_size=2, state_smoothness=smoothness)
        ends[smoothness] = (ttt(*tokens())["W"] - ttt.state.initial(3)).norm()
    assert ends[1e4] < 1e-2 * ends[0.0]
    assert ends[1e4] < ends[1.0] < ends[0.0]


def test_proximal_step_solves_its_problem():
    # argmin_w  g.w + ||w - w0||^2 / (2 eta) + lambda ||w - prev||^2, by hand for one number:
    kept = torch.tensor([1 / (1 + 2 * 0.5 * 3.0)])
    w = proximal_step(torch.tensor([[2.0]]), torch.tensor([[0.5]]), torch.tensor([[4.0]]), kept)
    assert w.item() == pytest.approx((2.0 - 0.5 * 1.0 + 2 * 0.5 * 3.0 * 4.0) / (1 + 2 * 0.5 * 3.0))


def test_padded_beats_change_nothing(mode):
    ttt = updater(mode, chunk_size=2)
    h, leads, beats = tokens()
    padded_h = torch.full((3, 12, BEATS + 3, WIDTH), 7.0)
    padded_h[:, :, :BEATS] = h.reshape(3, 12, BEATS, WIDTH)
    padding = torch.zeros(3, 3, dtype=torch.bool)
    padded = ttt(padded_h.reshape(3, -1, WIDTH), leads, torch.cat([beats, padding], 1))
    torch.testing.assert_close(padded["W"], ttt(h, leads, beats)["W"], rtol=0, atol=1e-5)


def test_half_padded_chunk_averages_over_its_real_beats_only(mode):
    ttt = updater(mode, chunk_size=2)
    h, leads, beats = tokens(beats=3)
    alone = ttt(h, leads, beats)["W"]
    more = torch.cat([h.reshape(3, 12, 3, WIDTH), torch.full((3, 12, 1, WIDTH), 50.0)], 2).reshape(3, -1, WIDTH)
    four = torch.tensor([[True, True, True, False]] * 3)
    torch.testing.assert_close(ttt(more, leads, four)["W"], alone, rtol=0, atol=1e-5)


def test_a_hidden_lead_changes_nothing(mode):
    ttt = updater(mode, chunk_size=2)
    h, leads, beats = tokens()
    leads = leads.clone()
    leads[:, 5] = False
    other = h.reshape(3, 12, BEATS, WIDTH).clone()
    other[:, 5] = 99.0
    torch.testing.assert_close(
        ttt(other.reshape(3, -1, WIDTH), leads, beats)["W"], ttt(h, leads, beats)["W"], rtol=0, atol=1e-5
    )


def test_outer_gradient_reaches_the_tokens_and_all_slow_weights_through_w(mode):
    ttt = updater(mode, chunk_size=2)
    h, leads, beats = tokens()
    h.requires_grad_()
    ttt(h, leads, beats)["W"].square().sum().backward()
    assert h.grad is not None and h.grad.abs().max() > 0
    for name, p in ttt.named_parameters():
        assert p.grad is not None and p.grad.abs().max() > 0, name


def test_estimation_works_without_outer_gradients_and_gives_the_same_state(mode):
    ttt = updater(mode, chunk_size=2)
    with_graph = ttt(*tokens())["W"]
    with torch.no_grad():
        without = ttt(*tokens())["W"]
    assert not without.requires_grad
    torch.testing.assert_close(without, with_graph.detach(), rtol=0, atol=1e-6)


def test_only_w_moves(mode):
    model = small_model(mode)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.estimate(hearts(2))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_mlp_state_is_the_weights_of_the_records_own_mlp():
    state = updater("mlp").state
    w = state.initial(2).clone()
    keys = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(5))
    parts = state.unflatten(w)
    assert sum(p[0].numel() for p in parts.values()) == state.size
    by_hand = torch.nn.functional.gelu(keys[0] @ parts["weight_in"][0].T / 4**0.5 + parts["bias_in"][0])
    by_hand = by_hand @ parts["weight_out"][0].T / 5**0.5 + parts["bias_out"][0]
    torch.testing.assert_close(state.function(w, keys)[0], by_hand, rtol=1e-5, atol=1e-5)
    for weight in range(0, state.size, 7):
        changed = w.clone()
        changed[1, weight] += 1.0
        moved = (state.function(changed, keys) - state.function(w, keys)).abs().amax((1, 2))
        assert moved[0] == 0 and moved[1] > 0, f"weight {weight} of record 1"


def test_unknown_mode_is_refused_by_name():
    with pytest.raises(ValueError, match="vector, mlp"):
        build_fast_state(FastStateConfig(mode="vectr"), WIDTH)


def test_a_wrong_token_count_is_refused_with_both_shapes():
    h, leads, beats = tokens()
    with pytest.raises(AssertionError, match=r"expected \[3, 72, d\].*got \(3, 71, 16\)"):
        updater("vector")(h[:, :-1], leads, beats)


def test_every_mode_is_in_the_table():
    assert set(FAST_STATES) == {"vector", "mlp"}


def test_state_is_not_one_number_a_record(mode):
    model = small_model(mode)
    with torch.no_grad():
        w = model.estimate(hearts(32), boundaries=windows(32, 7))["W"]
    values = torch.linalg.svdvals(w - w.mean(0))
    assert (values > 1e-3 * values[0]).sum() > 6


def test_the_module_checks_its_own_shapes_when_run():
    done = subprocess.run(
        [sys.executable, "-m", "ecggen.models.ttt"], capture_output=True, text=True, check=True, cwd=REPO
    )
    assert "vector" in done.stdout and "mlp" in done.stdout


@pytest.mark.parametrize("leads_shown", [1, 12])
def test_steep_maps_and_large_steps_do_not_diverge(leads_shown):
    ttt = updater("vector", chunk_size=1, step_size=3.0, state_smoothness=0.0)
    with torch.no_grad():
        ttt.state.decode.mul_(4.0)
    h, leads, _ = tokens(beats=40)
    leads = leads & (torch.arange(12) < leads_shown)
    path = ttt(h, leads, torch.ones(3, 40, dtype=torch.bool))["W_seq"]
    assert path.norm(dim=2).max() < 10 * h.norm(dim=1).max()


def test_the_curvature_bound_is_an_upper_one_and_not_far_off():
    state = updater("vector").state
    with torch.no_grad():
        state.decode.add_(torch.randn(state.decode.shape, generator=torch.Generator().manual_seed(6)))
    largest = torch.linalg.matrix_norm(state.decode, ord=2).square()
    bound = state._steepest()
    assert (bound >= largest * 0.999).all() and (bound < 1.5 * largest).all()
