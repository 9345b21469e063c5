"""What a training step sees follows from seed and step, and never is a lead that is not there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecggen.config import TrainConfig
from ecggen.curriculum import records_of_step, scene_of_step, shown_leads
from ecggen.data.pipeline import ECGDataset
from ecggen.data.tokenizer import ECGTokenizer
from ecggen.errors import UserError
from ecggen.leads import LEADS
from tests.tiny import tiny_run

TINY_TOKENIZER = tiny_run().model.tokenizer


def test_an_epoch_sees_every_record_once_and_the_next_in_another_order():
    cfg = TrainConfig(batch_size=5, seed=3)
    first = np.concatenate([records_of_step(cfg, s, 20) for s in range(4)])
    second = np.concatenate([records_of_step(cfg, s, 20) for s in range(4, 8)])
    assert sorted(first) == sorted(second) == list(range(20))
    assert list(first) != list(second)


def test_fewer_records_than_a_batch_are_all_taken():
    assert sorted(records_of_step(TrainConfig(batch_size=48), 7, 5)) == [0, 1, 2, 3, 4]


def test_shown_leads_are_as_many_as_asked_and_never_missing_ones():
    present = torch.ones(30, 12, dtype=torch.bool)
    present[:10, 4:] = False
    cfg = TrainConfig(all_leads=0.2, min_leads=2, max_leads=5)
    counts, every = set(), 0
    for step in range(200):
        shown = shown_leads(cfg, np.random.default_rng(step), present)
        assert not (shown & ~present).any() and shown.any(1).all()
        full = shown[10:].sum(1)
        assert (full == full[0]).all()
        every += int(full[0] == 12)
        counts.add(int(full[0]))
    assert counts == {2, 3, 4, 5, 12}
    assert 20 <= every <= 65


def test_different_records_show_different_leads():
    shown = shown_leads(TrainConfig(all_leads=0.0), np.random.default_rng(0), torch.ones(50, 12, dtype=torch.bool))
    assert len({tuple(row.tolist()) for row in shown}) > 5


def test_a_reduced_set_is_i_ii_and_one_chest_lead():
    cfg = TrainConfig(all_leads=0.0, reduced_sets=1.0)
    shown = shown_leads(cfg, np.random.default_rng(0), torch.ones(200, 12, dtype=torch.bool))
    sets = {tuple(lead for lead, there in zip(LEADS, row.tolist(), strict=True) if there) for row in shown}
    assert sets == {("I", "II", f"V{number}") for number in range(1, 7)}


def test_of_a_reduced_set_only_what_is_there_is_shown_and_at_least_one_lead():
    present = torch.zeros(200, 12, dtype=torch.bool)
    present[:100, [0, 8]] = True  # I and V3
    present[100:, 5] = True  # aVF alone, which is in no reduced set
    shown = shown_leads(TrainConfig(all_leads=0.0, reduced_sets=1.0), np.random.default_rng(0), present)
    assert not (shown & ~present).any() and shown.any(1).all()
    assert shown[:100, 0].all() and 0 < shown[:100, 8].sum() < 50


def test_reduced_sets_take_their_share_of_the_steps():
    cfg = TrainConfig(all_leads=0.2, reduced_sets=0.5, min_leads=8, max_leads=8)
    present = torch.ones(1, 12, dtype=torch.bool)
    counts = [int(shown_leads(cfg, np.random.default_rng(step), present).sum()) for step in range(400)]
    assert 160 <= counts.count(3) <= 240 and 50 <= counts.count(12) <= 115 and set(counts) == {3, 8, 12}


def test_without_reduced_sets_nothing_is_drawn_otherwise():
    """So that trainings of before come out as before."""
    rng, present = np.random.default_rng(4), torch.ones(3, 12, dtype=torch.bool)
    shown = shown_leads(TrainConfig(all_leads=0.0, min_leads=2, max_leads=5), rng, present)
    by_hand = np.random.default_rng(4)
    by_hand.random()
    count = by_hand.integers(2, 6)
    rank = by_hand.random((3, 12)).argsort(1).argsort(1)
    assert torch.equal(shown, torch.from_numpy(rank < count))


def test_shares_of_steps_fit_together():
    with pytest.raises(UserError, match="train.reduced_sets: expected at most 1 together with all_leads 0.5, got 1.1"):
        tiny_run(train__all_leads=0.5, train__reduced_sets=0.6)


@pytest.fixture(scope="module")
def seen():
    """Scenes of a training of two neighbouring beats of a record, at twelve steps."""
    run = tiny_run(train__max_beats=2, train__boundary_jitter=0.02)
    dataset, tokenizer = ECGDataset(run, "train"), ECGTokenizer(run.model.tokenizer, run.model.signal.fs)
    return run.train, dataset, [scene_of_step(run.train, step, dataset, tokenizer) for step in range(12)]


def test_a_step_sees_its_own_records_and_neighbouring_beats_near_their_r_peaks(seen):
    cfg, dataset, scenes = seen
    shifts, firsts, lasts = set(), 0, 0
    for scene in scenes:
        items = records_of_step(cfg, scene.step, len(dataset))
        batch = dataset.batch(items)
        assert torch.equal(scene.ecg, batch["ecg"]) and torch.equal(scene.lead_present, batch["lead_mask"])
        windows = ECGTokenizer(TINY_TOKENIZER, 100.0).boundaries_from_peaks(batch["r_peaks"], scene.ecg.shape[-1])
        for spans, every in zip(scene.windows.spans(), windows.spans(), strict=True):
            starts = np.array([start for start, _ in every])
            at = np.abs(starts - spans[0][0]).argmin()
            assert len(spans) == 2 and spans[1][0] - spans[0][0] == starts[at + 1] - starts[at]
            shifts.add(int(spans[0][0] - starts[at]))
            firsts, lasts = firsts + (at == 0), lasts + (at == len(every) - 2)
    assert min(shifts) < 0 < max(shifts) and max(map(abs, shifts)) < 12
    assert firsts and lasts


def test_each_step_draws_anew_and_the_same_again(seen):
    cfg, dataset, scenes = seen
    tokenizer = ECGTokenizer(TINY_TOKENIZER, 100.0)
    again = scene_of_step(cfg, 3, dataset, tokenizer)
    assert torch.equal(again.shown, scenes[3].shown) and torch.equal(again.windows.starts, scenes[3].windows.starts)
    assert len({tuple(scene.shown.sum(1).tolist()) for scene in scenes}) > 1
    other = scene_of_step(replace(cfg, seed=cfg.seed + 1), 3, dataset, tokenizer)
    assert not torch.equal(other.shown, again.shown) or not torch.equal(other.windows.starts, again.windows.starts)
