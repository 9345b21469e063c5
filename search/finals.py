"""Proof: the best trials are trained again with fresh seeds, compared on every validation record, and kept.

A trial was picked because it came out on top, partly by luck. So its own figure is not used to judge it: finalists are
compared by repeats with seeds that had no part in the choice.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ecggen.checkpoint import MODEL_FILE, load_model
from ecggen.config import RunConfig
from ecggen.leaderboard import LEADERBOARD_FILE, Standing, merge_leaderboard, write_leaderboard
from ecggen.runid import run_hash
from search.compare import Candidate, rank
from search.ledger import JUDGED_FILE, RUNNING, STOPPED, WHOLE, Ledger, Trial, ranked
from search.order import Order
from search.promote import promote_all
from search.supply import reuse
from search.trial import judge_model

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a search ends with: the standings, best first, and what could not be kept."""

    standings: tuple[Standing, ...]
    lost: tuple[str, ...] = ()


def finalists(ledger: Ledger, metric: str, count: int) -> list[Trial]:
    """The best trials of the full budget, `count` of them or as many as there are."""
    return [trial for trial in ranked(ledger.whole(), metric) if _has_figure(trial, metric)][:count]


def _has_figure(trial: Trial, metric: str) -> bool:
    return math.isfinite(trial.metrics.get(metric, math.nan))


def repeats(ledger: Ledger, chosen: Sequence[Trial], seeds: int, elsewhere: Mapping[str, Path]) -> list[Trial]:
    """Put the finalists' repeats into the ledger; those that have to be trained, one seed of each after the other.

    Fresh seeds follow the search's own. An equal run that is whole, here or in an earlier search, is reused.
    """
    wanted = []
    for seed in range(1, seeds + 1):
        for trial in chosen:
            run = with_seed(ledger.run_of(trial), trial.seed + seed)
            repeat = ledger.equal(run_hash(run)) or _begin(ledger, run, trial, elsewhere)
            if repeat.status == STOPPED:  # its time was over, and now there is more
                ledger.revive(repeat)
            if repeat.status == RUNNING:
                wanted.append(repeat)
    return wanted


def _begin(ledger: Ledger, run: RunConfig, trial: Trial, elsewhere: Mapping[str, Path]) -> Trial:
    repeat = ledger.begin_finalist(run, trial.runid, trial.params)
    if repeat.hash in elsewhere:
        reuse(repeat, ledger, elsewhere[repeat.hash])
    return repeat


def with_seed(run: RunConfig, seed: int) -> RunConfig:
    """The same run with another seed."""
    return replace(run, train=replace(run.train, seed=seed))


def candidates(ledger: Ledger, chosen: Sequence[Trial], seeds: int) -> list[Candidate]:
    """The finalists with what their repeats reached; one without any is judged by the trial itself, unproved."""
    found = []
    for trial in chosen:
        run = ledger.run_of(trial)
        hashes = [run_hash(with_seed(run, trial.seed + seed)) for seed in range(1, seeds + 1)]
        whole = [other for each in hashes if (other := ledger.equal(each)) is not None and other.status in WHOLE]
        judged = whole or [trial]
        sums = [judged_sums(ledger, one) for one in judged]
        seeds_of = [one.seed for one in judged]
        found.append(Candidate(trial.runid, trial.hash, trial.steps, seeds_of, sums, fresh=bool(whole)))
    return found


def judged_sums(ledger: Ledger, trial: Trial) -> dict[str, np.ndarray]:
    """The sums of a trial over the whole validation split; judged now where that was not done."""
    place = ledger.folder / trial.key
    try:
        with np.load(place / JUDGED_FILE, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, BadZipFile):  # none there, or a damaged one
        judge_model(ledger.run_of(trial), load_model(place / MODEL_FILE), place / JUDGED_FILE)
    with np.load(place / JUDGED_FILE, allow_pickle=False) as arrays:
        return dict(arrays)


def conclude(order: Order, ledger: Ledger, results: Path, workers: int, say: Say) -> Outcome:
    """Rank the finalists, keep them in run-id step folders, and write the leaderboards.

    Everything here can be made again from the trials' folders.
    """
    chosen = finalists(ledger, order.metric, max(1, order.finalists))
    standings = rank(candidates(ledger, chosen, order.seeds), order.metric, order.base.eval.bootstrap)
    by_hash = {trial.hash: trial for trial in chosen}
    jobs = [(ledger.folder / by_hash[standing.hash].key, standing.runid) for standing in standings]
    if jobs:
        say(f"keeping the best {len(jobs)}: heads, evaluation cards, figures")
    kept = promote_all(jobs, results, workers, say)
    standings = [
        dataclasses.replace(standing, folder="" if folder is None else folder.name)
        for standing, folder in zip(standings, kept, strict=True)
    ]
    write_leaderboard(ledger.folder / LEADERBOARD_FILE, standings)
    if standings:
        when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        merge_leaderboard(results, order.name, data_words(order.base), when, standings)
    lost = tuple(s.runid for s, folder in zip(standings, kept, strict=True) if folder is None)
    return Outcome(tuple(standings), lost)


def data_words(run: RunConfig) -> str:
    """Source and data in a few words, to tell leaderboards of unlike data apart."""
    if run.data.source == "simulator":
        return f"simulator {run.data.simulator.records} seed {run.data.simulator.seed}"
    return f"{run.data.source} {Path(run.data.root).name if run.data.root else ''}".strip()
