"""Loss terms on cases known by hand."""

import pytest
import torch

from ecggen.config import LossConfig, ProjectionConfig
from ecggen.losses import loss_terms, reconstruction, rendered_beats, state_path, total_loss
from ecggen.models.blocks import LeadProjection


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


def test_weights_say_which_leads_of_a_record_matter():
    y, present = beats()
    x = y.clone()
    x[:, 3] += 1.0
    plain = reconstruction(x, y, present)
    weight = torch.ones(3, 12)
    torch.testing.assert_close(reconstruction(x, y, present, 7 * weight), plain)  # only proportions count
    weight[:, 3] = 4.0
    torch.testing.assert_close(reconstruction(x, y, present, weight), plain * 4 / (15 / 12))
    weight[:, 3] = 0.0
    assert reconstruction(x, y, present, weight) == 0


def test_hidden_leads_count_as_their_weight_says():
    y, present = beats()
    shown = torch.ones(3, 12, dtype=torch.bool)
    shown[:, 6:] = False
    x = y.clone()
    x[:, 6:] += 1.0
    out = {
        "meta": {"beat_mask": present[:, 0], "lead_mask": shown, "beats": y},
        "E_hat_seq": x.transpose(1, 2),
        "V_seq": torch.ones(3, 4, 3, 20),
        "W_seq": torch.zeros(3, 4, 5),
        "residual_seq": torch.zeros(3, 4, 12, 20),
        "chunk_mask": present[:, 0],
    }
    projection = LeadProjection(ProjectionConfig(), 5)
    alike, hidden = (
        loss_terms(out, shown.new_ones(3, 12), projection, torch.zeros(5), 1, weight)["reconstruction"]
        for weight in (1.0, 3.0)
    )
    torch.testing.assert_close(hidden, alike * 3 / 2)


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
