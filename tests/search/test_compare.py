"""Intervals between candidates on cases whose answer is known, and the order of a leaderboard."""

import math
import time

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import ttest_1samp, ttest_ind

from ecggen.eval import VALIDATION
from ecggen.metrics import METRICS, interval, resampled_sums
from search.compare import Candidate, bootstrap_differences, interval_over_seeds, paired_interval, rank
from search.verdict import run_names
from tests.user_fault import fault_of

RECORDS, SAMPLES = 150, 100


def sums_of(rho, leads=2):
    """Sums [R, L, 6] of records whose r is rho [R]; pooled over records, r is the mean of rho."""
    sums = np.zeros((len(rho), leads, 6))
    sums[..., [0, 3, 4]] = SAMPLES
    sums[..., 5] = SAMPLES * np.asarray(rho)[:, None]
    return sums


def drawn(rng, common, of_seeds=0.0, of_records=0.0, level=0.5, n=3):
    """Sums of a candidate's n seeds: luck of each seed, and what this candidate makes of each record."""
    own = level + common + rng.normal(0, of_records, len(common))
    return [sums_of(own + rng.normal(0, of_seeds)) for _ in range(n)]


def candidate(runid, sides, **changes):
    """A candidate whose two sets of sums are the same."""
    sums = [{"hidden": side, "all": side} for side in sides]
    return Candidate(runid, "ab" * 32, 6, list(range(len(sides))), sums, **changes)


@pytest.fixture
def common():
    """How hard each record is, for whoever renders it."""
    return np.random.default_rng(1).normal(0, 0.1, RECORDS)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("metric", list(METRICS))
def test_nothing_is_better_than_itself(common, metric, n):
    side = drawn(np.random.default_rng(0), common, of_seeds=0.01, n=n)
    low, high = paired_interval(side, side, metric)
    assert low <= 0 <= high


def test_a_shift_beyond_the_noise_is_seen_and_one_within_is_not(common):
    first, second = (drawn(np.random.default_rng(at), common, 0.001, 0.01) for at in (1, 2))
    better = [sums_of(side[:, 0, 5] / SAMPLES + 0.05) for side in first]
    low, high = paired_interval(better, second, "r")
    assert 0 < low < 0.05 < high
    high, low = (-end for end in paired_interval(second, better, "r"))
    assert 0 < low < 0.05 < high
    low, high = paired_interval(first, second, "r")
    assert low < 0 < high


def test_what_all_candidates_find_hard_is_no_noise(common):
    """Paired: records differ a hundred times more than the candidates, and equally for both."""
    low, high = paired_interval([sums_of(0.5 + common)], [sums_of(0.499 + common)], "r")
    assert low == pytest.approx(0.001) and high == pytest.approx(0.001)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_seed_noise_enters_with_the_variance_of_a_mean_over_seeds(n):
    levels = np.random.default_rng(3).normal(0.5, 0.02, n)
    first = [sums_of(np.full(RECORDS, level)) for level in levels]  # all records alike
    second = [sums_of(np.full(RECORDS, 0.5))]
    spread = bootstrap_differences(first, second, "r", resamples=4000).std()
    assert spread == pytest.approx(levels.std(ddof=1) / math.sqrt(n), rel=0.1)
    twice = bootstrap_differences(first, first[::-1], "r", resamples=4000).std()
    assert twice == pytest.approx(math.sqrt(2 / n) * levels.std(ddof=1), rel=0.1)


@pytest.mark.parametrize("shares", [(0.01, 0.0), (0.0, 0.1), (0.01, 0.07)])
def test_equal_candidates_are_a_tie(shares):
    """Coverage: luck of seeds alone, of records alone, of both in equal parts. `paired_interval` has the figures."""
    rng = np.random.default_rng(7)
    ties = 0
    for _ in range(200):
        common = rng.normal(0, 0.1, RECORDS)
        pair = [candidate(name, drawn(rng, common, *shares)) for name in ("m1s1k1", "m2s1k1")]
        standings = rank(pair, "val_r", resamples=300)
        assert len({standing.verdict == "tie" for standing in standings}) == 1
        ties += standings[0].verdict == "tie"
    assert ties >= 180, f"luck of seeds and records {shares}: {ties} ties of 200"


