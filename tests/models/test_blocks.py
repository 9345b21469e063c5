"""Encoder, projection, residual, rotations."""

import math

import pytest
import torch

from ecggen.config import EncoderConfig, ProjectionConfig
from ecggen.leads import LEADS, LIMB_IDENTITIES
from ecggen.models.blocks import (
    AngleCalib,
    LeadProjection,
    ResidualHead,
    TokenEncoder,
    apply_rotation,
    axis_angle_to_matrix,
    rotation_magnitude,
)


def encoder(attention: str = "full", chunk_size: int = 2) -> TokenEncoder:
    torch.manual_seed(0)
    cfg = EncoderConfig(d_model=16, layers=2, heads=2, feedforward=32, attention=attention)
    return TokenEncoder(cfg, 8, chunk_size).eval()


def x(records: int = 2, beats: int = 6) -> torch.Tensor:
    return torch.randn(records, 12, beats, 8, generator=torch.Generator().manual_seed(1))


def all_true(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.bool)


def test_encoder_is_lead_major():
    h = encoder()(x(), all_true(2, 12), all_true(2, 6))
    assert h.shape == (2, 72, 16)
    only_lead_3 = all_true(2, 12) & (torch.arange(12) == 3)
    h = encoder()(x(), only_lead_3, all_true(2, 6)).reshape(2, 12, 6, 16)
    assert (h[:, 3].abs().sum(-1) > 0).all()
    assert h[:, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]].abs().max() == 0


def test_encoder_knows_the_lead_but_not_the_beat():
    same = x()[:, :1, :1].expand(2, 12, 6, 8)
    h = encoder()(same, all_true(2, 12), all_true(2, 6)).reshape(2, 12, 6, 16)
    torch.testing.assert_close(h[:, :, 0], h[:, :, 5], rtol=0, atol=1e-6)
    assert (h[:, 0] - h[:, 1]).abs().max() > 1e-3


def test_reordering_beats_reorders_the_output():
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    straight = encoder()(x(), all_true(2, 12), all_true(2, 6)).reshape(2, 12, 6, 16)
    turned = encoder()(x()[:, :, order], all_true(2, 12), all_true(2, 6)).reshape(2, 12, 6, 16)
    torch.testing.assert_close(turned, straight[:, :, order], rtol=0, atol=1e-5)


@pytest.mark.parametrize("attention", ["full", "causal"])
def test_absent_tokens_are_not_seen(attention):
    leads, beats = all_true(2, 12), all_true(2, 6)
    leads[0, 4] = False
    beats[1, 4:] = False
    changed = x().clone()
    changed[0, 4], changed[1, :, 4:] = 1e3, 1e3
    model = encoder(attention)
    torch.testing.assert_close(model(changed, leads, beats), model(x(), leads, beats), rtol=0, atol=1e-5)


def test_causal_attention_sees_its_own_chunk_and_earlier_ones_only():
    changed = x().clone()
    changed[:, :, 5] += 1.0
    model = encoder("causal", chunk_size=2)
    before, after = (model(v, all_true(2, 12), all_true(2, 6)).reshape(2, 12, 6, 16) for v in (x(), changed))
    torch.testing.assert_close(after[:, :, :4], before[:, :, :4], rtol=0, atol=1e-6)
    assert (after[:, :, 4] - before[:, :, 4]).abs().max() > 1e-4, "the other beat of the same chunk"
    full = encoder("full")
    a, b = (full(v, all_true(2, 12), all_true(2, 6)).reshape(2, 12, 6, 16) for v in (x(), changed))
    assert (a[:, :, 0] - b[:, :, 0]).abs().max() > 1e-5


def test_a_record_without_any_token_is_refused():
    leads = all_true(2, 12)
    leads[1] = False
    with pytest.raises(AssertionError, match="at least one shown lead"):
        encoder()(x(), leads, all_true(2, 6))


def test_limb_identities_hold_for_the_initial_geometry_gains_included():
    rows = dict(zip(LEADS, LeadProjection(ProjectionConfig()).matrix(), strict=True))
    for lead, (of_i, of_ii) in LIMB_IDENTITIES.items():
        torch.testing.assert_close(rows[lead], of_i * rows["I"] + of_ii * rows["II"], rtol=0, atol=1e-6)


def test_no_two_leads_look_the_same_way():
    directions = torch.nn.functional.normalize(LeadProjection(ProjectionConfig()).matrix(), dim=1)
    cosine = directions @ directions.T - 2 * torch.eye(12)
    assert cosine.max() < 0.999


def test_projection_is_gain_times_direction_plus_bias():
    projection = LeadProjection(ProjectionConfig())
    with torch.no_grad():
        projection.bias[0] = 0.25
    v = torch.randn(2, 3, 5)
    by_hand = 0.632 * v[:, 0] - 0.235 * v[:, 1] + 0.059 * v[:, 2] + 0.25
    torch.testing.assert_close(projection(v)[:, 0], by_hand, rtol=0, atol=1e-5)


def test_leaving_nominal_geometry_costs():
    projection = LeadProjection(ProjectionConfig())
    assert projection.deviation().item() == pytest.approx(0, abs=1e-10)
    with torch.no_grad():
        projection.gain.mul_(2)
    assert projection.deviation().item() == pytest.approx(1.0, rel=1e-4)


