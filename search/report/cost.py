"""What a search cost: time, steps, and what early stopping and reuse saved."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from search.report.facts import Facts, moment
from search.report.wording import count, duration, listed, number
from search.trialfile import FAILED, RESULT_FILE, REUSED, STATES, STOPPED, TRIAL_FILE, Trial

BY_ASHA = "ASHA"  # how the reason of a trial begins that was stopped for what it reached


@dataclass(frozen=True)
class Cost:
    """What was spent.

    Attributes:
        began, ended: of the search, local times; None where not known.
        training: seconds of all trainings, summed; those of reused ones are not in it.
        states: state -> number of trials, in the order of the ledger's states.
        repeats: the same of the finalists' repeats.
        steps, asked: optimizer steps that the search's own trials took, and would have taken in full.
        saved: of those, what ASHA saved.
        reused: trainings that were not done because equal ones were whole.
    """

    began: datetime | None
    ended: datetime | None
    training: float
    states: dict[str, int]
    repeats: dict[str, int]
    steps: int
    asked: int
    saved: int
    reused: int

    @property
    def wall(self) -> float | None:
        """Seconds from the beginning to the end, pauses in between included."""
        if self.began is None or self.ended is None or self.ended < self.began:
            return None
        return (self.ended - self.began).total_seconds()

    @property
    def at_once(self) -> float | None:
        """Trainings side by side on average; start, judging and pauses count as time without any."""
        wall = self.wall
        return self.training / wall if wall else None


def cost_of(facts: Facts) -> Cost:
    """What a search has cost so far."""
    trained = [trial for trial in facts.ledger if trial.status != REUSED]
    own = [trial for trial in facts.ledger.trials if trial.status != REUSED]
    stopped = [trial for trial in own if trial.status == STOPPED and trial.reason.startswith(BY_ASHA)]
    return Cost(
        began=moment(facts.order.began),
        ended=_ended(facts),
        training=sum(trial.seconds for trial in trained),
        states=_states(facts.ledger.trials),
        repeats=_states(facts.ledger.finalists),
        steps=sum(trial.step for trial in own),
        asked=sum(trial.steps for trial in own),
        saved=sum(trial.steps - trial.step for trial in stopped),
        reused=sum(trial.status == REUSED for trial in facts.ledger),
    )


def _states(trials: list[Trial]) -> dict[str, int]:
    found = Counter(trial.status for trial in trials)
    return {state: found[state] for state in STATES if found[state]}


def _ended(facts: Facts) -> datetime | None:
    """When the last trial was over: files know it, unless they were copied since; then the search's end does."""
    names = (TRIAL_FILE, RESULT_FILE)
    files = [facts.folder / trial.key / name for trial in facts.ledger for name in names]
    times = [file.stat().st_mtime for file in files if file.is_file()]
    last = datetime.fromtimestamp(max(times)).astimezone() if times else None
    known = [time for time in (last, facts.finished) if time is not None]
    return min(known, default=None)


def cost_rows(facts: Facts) -> list[tuple[str, str]]:
    """What was spent, as term and description."""
    cost = cost_of(facts)
    share = f", {100 * cost.saved / cost.asked:.0f} % of all" if cost.asked else ""
    rows = [
        ("Wall time", _wall(cost, facts)),
        ("Training time", f"{duration(cost.training)}, all trainings summed"),
        ("Side by side", _at_once(cost)),
        ("Trials", f"{_said(cost.states)} of {facts.order.trials} asked for"),
        ("Repeats with fresh seeds", _said(cost.repeats) or "none"),
        ("Steps of the trials", f"{cost.steps:,} of {cost.asked:,} in full"),
        ("Saved by early stopping", f"{count(cost.saved, 'step')}{share}" if facts.order.asha else "off"),
        ("Not trained again", count(cost.reused, "equal training", "equal trainings") + " reused"),
    ]
    return [(term, text) for term, text in rows if text]


def _wall(cost: Cost, facts: Facts) -> str:
    began = f"begun {facts.order.began[:16].replace('T', ' ')}"
    if cost.wall is None:
        return f"not known, {began}"
    return f"{duration(cost.wall)} {'' if facts.finished else 'so far, '}from begin to last trial, {began}".replace(
        "  ", " "
    )


def _at_once(cost: Cost) -> str:
    return f"{number(cost.at_once, 1)} trainings on average, pauses included" if cost.at_once else "not known"


def _said(states: dict[str, int]) -> str:
    return listed([f"{amount} {state}" for state, amount in states.items()])


def cost_line(facts: Facts) -> str:
    """What was spent, in one sentence."""
    cost = cost_of(facts)
    parts = [f"{count(sum(cost.states.values()), 'trial')} ({_said(cost.states)})" if cost.states else "no trial yet"]
    if cost.repeats:
        parts.append(f"{count(sum(cost.repeats.values()), 'repeat')} with fresh seeds")
    time = f"{duration(cost.training)} of training"
    if cost.wall is not None:
        time += f" in {duration(cost.wall)}"
    return f"{listed(parts)}: {time}."


def troubles(facts: Facts) -> list[tuple[str, str, list[Trial]]]:
    """Failed and stopped trials, grouped: state, reason, which; failures first, then the largest group."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in facts.ledger:
        if trial.status in (FAILED, STOPPED):
            groups.setdefault((trial.status, trial.reason or "no reason was kept"), []).append(trial)
    ordered = sorted(groups, key=lambda key: (key[0] != FAILED, -len(groups[key]), key[1]))
    return [(state, reason, groups[state, reason]) for state, reason in ordered]
