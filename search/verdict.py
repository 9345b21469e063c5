"""What standings come to, in words: for the screen and for the page. Light, neither torch nor Ray is loaded here."""

from collections.abc import Sequence

from ecggen.leaderboard import Standing
from search.trialfile import WHOLE, Trial

FRESH_SEEDS = 2  # from so many on, a figure is more than one lucky training
UNPROVED = "unproved"  # the verdict where a side has fewer


def run_names(standings: Sequence[Standing]) -> list[str]:
    """Run id of each, with the first digits of the hash where several have it: spaces turn what no code covers."""
    ids = [standing.runid for standing in standings]
    return [f"{one.runid}_{one.hash[:6]}" if ids.count(one.runid) > 1 else one.runid for one in standings]


def shown_name(name: str) -> str:
    """A run's name as `run_names` gives it, to read: `m1s1k1`, or `m1s1k1 (ab12cd)` among several of that id."""
    runid, _, digits = name.partition("_")
    return f"{runid} ({digits})" if digits else runid


def verdict_line(standings: Sequence[Standing]) -> str:
    """What the leaderboard comes to, in a sentence."""
    best, name, other = standings[0], shown_name(run_names(standings)[0]), shown_name(standings[0].against)
    if not best.proved:
        return f"{name} is best so far; not proved: {_repeats(best)}"
    if best.verdict == "wins":
        return f"{name} wins: better than {other} by more than chance over seeds and records explains"
    if best.verdict == "tie":
        return f"{name} is ahead, but not by more than chance explains: a tie with {other}"
    if best.verdict == UNPROVED:
        return f"{name} is best so far; not proved to be better than {other}: of that one, {_repeats(standings[1])}"
    return f"{name} stands alone: there is no other to compare it with"


def verdict_word(one: Standing) -> str:
    """The verdict on one run, for a table's cell."""
    return one.verdict + ("" if one.proved or one.verdict == UNPROVED else f", {UNPROVED}")


def nothing_line(trials: Sequence[Trial], metric: str) -> str:
    """Why a search has no standings: what was expected and what there is.

    Args:
        trials: of the ledger.
        metric: that the search ranks by.
    """
    whole = sum(trial.status in WHOLE for trial in trials)
    if not whole:
        return f"expected a trial that reached its budget, got none of {len(trials)}"
    return f"expected a trial with a figure of {metric}, got none among the {whole} that reached their budget"


def _repeats(one: Standing) -> str:
    there = {0: "no repeat with another seed is", 1: "1 repeat with another seed is"}
    return f"{there.get(one.repeats, f'{one.repeats} repeats are')} whole, and {FRESH_SEEDS} are needed"
