"""The whole model: results by name, invariances, rendering, classification from W alone."""

import pytest
import torch

from ecggen.config import LossConfig, VCGConfig
from ecggen.losses import loss_terms, total_loss
from ecggen.models.vcg import VCGGenerator, energy, loop_closure, smoothness
from tests.models.conftest import hearts, small_model, windows


def states(model, ecg, **how):
    with torch.no_grad():
        return model.estimate(ecg, **how)["W"]


def test_every_intermediate_result_has_its_shape(mode):
    out = small_model(mode)(hearts(3), boundaries=windows(3, 7))
    d = out["W"].shape[1]
    expected = {
        "X": (3, 12, 7, 16), "H": (3, 84, 16), "W": (3, d), "W_seq": (3, 4, d), "A": (3, 3, 8), "basis": (8, 40),
        "V": (3, 3, 40), "E_base": (3, 12, 40), "residual": (3, 12, 40), "E_hat": (3, 12, 40),
        "V_seq": (3, 4, 3, 40), "E_hat_seq": (3, 4, 12, 40), "chunk_mask": (3, 4), "proxy": (3, 4),
    }  # fmt: skip
    assert {name: tuple(out[name].shape) for name in expected} == expected
    torch.testing.assert_close(out["E_hat"], out["E_base"] + out["residual"])
    torch.testing.assert_close(out["V"], out["A"] @ out["basis"])


def test_a_record_has_the_same_state_alone_and_in_any_batch(mode):
    model, ecg = small_model(mode), hearts(5)
    together = states(model, ecg)
    for i in range(5):
        torch.testing.assert_close(states(model, ecg[i : i + 1])[0], together[i], rtol=0, atol=1e-5)
    torch.testing.assert_close(states(model, ecg.flip(0)).flip(0), together, rtol=0, atol=1e-5)


def test_padded_beats_do_not_change_the_state(mode):
    model, ecg = small_model(mode), hearts(2)
    alone = states(model, ecg[:1], boundaries=windows(1, 3))
    padded = states(model, ecg, boundaries=[windows(1, 3)[0], windows(1, 7)[0]])
    torch.testing.assert_close(padded[:1], alone, rtol=0, atol=1e-5)


def test_absent_leads_do_not_change_the_state_whatever_they_hold(mode):
    model, ecg = small_model(mode), hearts(2)
    shown = torch.ones(2, 12, dtype=torch.bool)
    shown[:, [2, 7, 11]] = False
    reference = states(model, ecg, lead_mask=shown)
    for value in (0.0, 1e6, float("nan")):
        other = ecg.clone()
        other[:, [2, 7, 11]] = value
        torch.testing.assert_close(states(model, other, lead_mask=shown), reference, rtol=0, atol=1e-5)


def test_the_rendering_of_the_last_w_is_the_last_real_chunks(mode):
    model = small_model(mode)
    with torch.no_grad():
        out = model(hearts(2), boundaries=[windows(1, 2)[0], windows(1, 7)[0]])
        again = model.render(out["W"])
    torch.testing.assert_close(out["E_hat"], again["E_hat"], rtol=0, atol=1e-6)
    torch.testing.assert_close(out["E_hat"][0], out["E_hat_seq"][0, 0], rtol=0, atol=1e-6)
    assert out["E_hat_seq"][0, 1:].abs().max() == 0


def test_causal_estimation_does_not_look_ahead(mode):
    from dataclasses import replace

    from ecggen.models.ecggen import ECGGenModel
    from tests.models.conftest import small_config

    cfg = small_config(mode)
    torch.manual_seed(0)
    model = ECGGenModel(replace(cfg, encoder=replace(cfg.encoder, attention="causal"))).eval()
    ecg = hearts(1)
    changed = ecg.clone()
    changed[..., 480:] += 0.5
    with torch.no_grad():
        a, b = (model.estimate(e, boundaries=windows(1, 7))["W_seq"] for e in (ecg, changed))
    torch.testing.assert_close(a[:, :3], b[:, :3], rtol=0, atol=1e-6)
    assert (a[:, 3] - b[:, 3]).abs().max() > 1e-5


def test_training_moves_every_part_of_the_model(mode):
    model = small_model(mode).train()
    out = model.forward_gen(hearts(4), boundaries=windows(4, 6))
    terms = loss_terms(out, torch.ones(4, 12, dtype=torch.bool), model.projection, model.ttt.state.prior, 2)
    total_loss(terms, LossConfig(smoothness=0.1, energy=0.1, loop_closure=0.1, state_path=0.1)).backward()
    # The depthwise part of the residual sees no gradient at the very first step, behind weights that are zero.
    waits = {"residual.depthwise.weight", "residual.depthwise.bias"}
    for name, p in model.named_parameters():
        if p.requires_grad and name not in waits:
            assert p.grad is not None and p.grad.abs().max() > 0, name


def test_encoder_learns_through_w_and_in_no_other_way(mode):
    model = small_model(mode).train()
    out = model.forward_gen(hearts(4), boundaries=windows(4, 6))
    (through_w,) = torch.autograd.grad(out["E_hat_seq"].square().mean(), out["W_seq"], retain_graph=True)
    assert through_w.abs().max() > 0
    by_w = torch.autograd.grad((out["W_seq"] * through_w).sum(), model.encoder.inlet.weight, retain_graph=True)[0]
    whole = torch.autograd.grad(out["E_hat_seq"].square().mean(), model.encoder.inlet.weight)[0]
    assert by_w.abs().max() > 0
    torch.testing.assert_close(by_w, whole, rtol=1e-3, atol=1e-6)


def test_classification_without_a_fitted_head_is_an_error_and_not_noise(mode):
    with pytest.raises(RuntimeError, match="fitted head"):
        small_model(mode).forward_cls(hearts(1))


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_classification_reads_w_alone(kind):
    model = small_model()
    head = model.attach_head(kind, ("a", "b", "c"), multi_label=False)
    with torch.no_grad():
        logits = model.forward_cls(hearts(2))
        torch.testing.assert_close(logits, head(model.estimate(hearts(2))["W"]))
        torch.testing.assert_close(model(hearts(2))["logits"], logits)
    assert logits.shape == (2, 3)


def test_source_is_coefficients_times_basis_and_starts_smooth():
    torch.manual_seed(0)
    vcg = VCGGenerator(VCGConfig(basis_k=6), state_size=4, beat_len=50, peak=0.35)
    a, v = vcg(torch.randn(3, 4))
    torch.testing.assert_close(v, a @ vcg.basis)
    assert smoothness(v) < 0.2 * energy(v)


def test_regularisers_on_curves_known_by_hand():
    line = torch.linspace(0, 1, 11).expand(2, 3, 11)
    assert smoothness(line).item() == pytest.approx(0, abs=1e-12)
    assert loop_closure(line).item() == pytest.approx(3.0)
    assert energy(torch.full((2, 3, 11), 2.0)).item() == pytest.approx(4.0)
    assert smoothness(torch.tensor([0.0, 1.0, 0.0]).expand(1, 3, 3)).item() == pytest.approx(4.0)
    assert loop_closure(torch.tensor([1.0, 5.0, 1.0]).expand(1, 3, 3)).item() == 0.0
