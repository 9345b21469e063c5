"""Which of some trained candidates is best, and whether that is more than noise.

Two kinds of luck stand between two candidates: which records they are judged on, and which seeds they were trained
with. Both are resampled. The records are the same for all candidates, so that a difference is compared record by record
(paired); the seeds of two candidates have nothing to do with each other.

Nothing is judged here: everything follows from the six sums a record and lead of `ecggen.metrics`, which a trial has
kept for the whole validation split. `ecggen.leaderboard` has the file that the standings are kept in.

Letters: R records, L leads, n seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from ecggen.configfile import did_you_mean
from ecggen.errors import UserError
from ecggen.eval import VALIDATION, validation_figures
from ecggen.leaderboard import Standing
from ecggen.metrics import METRICS, resampled_sums
from search.verdict import FRESH_SEEDS, UNPROVED, run_names

CONFIDENCE = 0.95
_SEED_STREAM = 1  # apart from the stream that draws the records
_NOWHERE = (math.nan, math.nan)

Sides = tuple[np.ndarray, np.ndarray]  # of two candidates


@dataclass
class Candidate:
    """One run, trained with several fresh seeds.

    Attributes:
        runid, hash, step: whose figures these are.
        seeds: of the trainings.
        sums: one a seed, as `ecggen.eval.validation_sums` gives them: `hidden` [R, L, 6] and `all` [R', 12, 6].
        folder: the promoted result folder, relative to the results folder; empty where there is none.
        fresh: the seeds had no part in choosing the run. The figure of a trial that was chosen for being the best is
            partly luck, and proves nothing.
    """

    runid: str
    hash: str
    step: int
    seeds: list[int]
    sums: list[dict[str, np.ndarray]]
    folder: str = ""
    fresh: bool = True


def paired_interval(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], metric: str, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean over seeds of one candidate's metric minus that of another.

    The difference, plus and minus Student's t times the standard deviation of `bootstrap_differences`. With three seeds
    a standard deviation is itself uncertain, so t has the degrees of freedom of Welch and Satterthwaite (Welch 1947,
    Biometrika 34:28): n - 1 for each side's seeds, R - 1 for the records.

    Measured on 1500 simulated pairs of equal candidates (150 records, three seeds), the interval holds 0 in 94 to 96 %,
    whether luck lies in the seeds, in the records or in both; percentiles of the same bootstrap do in 86 % where it
    lies in the seeds alone. Where seeds scatter each record by itself it is too wide and holds 0 in 99 %: that scatter
    moves the mean of a seed and that of a record, and is counted in both.

    With one seed on a side, that side's seed noise is not in the interval, and `rank` gives no verdict by it.

    Args:
        first, second: sums [R, L, 6] of each seed, on the same records.
        metric: one of `metrics.METRICS`.
        resamples: of the bootstrap.
        seed: equal seeds give equal intervals.

    Returns:
        low and high end; NaN where there is nothing to judge.

    Raises:
        UserError: an unknown metric, or sides that were judged on different records.
    """
    _check_sides(first, second, metric)
    if len(first[0]) == 0:
        return _NOWHERE
    figures = _figures(first, metric), _figures(second, metric)
    return interval_over_seeds(figures, _resampled(first, second, metric, resamples, seed), len(first[0]), seed)


def interval_over_seeds(figures: Sides, resampled: Sides, records: int, seed: int = 0) -> tuple[float, float]:
    """`paired_interval` for figures of any kind.

    Args:
        figures: of each seed over all records, [n] a side.
        resampled: the same over resampled records, [resamples, n] a side; both sides and all seeds see the same ones.
        records: R, of which the resamples were drawn.
        seed: equal seeds give equal intervals.

    Returns:
        low and high end; NaN where there is nothing to judge.
    """
    differences = _differences(resampled, seed)
    difference = float(figures[0].mean() - figures[1].mean())
    finite = differences[np.isfinite(differences)]
    if not math.isfinite(difference) or not len(finite):
        return _NOWHERE
    reach = _student(figures, float(finite.var()), records) * float(finite.std())
    return difference - reach, difference + reach


def bootstrap_differences(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], metric: str, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Resampled differences of two candidates' means over seeds: [resamples], NaN where a resample has no figure.

    Two levels. Records are drawn R of R, once for both sides and all seeds. Seeds are drawn for each side apart, n - 1
    of n with replacement: drawing n would give the mean over seeds only (n - 1) / n of its variance, a third too little
    with three seeds (Rao and Wu 1988, J Am Stat Assoc 83:231, the rescaling bootstrap with m = n - 1, where the
    rescaling factor is one). With one seed nothing is drawn.

    Arguments and errors as for `paired_interval`.
    """
    _check_sides(first, second, metric)
    if len(first[0]) == 0:
        return np.full(resamples, np.nan)
    return _differences(_resampled(first, second, metric, resamples, seed), seed)


def _resampled(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], metric: str, resamples: int, seed: int
) -> Sides:
    """Figures of both sides' seeds, [resamples, n] each."""
    stacked = np.stack([*first, *second], axis=1)  # [R, n + n, L, 6]: every seed sees the same resamples
    figures = METRICS[metric](resampled_sums(stacked, resamples, seed))  # [resamples, n + n]
    return figures[:, : len(first)], figures[:, len(first) :]


def _differences(resampled: Sides, seed: int) -> np.ndarray:
    rng = np.random.default_rng((seed, _SEED_STREAM))
    ours, theirs = (_mean_over_drawn(side, rng) for side in resampled)
    return ours - theirs


def _mean_over_drawn(figures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[resamples, n] -> [resamples]: mean over n - 1 seeds, drawn anew for each resample."""
    n = figures.shape[1]
    if n == 1:
        return figures[:, 0]
    drawn = rng.integers(0, n, size=(len(figures), n - 1))
    return np.take_along_axis(figures, drawn, axis=1).mean(1)


def _student(figures: Sequence[np.ndarray], variance: float, records: int) -> float:
    """Student's t of the interval's ends, for a variance made of that of two means over seeds and that of records."""
    parts = [(float(side.var(ddof=1)) / len(side), len(side) - 1) for side in figures if len(side) > 1]
    of_seeds = sum(part for part, _ in parts)
    parts.append((max(variance - of_seeds, 0.0), max(records - 1, 1)))
    total = sum(part for part, _ in parts)
    uncertainty = sum(part**2 / freedom for part, freedom in parts)
    return float(scipy.special.stdtrit(total**2 / uncertainty, 0.5 + CONFIDENCE / 2)) if uncertainty > 0 else 0.0


def _figures(side: Sequence[np.ndarray], metric: str) -> np.ndarray:
    """The metric of each seed, pooled over all records: [n]; NaN where there are none."""
    return np.array([float(METRICS[metric](sums.sum(0))) if len(sums) else math.nan for sums in side])


def _check_sides(first: Sequence[np.ndarray], second: Sequence[np.ndarray], metric: str) -> None:
    if metric not in METRICS:
        raise UserError(f"metric: got {metric[:40]!r}, allowed: {', '.join(METRICS)}; choose one of them")
    assert first and second, f"sums: expected one seed a side at least, got {len(first)} and {len(second)}"
    shapes = sorted({sums.shape for sums in (*first, *second)})
    if len(shapes) > 1:
        raise UserError(
            f"sums: expected all seeds judged on the same records and leads, got {shapes[0]} and {shapes[1]}; "
            "judge them on the same data"
        )


def rank(candidates: Sequence[Candidate], metric: str, resamples: int = 1000) -> list[Standing]:
    """The candidates in the order of their mean over seeds, each compared with the winner.

    The winner is compared with the runner-up. A candidate without a figure stands last and is compared with nothing.
    Where a side is not proved its seed noise is not in the interval: the verdict is `unproved`.

    Args:
        candidates: judged on the same records.
        metric: one of `ecggen.eval.VALIDATION`; larger is better.
        resamples: of each interval's bootstrap.

    Raises:
        UserError: an unknown metric, or candidates that were judged on different records.
    """
    if metric not in VALIDATION:
        hint = did_you_mean(metric, VALIDATION)
        raise UserError(f"metric: got {metric[:40]!r}, allowed: {', '.join(VALIDATION)}; choose one of them.{hint}")
    part, name = VALIDATION[metric]
    alone = [_alone(candidate, metric) for candidate in candidates]
    # What no fresh seed stands behind was picked by the very figure it would be ranked by: it comes last.
    order = sorted(
        range(len(alone)), key=lambda at: (math.isnan(alone[at].mean), not alone[at].proved, -alone[at].mean)
    )
    standings = [replace(alone[at], rank=place) for place, at in enumerate(order, 1)]
    sums = [[seed[part] for seed in candidates[at].sums] for at in order]
    names = run_names(standings)
    for at, standing in enumerate(standings[1:], 1):
        if math.isnan(standing.mean):
            continue
        low, high = paired_interval(sums[at], sums[0], name, resamples)
        ours, theirs = ("loses", "wins") if high < 0 else ("tie", "tie")
        if not (standing.proved and standings[0].proved):
            ours = theirs = UNPROVED
        standings[at] = replace(standing, low=low, high=high, against=names[0], verdict=ours)
        if at == 1:  # the same comparison, seen from the other side
            standings[0] = replace(standings[0], low=-high, high=-low, against=names[1], verdict=theirs)
    return standings


def _alone(candidate: Candidate, metric: str) -> Standing:
    """A candidate's own figures, compared with nothing yet."""
    n = len(candidate.sums)
    assert n == len(candidate.seeds) > 0, f"{candidate.runid}: expected sums of each seed, got {n} of {candidate.seeds}"
    figures = [validation_figures(sums) for sums in candidate.sums]
    means = {name: float(np.mean([each[name] for each in figures])) for name in VALIDATION}
    return Standing(
        rank=1,
        runid=candidate.runid,
        hash=candidate.hash,
        step=candidate.step,
        metric=metric,
        mean=means[metric],
        sd=float(np.std([each[metric] for each in figures], ddof=1)) if n > 1 else math.nan,
        n=n,
        low=math.nan,
        high=math.nan,
        against="",
        verdict="alone",
        seeds=list(candidate.seeds),
        metrics=means,
        folder=candidate.folder,
        proved=candidate.fresh and n >= FRESH_SEEDS,
        repeats=n if candidate.fresh else 0,
    )
