"""Tokens, their meta, and what must not leak into them."""

import pytest
import torch

from ecggen.config import TokenizerConfig
from ecggen.data.beats import pad_spans
from ecggen.data.tokenizer import ECGTokenizer
from tests.models.conftest import hearts, windows

FS = 100.0


def tokenizer(**changes: object) -> ECGTokenizer:
    torch.manual_seed(0)
    return ECGTokenizer(TokenizerConfig(**{"beat_len": 40, "width": 16, **changes}), FS)


@pytest.mark.parametrize("token", ["linear", "conv"])
@pytest.mark.parametrize("segmentation", ["rr", "equal"])
def test_shapes_and_meta(token, segmentation):
    x, meta = tokenizer(token=token, segmentation=segmentation)(hearts(3))
    n = meta["beat_mask"].shape[1]
    assert x.shape == (3, 12, n, 16)
    assert meta["beats"].shape == (3, 12, n, 40)
    assert meta["beat_intervals"].shape == (3, n)
    assert meta["beat_len"] == 40
    assert [len(spans) for spans in meta["beat_boundaries"]] == meta["beat_mask"].sum(1).tolist()
    assert (meta["beat_intervals"] > 0).equal(meta["beat_mask"])


def test_beats_of_a_regular_heart_are_found_at_its_rate():
    _, meta = tokenizer()(hearts(4))
    real = meta["beat_mask"]
    torch.testing.assert_close(meta["beat_intervals"][real], torch.full((int(real.sum()),), 0.8), rtol=0, atol=0.011)
    assert (real.sum(1) >= 6).all()
    assert (meta["coverage"] > 0.75).all() and (meta["coverage"] <= 1).all()


def test_r_peak_stands_at_the_same_index_in_every_window():
    _, meta = tokenizer(beat_len=80)(hearts(1))
    where = meta["beats"][0, 1, meta["beat_mask"][0]].abs().argmax(-1)
    assert where.max() - where.min() <= 2


def test_hidden_leads_leak_nothing_whatever_they_hold():
    ecg, shown = hearts(2), torch.ones(2, 12, dtype=torch.bool)
    shown[:, 6:] = False
    results = []
    for value in (0.0, 5.0, float("nan"), float("inf")):
        other = ecg.clone()
        other[:, 6:] = value
        x, meta = tokenizer()(other, shown)
        results.append((x, meta["beat_boundaries"]))
    assert all(r[1] == results[0][1] for r in results)
    assert all(torch.equal(r[0], results[0][0]) for r in results)
    assert results[0][0][:, 6:].abs().max() == 0


def test_tokens_of_padded_beats_are_zero():
    ecg = hearts(2)
    x, meta = tokenizer()(ecg, boundaries=[[(0, 80), (80, 160), (160, 240)], [(0, 80)]])
    assert meta["beat_mask"].tolist() == [[True] * 3, [True, False, False]]
    assert x[1, :, 1:].abs().max() == 0 and x[1, :, 0].abs().max() > 0


def test_given_boundaries_are_used_as_they_are():
    spans = windows(2, 5)
    _, meta = tokenizer()(hearts(2), boundaries=spans)
    assert meta["beat_boundaries"] == spans
    assert "fallback" not in meta


def test_windows_as_tensors_are_the_same_windows():
    spans = [[(0, 80), (80, 160), (160, 240)], [(0, 80)]]
    x, meta = tokenizer()(hearts(2), boundaries=spans)
    y, other = tokenizer()(hearts(2), boundaries=pad_spans(spans))
    assert torch.equal(x, y)
    assert all(torch.equal(meta[name], other[name]) for name in ("beats", "beat_mask", "beat_intervals"))


def test_a_record_without_beats_falls_back_and_is_counted():
    ecg = torch.stack([hearts(1)[0], torch.zeros(12, 600)])
    x, meta = tokenizer()(ecg)
    assert meta["fallback"].tolist() == [False, True]
    assert len(meta["beat_boundaries"][1]) == 600 // 40
    assert x.isfinite().all()


def test_a_linear_token_is_the_flattened_waveform_through_one_map():
    model = tokenizer()
    x, meta = model(hearts(1), boundaries=windows(1, 2))
    by_hand = model.embed(meta["beats"][0, 4, 1] / 0.2)
    torch.testing.assert_close(x[0, 4, 1], by_hand, rtol=1e-5, atol=1e-5)


def test_a_record_too_short_for_one_window_is_refused_with_the_reason():
    with pytest.raises(AssertionError, match="at least one window"):
        tokenizer()(torch.zeros(1, 12, 30))


def test_windows_as_tensors_have_one_shape_and_each_record_has_one():
    reads, good = tokenizer(), pad_spans([[(0, 80)], [(80, 160)]])
    with pytest.raises(AssertionError, match=r"of one shape \[2, N\]"):
        reads.cut(hearts(2), boundaries=good._replace(mask=good.mask[:1]))
    with pytest.raises(AssertionError, match=r"of one shape \[3, N\]"):
        reads.cut(hearts(3), boundaries=good)
    with pytest.raises(AssertionError, match="at least one window"):
        reads.boundaries_from_peaks([torch.tensor([5]), torch.tensor([5, 15, 25])], 30)
    with pytest.raises(AssertionError, match="of 2 records, got 1"):
        reads.cut(hearts(2), boundaries=[[(0, 80)]])


def test_wrong_shapes_are_refused_with_both_shapes():
    with pytest.raises(AssertionError, match=r"expected \[B, L, T\], got \(12, 600\)"):
        tokenizer()(hearts(1)[0])
    with pytest.raises(AssertionError, match="lead_mask"):
        tokenizer()(hearts(1), torch.ones(1, 12))


def test_the_pace_of_a_heart_is_in_its_tokens_only_where_asked():
    # The same beat at half the rate: brought to one length, both are one waveform.
    beat = torch.arange(40.0) / 40
    quick, slow = (torch.cat([at, at]).expand(1, 12, -1) for at in (beat, torch.arange(80.0) / 80))
    for pace, alike in ((False, True), (True, False)):
        reads = tokenizer(pace=pace)
        x, _ = reads(quick, None, [[(0, 40), (40, 80)]])
        y, _ = reads(slow, None, [[(0, 80), (80, 160)]])
        assert torch.allclose(x, y, atol=1e-5) is alike


def test_each_beat_has_its_own_pace_and_absent_tokens_none():
    shown = torch.ones(2, 12, dtype=torch.bool)
    shown[:, 3] = False
    reads = tokenizer(pace=True)
    x, meta = reads(hearts(2), shown, [[(0, 80), (80, 160), (160, 280)], [(0, 80)]])
    assert not meta["beat_mask"].all() and not x[:, 3].any() and not x[1, :, 1:].any()
    x.sum().backward()
    assert x.isfinite().all() and all(p.grad.isfinite().all() for p in reads.parameters())
    y, _ = reads(hearts(2), shown, [[(0, 80), (80, 160), (160, 240)], [(0, 80)]])
    assert torch.equal(x[0, :, :2], y[0, :, :2]) and not torch.equal(x[0, :, 2], y[0, :, 2])


def test_pace_keeps_the_precision_of_the_model():
    x, _ = tokenizer(pace=True).double()(hearts(1).double())
    assert x.dtype == torch.float64 and x.isfinite().all()
