"""The ways to find W that estimation is compared with do what they say, and are settings of the same model."""

import pytest
import torch

from ecggen.checkpoint import load_model, save_model
from ecggen.config import FastStateConfig, TTTConfig
from ecggen.errors import UserError
from ecggen.models.estimators import ESTIMATORS, build_estimator
from ecggen.models.states import build_fast_state
from ecggen.models.ttt import TTTUpdater
from ecggen.train import train
from tests.models.conftest import hearts, small_model
from tests.models.test_ttt import BEATS, WIDTH, tokens
from tests.tiny import tiny_run

OTHERS = [name for name in ESTIMATORS if name != "gradient"]


def estimator(kind, mode="vector", **ttt):
    torch.manual_seed(1)
    state = build_fast_state(FastStateConfig(mode=mode, size=24, key_width=4, hidden=5, value_width=6), WIDTH)
    return build_estimator(TTTConfig(estimator=kind, **ttt), state, WIDTH)


def padded(h, leads, beats, more=3):
    """The same records with beats of padding behind."""
    longer = torch.full((3, 12, BEATS + more, WIDTH), 7.0)
    longer[:, :, :BEATS] = h.reshape(3, 12, BEATS, WIDTH)
    return longer.reshape(3, -1, WIDTH), leads, torch.cat([beats, torch.zeros(3, more, dtype=torch.bool)], 1)


