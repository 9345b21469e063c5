"""Baselines on leads whose relation is known."""

import numpy as np
import pytest
import torch

from ecggen.baselines import Baselines, dower_round_trip
from ecggen.leads import DOWER, LEADS, LIMB_LEADS, nominal_directions
from ecggen.metrics import beat_sums, sd_ratio

# Edenbrandt and Pahlm 1988, rows X Y Z, columns V1 V2 V3 V4 V5 V6 I II.
PUBLISHED_INVERSE = np.array(
    [
        [-0.172, -0.074, 0.122, 0.231, 0.239, 0.194, 0.156, -0.010],
        [0.057, -0.019, -0.106, -0.022, 0.041, 0.048, -0.227, 0.887],
        [-0.229, -0.310, -0.246, -0.063, 0.055, 0.108, 0.022, 0.102],
    ]
)
COLUMNS = ("V1", "V2", "V3", "V4", "V5", "V6", "I", "II")


def fitted(beats):
    """Baselines of beats [B, L, N, T']."""
    flat = beats.double().transpose(0, 1).flatten(1)
    mean = flat.mean(1)
    centred = flat - mean[:, None]
    covariance = centred @ centred.T / flat.shape[1]
    return Baselines(mean.float(), covariance, beats.mean((0, 2)), len(beats))


def dipole(records=4):
    """Records that are a dipole seen by Dower's lead vectors: [B, 12, 3, 20] mV."""
    source = torch.randn(records, 3, 3, 20, generator=torch.Generator().manual_seed(0))
    vectors = torch.from_numpy(nominal_directions()).float()
    return torch.einsum("lx,bxnt->blnt", vectors, source)


def test_best_visible_lead_finds_the_lead_and_its_scale():
    beats = torch.randn(5, 12, 3, 40, generator=torch.Generator().manual_seed(0))
    beats[:, 7] = -2 * beats[:, 1] + 0.1 * beats[:, 7]  # V2 hangs on II, and a little on itself
    beats[:, 8] = 0.5 * beats[:, 0]  # V3 on I
    baselines = fitted(beats)
    names = baselines.best_lead_names(("I", "II"))
    assert names["V2"] == ["II", pytest.approx(-2, abs=0.02)] and names["V3"] == ["I", pytest.approx(0.5)]
    drawn = baselines.best_lead(beats, ("I", "II"))
    torch.testing.assert_close(drawn[:, 8], beats[:, 8])
    torch.testing.assert_close(drawn[:, 7], beats[:, 1] * names["V2"][1])


def test_an_offset_counts_for_the_scale_because_nothing_else_can_carry_it():
    beats = torch.ones(2, 12, 1, 10)
    beats[:, 6] = 3
    assert fitted(beats).best_lead_names(("I",))["V1"] == ["I", pytest.approx(3)]


def test_dower_round_trip_of_a_dipole_is_exact_and_of_anything_else_is_not():
    beats = dipole()
    torch.testing.assert_close(dower_round_trip(beats), beats, atol=1e-5, rtol=0)
    beats[:, 8] += 1
    assert (dower_round_trip(beats) - beats).abs().max() > 0.1


def test_the_inverse_is_the_published_one_to_its_three_decimals():
    names = tuple(DOWER)
    inverse = np.linalg.pinv(np.stack([DOWER[name] for name in names]))
    np.testing.assert_allclose(inverse[:, [names.index(name) for name in COLUMNS]], PUBLISHED_INVERSE, atol=6e-4)


def test_limb_leads_that_follow_from_each_other_do_not_upset_the_regression():
    """Six limb leads are two and rounding noise, but for a faulty record: the regression says what I and II say."""
    beats = torch.randn(40, 12, 5, 40, generator=torch.Generator().manual_seed(0))
    one, two = beats[:, 0].clone(), beats[:, 1].clone()
    for at, lead in ((2, two - one), (3, -(one + two) / 2), (4, one - two / 2), (5, two - one / 2)):
        beats[:, at] = lead
    beats[7, 2] += 1
    beats[:, 6] = one - 0.5 * two + 0.3 * beats[:, 6]
    baselines = fitted(beats)
    both, six = (baselines.linear(beats, shown) for shown in (LEADS[:2], LIMB_LEADS))
    torch.testing.assert_close(six, both)
    assert (both[:, 6] - (one - 0.5 * two)).square().mean() < 0.01 * both[:, 6].square().mean()


def test_zero_has_no_spread():
    beats = dipole()
    present = torch.ones(beats.shape[:3], dtype=torch.bool)
    assert sd_ratio(beat_sums(torch.zeros_like(beats), beats, present).sum(0)) == 0