def test_fixed_geometry_has_nothing_to_learn_but_the_bias():
    learned = [n for n, p in LeadProjection(ProjectionConfig(geometry="fixed")).named_parameters() if p.requires_grad]
    assert learned == ["bias"]


def own_view(bend=0.0):
    projection = LeadProjection(ProjectionConfig(view="own"), state_size=4)
    with torch.no_grad():
        projection.bend.weight[0, 0] = bend  # how W's first number moves lead I along x
    return projection


def test_a_view_of_ones_own_starts_as_the_shared_one():
    v, w = torch.randn(2, 5, 3, 7), torch.randn(2, 5, 4)
    torch.testing.assert_close(own_view()(v, w), LeadProjection(ProjectionConfig())(v), rtol=0, atol=1e-6)
    assert own_view().bending(w, torch.ones(2, 5, dtype=torch.bool)).item() == 0


def test_a_state_bends_the_lead_vectors_that_it_is_seen_by():
    v, w = torch.randn(2, 3, 7), torch.tensor([[2.0, 0, 0, 0], [0, 5.0, 0, 0]])
    shared, own = LeadProjection(ProjectionConfig())(v), own_view(bend=0.1)(v, w)
    torch.testing.assert_close(own[0, 0], shared[0, 0] + 0.2 * v[0, 0])
    torch.testing.assert_close(own[:, 1:], shared[:, 1:])
    torch.testing.assert_close(own[1], shared[1])


def test_bending_costs_in_proportion_to_the_lead_vectors_size():
    # Dower's lead I is (0.632, -0.235, 0.059); a bend of 0.2 in one of two states and one of twelve leads.
    w = torch.tensor([[2.0, 0, 0, 0], [0, 5.0, 0, 0]])
    by_hand = 0.2**2 / (0.632**2 + 0.235**2 + 0.059**2) / 24
    real = torch.tensor([True, True])
    assert own_view(bend=0.1).bending(w, real).item() == pytest.approx(by_hand, rel=1e-4)
    assert LeadProjection(ProjectionConfig()).bending(w, real).item() == 0
    # Of states that are padding nothing is asked.
    assert own_view(bend=0.1).bending(w, torch.tensor([False, True])).item() == 0
    assert own_view(bend=0.1).bending(w, torch.tensor([True, False])).item() == pytest.approx(2 * by_hand, rel=1e-4)


def test_a_view_of_ones_own_needs_the_state():
    with pytest.raises(AssertionError, match="expected a state"):
        own_view()(torch.randn(2, 3, 7))


def test_residual_starts_at_zero_and_can_learn():
    head = ResidualHead(ProjectionConfig())
    base = torch.randn(3, 12, 40)
    assert head(base).abs().max() == 0
    head(base).sum().backward()
    assert head.pointwise.weight.grad.abs().max() > 0


def test_angle_calibration_is_a_skeleton_by_decision():
    with pytest.raises(NotImplementedError):
        AngleCalib()(torch.zeros(1, 1, 3, 40), torch.zeros(1, 12, 1, 40))


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e-4, 1e-3, 0.5, 3.0])
def test_rotations_are_rotations(scale):
    r = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * scale
    m = axis_angle_to_matrix(r)
    eye = torch.eye(3, dtype=torch.float64).expand(20, 3, 3)
    torch.testing.assert_close(m.mT @ m, eye, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.linalg.det(m), torch.ones(20, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(axis_angle_to_matrix(-r), m.mT, rtol=0, atol=1e-12)
    torch.testing.assert_close(m, torch.matrix_exp(_cross(r)), rtol=0, atol=1e-12)


def _cross(r: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.linalg.cross(r, e.expand_as(r)) for e in torch.eye(3, dtype=r.dtype)], dim=-1)


def test_quarter_turn_about_z_takes_x_to_y():
    m = axis_angle_to_matrix(torch.tensor([0.0, 0.0, math.pi / 2]))
    torch.testing.assert_close(
        apply_rotation(m, torch.tensor([1.0, 0.0, 0.0])), torch.tensor([0.0, 1.0, 0.0]), rtol=0, atol=1e-6
    )


def test_gradients_are_finite_at_zero_rotation():
    r = torch.zeros(2, 3, requires_grad=True)
    (axis_angle_to_matrix(r).sum() + rotation_magnitude(axis_angle_to_matrix(r)).sum()).backward()
    assert r.grad.isfinite().all()
    expected = torch.autograd.functional.jacobian(axis_angle_to_matrix, torch.zeros(3))
    torch.testing.assert_close(expected[..., 2], torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 0]]))


def test_rotation_magnitude_is_the_angle():
    angles = torch.tensor([0.0, 0.01, 1.0, 3.0])
    axis = torch.nn.functional.normalize(torch.tensor([1.0, 2.0, -2.0]), dim=0)
    torch.testing.assert_close(rotation_magnitude(axis_angle_to_matrix(angles[:, None] * axis)), angles)


def test_rotations_keep_lengths_of_vectors_and_curves():
    m = axis_angle_to_matrix(torch.randn(4, 3))
    for v in (torch.randn(4, 3), torch.randn(4, 3, 50)):
        torch.testing.assert_close(apply_rotation(m, v).norm(dim=1), v.norm(dim=1))
