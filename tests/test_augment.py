"""Records that are varied in training: what changes, what must not."""

import numpy as np
import torch

from ecggen.augment import varied
from ecggen.baselines import dower_round_trip
from ecggen.config import TrainConfig
from ecggen.leads import LEADS, LIMB_IDENTITIES, nominal_directions


def dipoles(records=3):
    """Leads of a source alone, [B, 12, T] mV, and the source [B, 3, T]."""
    source = torch.randn(records, 3, 40, generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(nominal_directions()).float() @ source, source


def vary(ecg, present=None, **settings):
    present = torch.ones(ecg.shape[:2], dtype=torch.bool) if present is None else present
    return varied(TrainConfig(**settings), np.random.default_rng(5), ecg, present)


def test_nothing_is_varied_unless_asked():
    ecg, _ = dipoles()
    assert torch.equal(vary(ecg), ecg)


def test_a_turn_keeps_the_lengths_of_the_source_and_turns_each_record_otherwise():
    ecg, source = dipoles()
    turned = torch.linalg.pinv(torch.from_numpy(nominal_directions()).float()) @ vary(ecg, rotation=20.0)
    torch.testing.assert_close(turned.norm(dim=1), source.norm(dim=1), rtol=1e-4, atol=1e-4)
    cosine = torch.nn.functional.cosine_similarity(turned, source, dim=1).mean(1)
    assert (cosine < 0.9999).all() and len(set(cosine.round(decimals=4).tolist())) == 3


def test_angles_have_the_spread_that_was_asked_for():
    """A turn by t about a random axis leaves a mean cosine of 1/3 + 2/3 cos t over directions."""
    source = torch.eye(3).repeat(4000, 1, 1)
    turned = torch.linalg.pinv(torch.from_numpy(nominal_directions()).float()) @ vary(
        torch.from_numpy(nominal_directions()).float() @ source, rotation=30.0
    )
    trace = turned.diagonal(dim1=1, dim2=2).sum(1)
    angle = torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))
    assert abs(angle.square().mean().sqrt() - 30) < 1.5


def test_what_no_dipole_explains_stays():
    ecg, _ = dipoles()
    odd = torch.randn(ecg.shape, generator=torch.Generator().manual_seed(1))
    odd = odd - dower_round_trip(odd[:, :, None])[:, :, 0]
    torch.testing.assert_close(vary(ecg + odd, rotation=20.0), vary(ecg, rotation=20.0) + odd, rtol=1e-4, atol=1e-4)


def test_limb_identities_hold_afterwards():
    ecg, _ = dipoles()
    out = vary(ecg, rotation=40.0, scaling=0.3)
    for name, (of_i, of_ii) in LIMB_IDENTITIES.items():
        expected = of_i * out[:, 0] + of_ii * out[:, 1]
        torch.testing.assert_close(out[:, LEADS.index(name)], expected, rtol=1e-4, atol=1e-4)


def test_gains_are_one_a_record_with_the_spread_that_was_asked_for():
    ecg = torch.ones(4000, 12, 2)
    out = vary(ecg, scaling=0.2)
    assert (out == out[:, :1, :1]).all()
    assert abs(out[:, 0, 0].log().std() - 0.2) < 0.01


def test_a_record_that_lacks_a_lead_is_scaled_but_not_turned():
    ecg, _ = dipoles()
    present = torch.ones(3, 12, dtype=torch.bool)
    present[1, 4] = False
    ecg[1, 4] = 0
    out = vary(ecg, present, rotation=20.0)
    torch.testing.assert_close(out[1], ecg[1])
    assert not torch.allclose(out[0], ecg[0])
