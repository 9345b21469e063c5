"""What can be done next with a search, as commands to copy.

None holds a path of the machine: a page may be sent to somebody. A results folder below the working folder is named
from there, one elsewhere as if it were called by its own folder, and `where` says so.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from ecggen.codetable import CodeTable
from ecggen.errors import UserError
from ecggen.runid import run_hash
from search.order import SEARCHES
from search.report.facts import Facts
from search.space import GRID_LIMIT, Params, Space

RESULTS, ELSEWHERE = "results", "DIR"  # the results folder that is meant without --results, and one that is elsewhere


@dataclass(frozen=True)
class Command:
    """A command and what it is for."""

    what: str
    words: str


def next_command(facts: Facts) -> Command | None:
    """How to see the winner; where it has no result folder, how to make it."""
    if not facts.standings:
        return None
    if facts.best is not None:
        return Command("See the winner's card", _words(facts, "main.py", "--runid", facts.best.name))
    return Command("Make the winner's folder anew", _words(facts, "run_search.py", "--rebuild", facts.order.name))


def commands(facts: Facts) -> list[Command]:
    """What can be done next."""
    name = facts.order.name
    found = [first] if (first := next_command(facts)) else []
    if facts.best is not None:
        plot = _words(facts, "main.py", "--runid", facts.best.name, "--mode", "plot")
        encode = _words(facts, "main.py", "--runid", facts.best.name, "--mode", "encode", "--out", "states.npz")
        found += [Command("Draw the winner's figures again", plot), Command("States W of all its records", encode)]
    if facts.finished is None:
        found.append(Command("Carry the search on", _words(facts, "run_search.py", "--resume", name)))
    elif not is_used_up(facts):
        more = _words(facts, "run_search.py", "--resume", name, "--extend", "8")
        found.append(Command("Add eight trials", more))
    found.append(
        Command("Make tables, leaderboard and this page anew", _words(facts, "run_search.py", "--rebuild", name))
    )
    return [*found, Command("Make this page anew", _page_command(facts))]


def plot_command(facts: Facts) -> str:
    """How a run gets its portrait."""
    name = facts.best.name if facts.best is not None else "best"
    return _words(facts, "main.py", "--runid", name, "--mode", "plot")


def _page_command(facts: Facts) -> str:
    """By its name; a folder that was taken out of its place is named as one beside the working folder."""
    words = ("-m", "search.report", facts.order.name)
    return _words(facts, *words) if facts.folder.parent.name == SEARCHES else shlex.join(["python", *words])


def is_used_up(facts: Facts) -> bool:
    """Whether every point of the space that can be trained is a trial; of a space with a range some never are."""
    space, table, base = facts.space, facts.table, facts.order.base
    if space is None or table is None or (space.grid_size(base, table) or GRID_LIMIT + 1) > GRID_LIMIT:
        return False
    points = {_written(trial.params) for trial in facts.ledger.trials}
    left = [point for point in space.grid(base, table) if _written(point) not in points]
    known = {trial.hash for trial in facts.ledger.trials}
    return not any(_is_new(point, known, space, facts, table) for point in left)


def _written(params: Params) -> str:
    return json.dumps(params, sort_keys=True)


def _is_new(point: Params, known: set[str], space: Space, facts: Facts, table: CodeTable) -> bool:
    try:
        return run_hash(space.run(point, facts.order.base, table)) not in known
    except UserError:  # settings that contradict each other
        return False


def where(facts: Facts) -> str:
    """What a reader of the commands has to know of the results folder; empty where they name it as it is."""
    if facts.results.is_relative_to(Path.cwd()):
        return ""
    if facts.results.name == RESULTS:
        return f"To be typed in the folder that holds {RESULTS}."
    return f"{ELSEWHERE} stands for the results folder of this search."


def _words(facts: Facts, *words: str) -> str:
    here = Path.cwd()
    place = RESULTS if facts.results.name == RESULTS else ELSEWHERE
    if facts.results.is_relative_to(here):
        place = facts.results.relative_to(here).as_posix()
    return shlex.join(["python", *words, *([] if place == RESULTS else ["--results", place])])