def test_with_one_seed_only_the_records_are_in_the_interval(common):
    first, second = ([sums_of(0.5 + common + shift)] for shift in (0.001, 0.0))
    assert bootstrap_differences(first, second, "r").std() < 1e-12


def looked_at(side, metric):
    """Figures of a side's seeds over all records [n] and over resampled ones [resamples, n], each seed by itself."""
    whole = np.array([float(METRICS[metric](sums.sum(0))) for sums in side])
    return whole, np.stack([METRICS[metric](resampled_sums(sums, 1000)) for sums in side], 1)


@pytest.mark.parametrize("n", [1, 3])
def test_an_interval_of_figures_is_the_one_of_sums(common, n):
    """So what has no sums, an area under a curve for instance, is compared alike."""
    first, second = (drawn(np.random.default_rng(at), common, 0.01, 0.05, n=n) for at in (1, 2))
    figures, resampled = zip(*(looked_at(side, "r") for side in (first, second)), strict=True)
    assert interval_over_seeds(figures, resampled, RECORDS) == pytest.approx(paired_interval(first, second, "r"))


def test_with_one_seed_a_side_it_is_the_paired_bootstrap_over_records(common):
    first, second = (drawn(np.random.default_rng(at), common, of_records=0.05, n=1) for at in (1, 2))
    figures, resampled = zip(*(looked_at(side, "r") for side in (first, second)), strict=True)
    differences = (resampled[0] - resampled[1])[:, 0]
    expected = (figures[0] - figures[1]) + stdtrit(RECORDS - 1, [0.025, 0.975]) * differences.std()
    assert interval_over_seeds(figures, resampled, RECORDS) == pytest.approx(tuple(expected))
    assert interval_over_seeds(figures, resampled, RECORDS) == pytest.approx(
        interval(differences), abs=0.1 * (expected[1] - expected[0])
    )


@pytest.mark.parametrize("sizes", [(3, 3), (3, 5), (2, 1)])
def test_where_records_are_certain_it_is_the_interval_of_welch(sizes):
    rng = np.random.default_rng(5)
    sides = [rng.normal(0.5, 0.01, n) for n in sizes]
    resampled = [np.tile(side, (20000, 1)) for side in sides]  # the same in every resample of the records
    low, high = interval_over_seeds(tuple(sides), tuple(resampled), RECORDS)
    if sizes[1] == 1:  # one that is known for sure
        welch = ttest_1samp(sides[0], sides[1][0]).confidence_interval() - sides[1][0]
    else:
        welch = ttest_ind(*sides, equal_var=False).confidence_interval()
    assert (low, high) == pytest.approx(tuple(welch), abs=0.02 * (high - low))


def test_equal_seeds_give_equal_intervals(common):
    first, second = (drawn(np.random.default_rng(at), common, 0.01, 0.05) for at in (1, 2))
    assert paired_interval(first, second, "r2", seed=5) == paired_interval(first, second, "r2", seed=5)
    assert paired_interval(first, second, "r2", seed=5) != paired_interval(first, second, "r2", seed=6)


def test_records_without_a_lead_are_left_to_the_metric(common):
    side = sums_of(0.5 + common)
    gone = side.copy()
    gone[:, 1] = 0.0  # no record has the second lead
    assert paired_interval([gone], [side], "r") == pytest.approx((0.0, 0.0), abs=1e-12)
    gone[:40, 0] = 0.0
    assert all(math.isfinite(end) for end in paired_interval([gone], [side], "r"))


def test_two_thousand_records_take_less_than_two_seconds():
    rng = np.random.default_rng(0)
    first, second = ([rng.uniform(0.5, 1, (2200, 5, 6)) for _ in range(3)] for _ in range(2))
    started = time.process_time()
    paired_interval(first, second, "r", resamples=1000)
    assert time.process_time() - started < 2


def test_where_nothing_was_judged_there_is_no_interval():
    assert all(math.isnan(end) for end in paired_interval([np.zeros((0, 5, 6))], [np.zeros((0, 5, 6))], "r2"))


def test_faults_are_one_line(common):
    side = [sums_of(common)]
    assert "allowed: r, r2" in fault_of(paired_interval, side, side, "r3")
    assert "same records" in fault_of(paired_interval, side, [sums_of(common[1:])], "r")
    assert "Did you mean val_hidden_r" in fault_of(rank, [candidate("m1s1k1", side)], "val_hiden_r")


