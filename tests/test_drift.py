"""Read-outs of planted drift with known answers, and renderings with and without a path of W."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ecggen import drift, metrics
from ecggen.checkpoint import save_model
from ecggen.config import DataConfig, RunConfig
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError
from ecggen.leads import LEADS
from ecggen.models.ecggen import ECGGenModel
from ecggen.planted import Planting, Truth, plant, read_truth
from tests.models.conftest import small_config

REPO = Path(__file__).resolve().parents[1]

BEATS, SIZE = 10, 6


def made_up(records=30, seed=0, follows=1.0, noise=0.0):
    """Hearts whose W stands somewhere of its own and moves by `follows` times the level in one direction."""
    rng = np.random.default_rng(seed)
    record = np.repeat(np.arange(records), BEATS)
    level = rng.normal(0, 0.05, records)[record] * np.sin(np.tile(np.arange(BEATS), records) / 3 + record)
    w = rng.normal(0, 1, (records, SIZE))[record] + noise * rng.normal(size=(len(record), SIZE))
    w[:, 0] += follows * level
    number = (np.tile(np.arange(BEATS), records)[:, None] / BEATS) ** np.arange(1, 4)
    return drift.StatePath(w, w.copy(), number, level, record)


def test_a_state_that_moves_with_the_drift_is_read_with_r_one():
    known, choosing, judged = (made_up(seed=seed) for seed in range(3))
    read = drift.choose_read_out(known, choosing, "w")
    found = drift.correlation(read(judged.w), judged, resamples=50)
    assert found["r"] == pytest.approx(1, abs=1e-6) and found["interval"][0] > 0.999
    assert drift.swing(read(judged.w), judged) == pytest.approx(drift.swing(judged.level, judged), rel=1e-3)


def test_a_constant_state_gives_no_drift():
    known, choosing, judged = (made_up(seed=seed, follows=0.0) for seed in range(3))
    read = drift.choose_read_out(known, choosing, "w")
    assert drift.swing(read(judged.w), judged) < 1e-9
    assert drift.correlation(read(judged.w), judged, resamples=20)["r"] == pytest.approx(0, abs=1e-6)


def test_where_hearts_differ_a_pooled_correlation_is_lower_than_the_one_within():
    known, choosing, judged = (made_up(seed=seed) for seed in range(3))
    read = drift.choose_read_out(known, choosing, "w")
    assert drift.correlation(read(judged.w), judged, 20, pooled=True)["r"] < 0.5


def test_shuffled_levels_are_the_same_levels_and_teach_nothing():
    known, choosing, judged = (made_up(seed=seed, records=200, noise=0.5) for seed in range(3))
    shuffled = drift.shuffled_levels(known, 0)
    for record in (0, 7):
        own = known.record == record
        assert sorted(shuffled[own]) == sorted(known.level[own]) and (shuffled[own] != known.level[own]).any()
    read = drift.choose_read_out(known, choosing, "w", shuffled)
    assert abs(drift.correlation(read(judged.w), judged, 20)["r"]) < 0.1


def test_a_clock_knows_nothing_of_paths_that_begin_anywhere():
    known, choosing, judged = (made_up(seed=seed, records=300) for seed in range(3))
    read = drift.choose_read_out(known, choosing, "number")
    assert abs(drift.correlation(read(judged.number), judged, 20)["r"]) < 0.15


def test_within_takes_each_record_at_its_own_mean():
    values = np.array([1.0, 3.0, 10.0, 20.0])
    np.testing.assert_allclose(drift.within(values, np.array([5, 5, 2, 2])), [-1, 1, -5, 5])
    np.testing.assert_allclose(
        drift.within(np.stack([values, -values], 1), np.array([0, 0, 1, 1]))[:, 1], [1, -1, 5, -5]
    )


def test_the_st_segment_lies_where_the_simulator_puts_it_and_scales_with_the_root_of_rr():
    marked = drift.st_samples(torch.tensor([[1.0, 0.25]]), beat_len=100, before=0.35)
    seconds = (torch.arange(100) / 100 - 0.35)[marked[0, 0]]
    assert seconds.min() == pytest.approx(0.06, abs=0.011) and seconds.max() == pytest.approx(0.20, abs=0.011)
    fast = (0.25 * (torch.arange(100) / 100 - 0.35))[marked[0, 1]]
    assert fast.min() == pytest.approx(0.03, abs=0.006) and fast.max() == pytest.approx(0.10, abs=0.006)


def causal_model(**ttt):
    torch.manual_seed(0)
    cfg = small_config(**ttt)
    return ECGGenModel(replace(cfg, encoder=replace(cfg.encoder, attention="causal"))).eval()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    plant(Planting(records=12, ectopic=0.2), folder)
    return folder


def records_of(folder, model):
    return ECGDataset(RunConfig(DataConfig(source="arrays", root=str(folder), workers=1), model.cfg), "all")


def test_every_sinus_beat_is_set_beside_the_level_at_its_r_peak(planted):
    model = causal_model(chunk_size=1)
    truth, dataset = read_truth(planted), records_of(planted, model)
    path = drift.follow(model, dataset, truth, LEADS)
    n = len(path.level)
    assert path.w.shape == (n, 24) and path.beats.shape == (n, 12 * 40) and path.number.shape == (n, 3)
    assert set(path.record.tolist()) == set(range(12))
    first = path.level[path.record == 0]
    level = truth.level[dataset.ids[0]]
    peaks = dataset[0]["r_peaks"].numpy()
    sinus = peaks[~truth.ectopic[dataset.ids[0]][peaks]]
    assert len(first) <= len(sinus) and np.isin(np.round(first, 6), np.round(level[sinus], 6)).all()
    everything = Truth(truth.level, {name: np.zeros_like(marked) for name, marked in truth.ectopic.items()})
    assert len(drift.follow(model, dataset, everything, LEADS).level) > n


def test_a_beat_is_set_beside_the_state_of_its_own_chunk(planted):
    model = causal_model(chunk_size=3)
    dataset = records_of(planted, model)
    truth = read_truth(planted)
    none = Truth(truth.level, {name: np.zeros_like(marked) for name, marked in truth.ectopic.items()})
    w = drift.follow(model, dataset, none, LEADS)
    own = w.w[w.record == 0]
    assert (own[0] == own[2]).all() and (own[2] != own[3]).any()


def test_records_that_nothing_was_planted_in_are_the_users_error(planted):
    model = causal_model()
    with pytest.raises(UserError, match="truth: expected what was planted in sim"):
        drift.follow(model, records_of(planted, model), Truth({}, {}), LEADS)


def test_a_model_that_sees_later_beats_is_refused():
    drift.check_causal(causal_model())
    torch.manual_seed(0)
    with pytest.raises(UserError, match="expected causal"):
        drift.check_causal(ECGGenModel(small_config()))


def test_where_w_does_not_move_its_own_rendering_is_that_of_the_mean(planted):
    model = causal_model(estimator="prior")
    found = drift.rendering_sums(model, records_of(planted, model), read_truth(planted), ("I", "II", "V2"))
    assert set(found) == {drift.WHOLE, drift.SEGMENT}
    for sums in found.values():
        assert sums[drift.OWN].shape == (12, 5, metrics.N_SUMS)
        for less in drift.gain(sums, 20)["r2"]["less mean W"].values():
            assert less["value"] == pytest.approx(0, abs=1e-5)
    count = {where: sums[drift.OWN][:, 0, 0].sum() for where, sums in found.items()}
    assert 0.05 < count[drift.SEGMENT] / count[drift.WHOLE] < 0.4


def test_a_beat_is_rendered_with_the_w_of_the_chunk_before_it_and_ectopic_beats_are_not_judged(planted):
    model = causal_model(chunk_size=1)
    dataset, truth = records_of(planted, model), read_truth(planted)
    calm = {name: np.zeros_like(marked) for name, marked in truth.ectopic.items()}
    found = drift.rendering_sums(model, dataset, Truth(truth.level, calm), LEADS)[drift.WHOLE]
    item = dataset.batch([0])
    with torch.no_grad():
        out = model.forward_gen(item["ecg"], item["lead_mask"])
    n = out["meta"]["beat_mask"].shape[1]
    assert found[drift.OWN][0, 0, 0] == (n - 1) * 40, "all but the first, which has none before it"
    drawn, beats = out["E_hat_seq"].double(), out["meta"]["beats"].transpose(1, 2).double()
    for what, rendered in ((drift.OWN, drawn[:, 1:]), (drift.BEFORE, drawn[:, :-1])):
        expected = (rendered * beats[:, 1:]).sum((0, 1, 3)).numpy()
        np.testing.assert_allclose(found[what][0, :, 5], expected, rtol=1e-5)
    fewer = drift.rendering_sums(model, dataset, truth, LEADS)[drift.WHOLE]
    assert fewer[drift.OWN][:, 0, 0].sum() < found[drift.OWN][:, 0, 0].sum()


def test_the_gain_of_a_perfect_rendering_leaves_zero_out():
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(20, 2, 3, 30, generator=generator)
    off = y + 0.5 * torch.randn(y.shape, generator=generator)
    present = torch.ones(20, 2, 3, dtype=torch.bool)
    good, bad = metrics.beat_sums(y, y, present), metrics.beat_sums(off, y, present)
    sums = {drift.OWN: good, drift.BEFORE: bad, drift.MEAN: bad}
    found = drift.gain(sums, 100)
    assert found["r2"][drift.OWN] == pytest.approx(1) and found["rmse"][drift.MEAN] == pytest.approx(0.5, rel=0.05)
    r2, error = (found[name]["less mean W"] for name in ("r2", "rmse"))
    assert r2[drift.OWN]["interval"][0] > 0.1 and error[drift.OWN]["interval"][1] < -0.4
    assert r2[drift.BEFORE] == {"value": 0.0, "interval": [0.0, 0.0]}


def benchmark(*words):
    command = [sys.executable, str(REPO / "benchmarks" / "drift.py"), *map(str, words)]
    return subprocess.run(
        command, cwd=REPO, env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True, text=True
    )


def test_the_benchmark_refuses_a_model_that_sees_later_beats_before_it_plants_anything(tmp_path):
    torch.manual_seed(0)
    save_model(tmp_path / "model.safetensors", ECGGenModel(small_config()))
    done = benchmark("--model", tmp_path, "--folder", tmp_path / "out")
    assert done.returncode != 0 and done.stderr.strip().startswith("error: model.encoder.attention: expected causal")
    assert len(done.stderr.strip().splitlines()) == 1 and not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_the_benchmark_prints_both_tables(tmp_path):
    small = ("model.encoder.layers=1", "model.fast_state.size=24", "model.tokenizer.beat_len=40", "train.batch_size=8")
    words = [word for setting in small for word in ("--set", setting)]
    done = benchmark("--records", 40, "--steps", 3, "--resamples", 20, "--folder", tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "| W_c in hearts that stand still |" in done.stdout and "| drift, I,II,V2, ST segment |" in done.stdout
    card = json.loads((tmp_path / "drift.json").read_text())
    assert card["read_outs"]["W_c"]["records"] == 4 and card["planting"]["records"] == 40
