"""Loss terms on cases known by hand."""

import pytest
import torch

from ecggen.config import LossConfig
from ecggen.losses import reconstruction, rendered_beats, state_path, total_loss


def beats(records: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.randn(records, 12, 4, 20, generator=torch.Generator().manual_seed(0))
    return y, torch.ones(records, 12, 4, dtype=torch.bool)


def test_perfect_is_zero_and_the_mean_is_one():
    y, present = beats()
    assert reconstruction(y, y, present).item() == 0
    mean = y.mean((0, 2, 3), keepdim=True).expand_as(y)
    assert reconstruction(mean, y, present).item() == pytest.approx(1, rel=1e-4)


def test_small_and_tall_leads_count_alike():
    y, present = beats()
    scale = torch.logspace(-1, 1, 12)[:, None, None]
    x = y + 0.3 * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(reconstruction(scale * x, scale * y, present), reconstruction(x, y, present))


def test_missing_leads_and_padding_do_not_count():
    y, present = beats()
    present[0, 3], present[1, :, 3] = False, False
    spoiled = y.clone()
    spoiled[~present] = float("nan")
    x = y + 0.1
    torch.testing.assert_close(
        reconstruction(x, spoiled, present), reconstruction(x, torch.where(present[..., None], y, 0), present)
    )
    assert reconstruction(x, spoiled, present).isfinite()


def test_robust_errors_count_as_they_are_where_small_and_by_their_root_where_large():
    y, present = beats()
    near = y + 1e-3 * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        reconstruction(near, y, present, 0.5), reconstruction(near, y, present), rtol=1e-3, atol=0
    )
    far = y.clone()
    far[1, 3, 2] += 1000.0
    plain, robust = reconstruction(far, y, present), reconstruction(far, y, present, 0.5)
    variances = plain * 12 * 12  # one of twelve beats of one of twelve leads is off
    torch.testing.assert_close(robust * 12 * 12, 2 * (0.5 * variances).sqrt(), rtol=1e-3, atol=0)


def test_one_lost_electrode_no_longer_outweighs_all_else():
    y, present = beats()
    off = y + 0.3
    off[0, 3] += 50.0

    def pull(robust):
        at = off.clone().requires_grad_()
        reconstruction(at, y, present, robust).backward()
        return at.grad[0, 3].norm() / at.grad[0, 4].norm()

    assert pull(0.0) > 100 > 12 > pull(1.0)


def test_each_beat_is_held_against_its_own_chunks_rendering():
    path = torch.arange(3.0)[None, :, None, None].expand(1, 3, 12, 20)
    out = {"meta": {"beat_mask": torch.ones(1, 5, dtype=torch.bool)}, "E_hat_seq": path}
    assert rendered_beats(out, 2)[0, 0, :, 0].tolist() == [0, 0, 1, 1, 2]


def test_state_path_sums_squared_steps_from_w0():
    w = torch.tensor([[[1.0], [3.0], [9.0]]])
    assert state_path(w, torch.tensor([0.0]), torch.tensor([[True, True, False]])).item() == 1 + 4


def test_total_is_the_weighted_sum():
    terms = {name: torch.tensor(2.0) for name in ("reconstruction", "smoothness", "energy")}
    assert total_loss(terms, LossConfig(smoothness=0.5, energy=3.0)).item() == pytest.approx(2 + 1 + 6)