def test_standings_are_in_order_and_say_what_is_proved(common):
    rng = np.random.default_rng(4)
    levels = {"m1s1k1": 0.3, "m2s1k1": 0.6, "m3s1k1": 0.5999}
    found = [candidate(name, drawn(rng, common, 0.005, 0.01, level)) for name, level in levels.items()]
    found[1].folder = "m2s1k1_step6"
    found += [candidate("m4s1k1", [np.zeros((RECORDS, 2, 6))] * 3), candidate("m5s1k1", drawn(rng, common, n=1))]
    standings = rank(found, "val_hidden_r", resamples=200)
    by_id = {standing.runid: standing for standing in standings}
    assert [s.rank for s in standings] == [1, 2, 3, 4, 5] and standings[-1].runid == "m4s1k1"
    top, second = standings[:2]
    assert {top.runid, second.runid} == {"m2s1k1", "m3s1k1"}
    assert (top.against, second.against, top.verdict, second.verdict) == (second.runid, top.runid, "tie", "tie")
    assert (top.low, top.high) == (-second.high, -second.low) and top.low < top.mean - second.mean < top.high
    low = by_id["m1s1k1"]
    assert low.verdict == "loses" and low.against == top.runid and low.high < 0
    assert by_id["m2s1k1"].folder == "m2s1k1_step6" and by_id["m2s1k1"].proved and by_id["m2s1k1"].n == 3
    assert not by_id["m5s1k1"].proved and math.isnan(by_id["m5s1k1"].sd)
    assert by_id["m4s1k1"].verdict == "alone" and by_id["m4s1k1"].against == "" and math.isnan(by_id["m4s1k1"].low)
    assert list(top.metrics) == list(VALIDATION) and top.metrics["val_hidden_r"] == top.mean
    figures = [METRICS["r"](seed["hidden"].sum(0)) for seed in found[0].sums]
    assert low.mean == pytest.approx(np.mean(figures)) and low.sd == pytest.approx(np.std(figures, ddof=1))


def test_a_clear_winner_wins_and_the_only_one_is_alone(common):
    rng = np.random.default_rng(4)
    better, worse = (
        candidate(name, drawn(rng, common, 0.001, 0.001, level)) for name, level in (("m1s1k1", 0.6), ("m2s1k1", 0.5))
    )
    assert [s.verdict for s in rank([worse, better], "val_r2", 200)] == ["wins", "loses"]
    (only,) = rank([better], "val_r2", 200)
    assert (only.verdict, only.against, only.rank) == ("alone", "", 1) and math.isnan(only.low)
    assert rank([], "val_r2") == []


@pytest.mark.parametrize(("seeds", "of_winner"), [((1, 1), False), ((3, 1), True), ((1, 3), True)])
def test_one_seed_on_a_side_is_no_verdict(common, seeds, of_winner):
    """Its seed noise is not in the interval, so that any difference would be one."""
    rng = np.random.default_rng(4)
    pair = [
        candidate(name, drawn(rng, common, 0.001, 0.001, level, n))
        for name, level, n in (("m1s1k1", 0.6, seeds[0]), ("m2s1k1", 0.5, seeds[1]))
    ]
    standings = rank(pair, "val_r", 200)
    assert [s.verdict for s in standings] == ["unproved", "unproved"] and standings[0].proved == of_winner
    assert [s.repeats for s in standings] == [s.n for s in standings]


def test_runs_of_one_id_are_told_apart(common):
    rng = np.random.default_rng(4)
    found = [candidate("m1s1k1", drawn(rng, common, 0.001, 0.001, level)) for level in (0.6, 0.5, 0.4)]
    found[1].hash, found[2].runid = "cd" * 32, "m2s1k1"
    standings = rank(found, "val_r", 200)
    assert [s.against for s in standings] == ["m1s1k1_cdcdcd", "m1s1k1_ababab", "m1s1k1_ababab"]
    assert run_names(standings) == ["m1s1k1_ababab", "m1s1k1_cdcdcd", "m2s1k1"]


def test_the_trial_that_was_chosen_for_its_figure_proves_nothing(common):
    (only,) = rank([candidate("m1s1k1", drawn(np.random.default_rng(0), common), fresh=False)], "val_r")
    assert not only.proved and only.repeats == 0
