"""Controls: equal every time, fitted on training features alone, and of the records that the probe reads."""

import numpy as np
import torch

from ecggen.controls import draw_features, fit_components, mean_beats, untrained
from ecggen.data.pipeline import ECGDataset
from ecggen.models.ecggen import ECGGenModel
from ecggen.probe import encode_states
from tests.tiny import tiny_run


def features(records=50, size=12):
    return np.random.default_rng(3).standard_normal((records, size)).astype(np.float32)


def test_random_features_are_the_same_every_time_and_need_both_kinks_and_spread():
    x = features()
    drawn = draw_features(x, 64)(x)
    np.testing.assert_array_equal(drawn, draw_features(x, 64)(x))
    assert drawn.shape == (50, 64) and drawn.min() == 0
    assert (drawn > 0).mean() > 0.3 and np.linalg.matrix_rank(drawn) > 12, "a rectifier makes new directions"
    assert not np.array_equal(drawn, draw_features(x, 64, seed=1)(x))


def test_random_features_do_not_depend_on_the_unit():
    x = features()
    np.testing.assert_allclose(draw_features(1000 * x, 64)(1000 * x), draw_features(x, 64)(x), rtol=1e-3, atol=1e-4)


def test_random_features_of_a_state_do_not_depend_on_any_numbers_unit_and_leave_still_ones_out():
    x = features()
    x[:, 5] = 2.0
    units = np.logspace(-1, 2, 12, dtype=np.float32)
    plain, scaled = (draw_features(y, 64, one_unit=False)(y) for y in (x, x * units))
    np.testing.assert_allclose(scaled, plain, rtol=1e-2, atol=1e-3)
    assert np.isfinite(plain).all() and np.abs(plain).max() < 20
    assert np.abs(draw_features(x * units, 64)(x * units) - draw_features(x, 64)(x)).max() > 0.1


def test_principal_components_keep_what_varies_most():
    x = features()
    x[:, 4] = x[:, 4] * 20 + 7
    kept = fit_components(x, 3)(x)
    assert kept.shape == (50, 3)
    np.testing.assert_allclose(kept.mean(0), 0, atol=1e-4)
    assert abs(np.corrcoef(kept[:, 0], x[:, 4])[0, 1]) > 0.999


def test_an_untrained_model_has_other_weights_and_always_the_same_and_leaves_the_seed_alone():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ECGGenModel(tiny_run().model)
        before = torch.random.get_rng_state()
        one, two = untrained(model), untrained(model)
        assert torch.equal(before, torch.random.get_rng_state())
    for (name, a), b in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(one.ttt.state.prior, model.ttt.state.prior)


def test_mean_beats_are_of_the_records_that_the_probe_reads_and_in_their_order():
    run = tiny_run()
    model, dataset = ECGGenModel(run.model), ECGDataset(run, "train")
    beats = mean_beats(model.tokenizer, dataset, 7)
    assert beats.shape == (len(encode_states(model, dataset, 7).w), 12 * run.model.tokenizer.beat_len)
    record = dataset[0]
    spans = model.tokenizer.boundaries_from_peaks([record["r_peaks"]], record["ecg"].shape[-1])
    cut = model.tokenizer.cut(record["ecg"][None], boundaries=spans)["beats"][0]
    np.testing.assert_allclose(beats[0], cut.mean(1).flatten().numpy(), atol=1e-5)
