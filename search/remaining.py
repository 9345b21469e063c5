"""How long a search still has to go, from what its trainings have cost so far. A guess, and said as one.

Nothing is guessed before there is a basis: a step that was trained and, under ASHA, a trial that is over.
"""

from collections.abc import Sequence
from statistics import fmean

from search.ledger import Ledger
from search.order import Order
from search.trialfile import LATE, REUSED, RUNNING, STOPPED, WHOLE, Trial


def seconds_left(ledger: Ledger, order: Order, at_once: int, to_come: int, proving: bool) -> float | None:
    """Seconds until the last training is over; None where there is nothing to guess from.

    Args:
        at_once: trainings side by side.
        to_come: trials that are still to begin.
        proving: whether the finalists are chosen and their repeats in the ledger.
    """
    cost, stages = seconds_a_step(ledger), steps_left(ledger, order, to_come, proving)
    if cost is None or stages is None:
        return None
    return cost * sum(_side_by_side(steps, at_once) for steps in stages)


def seconds_a_step(ledger: Ledger) -> float | None:
    """What a step has cost on average; None before the first one."""
    trained = [trial for trial in ledger if trial.status != REUSED]
    steps = sum(trial.step for trial in trained)
    return sum(trial.seconds for trial in trained) / steps if steps else None


def steps_left(ledger: Ledger, order: Order, to_come: int, proving: bool) -> tuple[list[float], list[float]] | None:
    """Steps of every training that is left: those of the search, then those of the proof. None: no basis yet."""
    budget = order.base.train.steps
    running = [trial for trial in ledger.trials if trial.status == RUNNING]
    ends = [trial.step for trial in ledger.trials if _ended_by_itself(trial)] if order.asha else [budget]
    if to_come and not ends:
        return None
    coming = [_end(trial, ends, budget) for trial in running]
    # Trials that ASHA stops are over first. To look at these alone would promise too early an end.
    seen = [*ends, *(end for end, trial in zip(coming, running, strict=True) if trial.step)]
    search = [end - trial.step for end, trial in zip(coming, running, strict=True)]
    search += [fmean(seen)] * to_come if to_come else []
    if proving:
        return search, [float(budget - one.step) for one in ledger.finalists if one.status == RUNNING]
    whole = sum(one.status in WHOLE for one in ledger.finalists)
    repeats = min(order.finalists, order.trials) * order.seeds - whole
    return search, [float(budget)] * max(0, repeats)


def _ended_by_itself(trial: Trial) -> bool:
    """Whether how far a trial came says how far others may come."""
    return trial.status in WHOLE or (trial.status == STOPPED and not trial.reason.startswith(LATE))


def _end(trial: Trial, ends: Sequence[int], budget: int) -> float:
    """The step at which a running trial is likely to end: as those did that came further, else its budget."""
    further = [end for end in ends if end > trial.step]
    return fmean(further) if further and not trial.full else float(budget)


def _side_by_side(steps: Sequence[float], at_once: int) -> float:
    """Steps that pass until all trainings are over: none is faster for having company."""
    return max(sum(steps) / at_once, max(steps)) if steps else 0.0