@pytest.mark.parametrize("kind", OTHERS)
def test_padded_beats_and_hidden_leads_change_nothing(kind):
    find = estimator(kind, chunk_size=2)
    h, leads, beats = tokens()
    leads[:, 5:] = False
    other = h.reshape(3, 12, BEATS, WIDTH).clone()
    other[:, 5:] = 100.0
    expected = find(h, leads, beats)["W"]
    torch.testing.assert_close(find(*padded(h, leads, beats))["W"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(find(other.reshape(3, -1, WIDTH), leads, beats)["W"], expected, rtol=1e-4, atol=1e-5)


def test_ridge_is_where_the_gradient_of_proxy_and_smoothness_is_zero():
    find = estimator("ridge", chunk_size=BEATS, state_smoothness=0.3)
    h, leads, beats = tokens()
    w = find(h, leads, beats)["W"].detach().requires_grad_()
    chunk = find.state.chunks(h.reshape(3, 12, BEATS, WIDTH), leads[:, :, None] & beats[:, None], BEATS)[0]
    goal = find.state.proxy(w, chunk) + 0.3 * (w - find.state.initial(3)).square().sum(1)
    (gradient,) = torch.autograd.grad(goal.sum(), w)
    assert gradient.abs().max() < 1e-4


def test_many_gradient_steps_come_to_what_ridge_finds():
    exact = estimator("ridge", chunk_size=BEATS, state_smoothness=0.3)
    steps = estimator("gradient", chunk_size=BEATS, state_smoothness=0.3, inner_steps=100)
    assert isinstance(steps, TTTUpdater)
    steps.state.load_state_dict(exact.state.state_dict())
    torch.testing.assert_close(steps(*tokens())["W"], exact(*tokens())["W"], rtol=1e-3, atol=1e-3)


def solved(find, h, leads, beats):
    """W_seq as ridge has it, by plain solving, which autograd goes through."""
    state, ridge = find.state, 2 * find.cfg.state_smoothness
    present = leads[:, :, None] & beats[:, None]
    chunks = state.chunks(h.reshape(3, 12, BEATS, WIDTH), present, find.cfg.chunk_size)
    grams = torch.einsum("bl,lij->bij", chunks[0].share[:, ::WIDTH], state.decode.mT @ state.decode)
    w, path = state.initial(3), []
    for chunk in chunks:
        w = torch.linalg.solve(grams + ridge * torch.eye(state.size), chunk.pull + ridge * w)
        path.append(w)
    return torch.stack(path, 1)


@pytest.mark.parametrize("chunk_size", [1, 2])
def test_ridge_is_learned_through_as_through_plain_solving(chunk_size):
    find = estimator("ridge", chunk_size=chunk_size, state_smoothness=0.1).double()
    h, leads, beats = tokens()
    h, leads = h.double().requires_grad_(), leads.clone()
    leads[1, 3:] = False
    beats = torch.ones_like(beats)
    every = [h, find.state.decode, find.state.offset, find.state.prior]
    expected = solved(find.double(), h, leads, beats)
    found = find(h, leads, beats)["W_seq"]
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    ours = torch.autograd.grad((weights * found).sum(), every)
    theirs = torch.autograd.grad((weights * expected).sum(), every)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_second_derivative_of_ridge_is_refused_since_it_would_be_wrong():
    find = estimator("ridge")
    for loss in (torch.sum, lambda w: w.square().sum()):  # autograd itself would only refuse the second
        with pytest.raises(AssertionError, match="expected first derivatives"):
            torch.autograd.grad(loss(find(*tokens())["W"]), find.state.decode, create_graph=True)


def test_ridge_finds_the_same_where_nothing_learns_and_where_a_caller_computes_in_half():
    model, ecg = small_model(estimator="ridge"), hearts(2)
    out = model.forward_gen(ecg)
    with torch.no_grad():
        assert torch.equal(model.forward_gen(ecg)["W_seq"], out["W_seq"].detach())
    with torch.autocast("cpu", torch.bfloat16):
        half = model.estimate(ecg)
    assert half["X"].dtype == torch.bfloat16 and half["W_seq"].dtype == torch.float32
    again = model.ttt(half["H"].float(), half["meta"]["lead_mask"], half["meta"]["beat_mask"])
    assert torch.equal(half["W_seq"], again["W_seq"]), "of tokens in half, W is found in full"


def test_a_record_whose_ridge_has_no_factor_has_no_state_and_the_others_do():
    find = estimator("ridge", state_smoothness=0.0)
    with torch.no_grad():
        find.state.decode[1] *= 1e6  # 24 unknowns seen by 16 numbers: rounding is larger than lambda
    h, leads, beats = tokens()
    leads[:, 1:] = False
    leads[1] = ~leads[1]
    leads[1, 2:] = False
    found = find(h, leads, beats)["W_seq"]
    assert found[[0, 2]].isfinite().all() and found[1].isnan().all()


def test_ridge_without_smoothness_has_a_solution_with_one_lead():
    h, leads, beats = tokens()
    leads[:, 1:] = False
    assert estimator("ridge", state_smoothness=0.0)(h, leads, beats)["W"].isfinite().all()


def test_the_prior_never_moves():
    find = estimator("prior", chunk_size=2)
    out = find(*tokens())
    assert torch.equal(out["W_seq"], find.state.initial(3)[:, None].expand(3, 3, -1))


def test_a_guess_depends_on_its_own_chunk_alone_and_on_its_mean_token():
    find = estimator("amortised", chunk_size=2)
    h, leads, beats = tokens()
    changed = h.reshape(3, 12, BEATS, WIDTH).clone()
    changed[:, :, :2] += 1.0
    one, other = find(h, leads, beats)["W_seq"], find(changed.reshape(3, -1, WIDTH), leads, beats)["W_seq"]
    assert not torch.allclose(one[:, 0], other[:, 0])
    assert torch.equal(one[:, 1:], other[:, 1:])
    mixed = h.reshape(3, 12, BEATS, WIDTH).flip(1).reshape(3, -1, WIDTH)  # the same mean
    torch.testing.assert_close(find(mixed, leads, beats)["W_seq"], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_model_of_that_way_is_trained_and_comes_back_from_its_file(kind, tmp_path):
    run = tiny_run(model__ttt__estimator=kind, model__projection__view="own")
    model = train(run, quiet=True).model
    save_model(tmp_path / "model.safetensors", model)
    again = load_model(tmp_path / "model.safetensors")
    ecg = hearts(2)
    with torch.no_grad():
        torch.testing.assert_close(again.forward_gen(ecg)["E_hat"], model.forward_gen(ecg)["E_hat"])


@pytest.mark.parametrize("kind", ["amortised", "prior"])
def test_other_states_have_them_too(kind):
    assert estimator(kind, mode="mlp")(*tokens())["W"].isfinite().all()


def test_ridge_needs_a_quadratic_proxy():
    with pytest.raises(UserError, match="model.ttt.estimator: expected mode vector for ridge"):
        tiny_run(model__ttt__estimator="ridge", model__fast_state__mode="mlp")


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="expected one of gradient, ridge, amortised, prior"):
        estimator("guess")
