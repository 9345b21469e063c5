"""Proof: the best trials are trained again with fresh seeds, compared on every validation record, and kept.

A trial was picked because it came out on top, partly by luck. So its own figure is not used to judge it: finalists are
compared by repeats with seeds that had no part in the choice.
"""

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ecggen.checkpoint import MODEL_FILE, load_model
from ecggen.config import DataConfig, RunConfig
from ecggen.errors import UserError
from ecggen.eval import VALIDATION_SETS
from ecggen.leaderboard import LEADERBOARD_FILE, Standing, merge_leaderboard, write_leaderboard
from ecggen.leads import scored_leads
from ecggen.metrics import N_SUMS
from ecggen.npy import load_arrays
from ecggen.runid import run_hash
from ecggen.runs import kept_folder
from search.compare import Candidate, rank
from search.keepers import Keepers
from search.ledger import Ledger, ranked
from search.order import Order
from search.promote import Job, promote_all
from search.supply import reuse
from search.trial import judge_model
from search.trialfile import JUDGED_FILE, RESULT_FILE, RUNNING, STOPPED, WHOLE, Trial
from search.verdict import run_names

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a search ends with: the standings, best first, and names of the runs that have no result folder."""

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
    """The finalists with what their repeats reached; one without any is judged by the trial itself, unproved.

    Raises UserError where one was judged on other records than the rest.
    """
    found: list[Candidate] = []
    by_place: dict[Path, dict[str, np.ndarray]] = {}
    for trial in chosen:
        run = ledger.run_of(trial)
        hashes = [run_hash(with_seed(run, trial.seed + seed)) for seed in range(1, seeds + 1)]
        whole = [other for each in hashes if (other := ledger.equal(each)) is not None and other.status in WHOLE]
        judged = whole or [trial]
        sums = [judged_sums(ledger, one) for one in judged]
        by_place |= {ledger.folder / one.key / JUDGED_FILE: each for one, each in zip(judged, sums, strict=True)}
        seeds_of = [one.seed for one in judged]
        found.append(Candidate(trial.runid, trial.hash, trial.steps, seeds_of, sums, fresh=bool(whole)))
    _check_records(by_place)
    return found


def _check_records(by_place: Mapping[Path, dict[str, np.ndarray]]) -> None:
    records = {place: tuple(len(sums[part]) for part in VALIDATION_SETS) for place, sums in by_place.items()}
    most = Counter(records.values()).most_common(1)[0][0] if records else ()
    for place, ours in records.items():
        if ours != most:
            parts = " and ".join(VALIDATION_SETS)
            raise UserError(
                f"{place}: expected sums of {_numbers(most)} records ({parts}) as the other finalists have, "
                f"got {_numbers(ours)}; remove the file, and it is judged anew"
            )


def _numbers(counts: tuple[int, ...]) -> str:
    return " and ".join(map(str, counts))


def judged_sums(ledger: Ledger, trial: Trial) -> dict[str, np.ndarray]:
    """The sums of a trial over the whole validation split; judged now where that was not done.

    Raises UserError where they have to be made and cannot be: the model or the recordings are gone.
    """
    place = ledger.folder / trial.key
    path = place / JUDGED_FILE
    try:
        return read_sums(path)
    except (OSError, ValueError):  # none there, a damaged one, or another's
        judge_model(ledger.run_of(trial), load_model(place / MODEL_FILE), path)
    return read_sums(path)


def read_sums(path: Path) -> dict[str, np.ndarray]:
    """The sums that `judge_model` wrote. Raises OSError where there are none, ValueError where these are others."""
    sums = load_arrays(path)
    for part, visible in VALIDATION_SETS.items():
        expected = (len(scored_leads(visible)), N_SUMS)
        got = sums.get(part)
        if got is None or got.ndim != 3 or got.shape[1:] != expected or got.dtype.kind != "f":
            what = "none" if got is None else f"{got.dtype} {list(got.shape)}"
            raise ValueError(f"{part}: expected numbers [R, {expected[0]}, {expected[1]}], got {what}")
    return {part: sums[part] for part in VALIDATION_SETS}


def conclude(order: Order, ledger: Ledger, results: Path, keepers: Keepers, say: Say) -> Outcome:
    """Rank the finalists, keep them in run-id step folders, and write the leaderboards.

    Everything here can be made again from the trials' folders.
    """
    chosen = finalists(ledger, order.metric, kept_at_most(order))
    standings = rank(candidates(ledger, chosen, order.seeds), order.metric, order.base.eval.bootstrap)
    places = {trial.hash: ledger.folder / trial.key for trial in chosen}
    names = _keep(standings, places, results, keepers, say)
    standings = [dataclasses.replace(one, folder=name) for one, name in zip(standings, names, strict=True)]
    write_leaderboard(ledger.folder / LEADERBOARD_FILE, standings)
    if standings:
        merge_leaderboard(results, order.name, data_words(order), ended(ledger), standings)
    lost = tuple(name for one, name in zip(standings, run_names(standings), strict=True) if not one.folder)
    return Outcome(tuple(standings), lost)


def kept_at_most(order: Order) -> int:
    """How many trials a search ends with: its finalists, or the best one where nothing is to be proved."""
    return max(1, order.finalists)


def certain(ledger: Ledger, chosen: Sequence[Trial], results: Path) -> list[Job]:
    """What of the finalists will have to be promoted, however their repeats come out."""
    return [
        (ledger.folder / trial.key, trial.runid)
        for trial in chosen
        if kept_folder(results, trial.runid, trial.steps, trial.hash) is None
    ]


def _keep(
    standings: Sequence[Standing], places: Mapping[str, Path], results: Path, keepers: Keepers, say: Say
) -> list[str]:
    """Names of the standings' result folders, made where they are not there; empty where that failed.

    A folder that is there counts, whatever has become of the recordings and of the trial since.

    Args:
        standings: best first.
        places: hash -> folder of the trial.
    """
    kept = {one.hash: kept_folder(results, one.runid, one.step, one.hash) for one in standings}
    missing = [one for one in standings if kept[one.hash] is None]
    if missing:
        say(f"keeping the best {len(missing)}: heads, evaluation cards, figures")
    made = promote_all([(places[one.hash], one.runid) for one in missing], results, keepers, say)
    kept |= {one.hash: folder for one, folder in zip(missing, made, strict=True)}
    return [folder.name if (folder := kept[one.hash]) else "" for one in standings]


def ended(ledger: Ledger) -> str:
    """ISO time at which the last trial was whole: the search itself may be concluded again whenever one likes."""
    places = [ledger.folder / trial.key for trial in ledger]
    times = [(place / RESULT_FILE).stat().st_mtime for place in places if (place / RESULT_FILE).is_file()]
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(max(times, default=time.time())))


def data_words(order: Order) -> str:
    """Source and data in a few words, to tell leaderboards of unlike data apart: `ptbxl my-folder c1f0a2, folds 9`.

    The digits are the first of the cache's hash, which knows files, settings and the code that reads them. Which folds
    validate it does not know; sources whose records need not have folds show them where they were chosen.
    """
    data = order.base.data
    digits = order.data.rpartition("-")[2][:6]
    if data.source == "simulator":
        return f"simulator {data.simulator.records} seed {data.simulator.seed} {digits}".strip()
    words = " ".join(word for word in (data.source, Path(data.root).name if data.root else "", digits) if word)
    folded = data.source == "ptbxl" or data.val_folds != DataConfig().val_folds
    return f"{words}, folds {' '.join(map(str, data.val_folds))}" if folded else words
