"""Few labels, drawn fairly; and readers that are compared on the same records."""

import numpy as np
import pytest

from ecggen.data.pipeline import ECGDataset
from ecggen.labels import SHARES, label_draws
from ecggen.models.ecggen import ECGGenModel
from ecggen.probe import fit_head, scores_of
from ecggen.readouts import CONTROLS, readout_card
from tests.tiny import tiny_run


def labels(records=2000):
    """Two frequent classes, one that one record in five hundred has."""
    rng = np.random.default_rng(0)
    return (rng.random((records, 3)) < (0.5, 0.2, 0.002)).astype(float)


def test_one_hundredth_of_the_labels_shows_every_class_with_and_without():
    targets = labels()
    draws = label_draws(targets, *SHARES["1 %"])
    assert len(draws) == SHARES["1 %"][1] and len({len(draw) for draw in draws}) == 1
    assert 20 <= len(draws[0]) <= 22
    for draw in draws:
        assert len(set(draw)) == len(draw)
        assert (targets[draw].max(0) == 1).all() and (targets[draw].min(0) == 0).all()


def test_draws_repeat_differ_from_each_other_and_lie_within_the_larger_ones():
    targets = labels()
    small, large, whole = (label_draws(targets, *SHARES[share]) for share in ("1 %", "10 %", "100 %"))
    for draw, again in zip(small, label_draws(targets, *SHARES["1 %"]), strict=True):
        np.testing.assert_array_equal(draw, again)
    assert set(small[0]) != set(small[1])
    for one, ten in zip(small, large, strict=False):
        assert set(one) < set(ten)
    assert sorted(whole[0]) == list(range(2000))


def test_a_tenth_of_the_labels_has_the_classes_shares():
    targets = labels()
    for draw in label_draws(targets, *SHARES["10 %"]):
        np.testing.assert_allclose(targets[draw].mean(0), targets.mean(0), atol=0.015)


def test_a_feature_that_stood_still_in_training_is_not_read():
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 1)) < 0.5).astype(float)
    x = np.concatenate([targets + rng.standard_normal((60, 1)), np.full((60, 1), 0.3)], axis=1).astype(np.float32)
    head, _ = fit_head("linear", x, targets, x, targets, True)
    moved = x.copy()
    moved[:, 1] = 100
    np.testing.assert_array_equal(scores_of(head, moved), scores_of(head, x))


@pytest.fixture(scope="module")
def card():
    run = tiny_run(data__simulator__records=120)
    return readout_card(ECGGenModel(run.model), run, ECGDataset(run, "test"), 30)


def test_every_reader_has_every_share_with_intervals(card):
    assert len(card["readers"]) == 9 and set(card["labels"]) == set(SHARES)
    for reader in card["readers"].values():
        for share, plan in card["labels"].items():
            low, high = reader[share]["interval"]
            assert 0 <= low <= high <= 1
            assert len(reader[share]["draws"]) == len(reader[share]["penalties"]) == plan["draws"]
            assert reader[share]["auroc"] == pytest.approx(np.mean(reader[share]["draws"]))
            assert (reader[share]["sd"] is None) == (plan["draws"] == 1)
            assert set(reader[share]["per_class"]) == set(card["classes"])


@pytest.mark.parametrize(("ours", "control"), [(ours, control) for ours, all_ in CONTROLS.items() for control in all_])
def test_differences_are_those_of_the_readers(card, ours, control):
    for share in SHARES:
        less = card["less"][ours][control][share]
        own, theirs = (card["readers"][who][share]["auroc"] for who in (ours, control))
        assert less["value"] == pytest.approx(own - theirs)
        assert less["interval"][0] <= less["interval"][1]


def test_without_labels_there_is_nothing_to_read():
    run = tiny_run()
    dataset = ECGDataset(run, "test")
    dataset.classes = ()
    assert readout_card(ECGGenModel(run.model), run, dataset, 30) is None
