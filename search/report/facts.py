"""What a search left on disk, read once; what is missing comes with the reason why."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ecggen.card import read_card
from ecggen.codetable import CodeTable, read_codes
from ecggen.errors import UserError
from ecggen.leaderboard import FIGURES, LEADERBOARD_FILE, Row, Standing, read_leaderboard
from ecggen.plainfile import read_json, read_plain
from ecggen.portrait import PORTRAIT_FILE, Portrait, read_portrait
from ecggen.stepfolder import DONE as RUN_DONE
from search.asking import CONFIG
from search.ledger import Ledger, ranked
from search.order import DONE, ORDER_FILE, SEARCHES, Order, read_order
from search.space import Space, parse_space
from search.trialfile import RUNNING, Trial

INFO_FILE = "run_info.json"


@dataclass
class Facts:
    """A search as its folders tell it.

    Attributes:
        folder, results: of the search, and the results folder around it.
        finished: local time at which the search was finished, None where it is not.
        standings: best first, none where nothing is ranked yet.
        space, table: entries and codes, None where they cannot be read any more.
        best: result folder of the first standing, None where there is none.
        card, info, portrait: of that folder.
        why: name of a missing part -> the reason, a sentence without its stop.
    """

    folder: Path
    results: Path
    order: Order
    ledger: Ledger
    finished: datetime | None = None
    standings: tuple[Standing, ...] = ()
    space: Space | None = None
    table: CodeTable | None = None
    best: Path | None = None
    card: dict[str, Any] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    portrait: Portrait | None = None
    why: dict[str, str] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """What the search ranks by."""
        return self.order.metric

    @property
    def entries(self) -> list[str]:
        """Names of what the search turns, in the order of its space."""
        given = self.order.content.get("space")
        return list(given) if isinstance(given, dict) else []

    def ranked(self) -> list[Trial]:
        """Trials of the full budget, best first."""
        return ranked(self.ledger.whole(), self.metric)

    def under_way(self) -> list[Trial]:
        """Trials and repeats that are not over."""
        return [trial for trial in self.ledger if trial.status == RUNNING]


def find_search(name: str, results: Path = Path("results")) -> Path:
    """A search by its folder, or by its name below `results/searches`. Raises UserError with the names there are."""
    for folder in (Path(name), results / SEARCHES / name):
        if (folder / ORDER_FILE).is_file():
            return folder
    there = sorted(path.parent.name for path in (results / SEARCHES).glob(f"*/{ORDER_FILE}"))
    known = f"there are: {', '.join(there[-12:])}" if there else f"there are none in {results / SEARCHES}"
    raise UserError(f"{name[:200]}: expected a search's folder or name, got neither; {known}")


def gather(folder: Path) -> Facts:
    """Everything about a search. Raises UserError where the folder holds none."""
    folder = folder.resolve()  # one that was named `.` has a name as well
    order = replace(read_order(folder), name=folder.name)  # a folder may have been renamed since
    facts = Facts(folder, folder.parent.parent, order, Ledger(folder), finished=_finished(folder))
    _read_space(facts)
    _read_standings(facts)
    _read_best(facts)
    return facts


def _finished(folder: Path) -> datetime | None:
    try:
        return moment(read_plain(folder / DONE).strip())
    except (OSError, UnicodeDecodeError):
        return None


def moment(text: str) -> datetime | None:
    """An ISO time, None where it is none."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):  # OverflowError: a time that no calendar has in this zone
        return None


def _read_space(facts: Facts) -> None:
    """Entries and codes; a search that was moved to another machine finds the package's own table there."""
    order = facts.order
    config = Path(order.config) if Path(order.config).is_file() else CONFIG
    try:
        facts.table = read_codes(config, facts.results)
        facts.space = parse_space(order.space, order.content, facts.table, order.base, "space.yaml")
    except (UserError, OSError) as fault:
        facts.why["space"] = f"the search's space cannot be read any more ({fault})"


def _read_standings(facts: Facts) -> None:
    path = facts.folder / LEADERBOARD_FILE
    if not path.is_file():
        facts.why["standings"] = "there is no leaderboard yet: it is made when the search ends"
        return
    try:
        rows = read_leaderboard(path)
        facts.standings = tuple(_standing(row, facts.order.base.train.seed) for row in rows)
    except (UserError, KeyError, TypeError) as fault:
        facts.why["standings"] = f"the leaderboard cannot be read ({fault})"
        return
    if not rows:
        facts.why["standings"] = "the leaderboard is empty: no trial reached its budget with a figure"


def _standing(row: Row, own_seed: int) -> Standing:
    """A row of the file as a standing. The seed of the search itself had a part in the choice: it is no repeat."""
    names = ("rank", "runid", "hash", "step", "metric", "mean", "sd", "n", "low", "high", "against", "verdict", "seeds")
    fresh = own_seed not in row["seeds"]
    return Standing(
        **{name: row[name] for name in names},
        metrics={name: row[name] for name in FIGURES},
        folder=row["folder"],
        proved=row["proved"],
        repeats=row["n"] if fresh else 0,
    )


def _read_best(facts: Facts) -> None:
    """Card and portrait of the first standing's result folder."""
    first = facts.standings[0] if facts.standings else None
    name = Path(first.folder).name if first else ""
    if first is None or not name:
        reason = "the best run has no result folder" if first else "no run is ranked yet"
        facts.why |= dict.fromkeys(("card", "portrait"), reason)
        return
    folder = facts.results / name
    if not _is_of(folder, first.hash):
        reason = f"the best run's folder {name} is not beside this search any more"
        facts.why |= dict.fromkeys(("card", "portrait"), reason)
        return
    facts.best = folder
    try:
        facts.card = read_card(folder)
    except UserError as fault:
        facts.why["card"] = f"the best run's evaluation card cannot be read ({_below(fault, folder)})"
    try:
        facts.portrait = read_portrait(folder / PORTRAIT_FILE)
    except UserError as fault:
        there = (folder / PORTRAIT_FILE).is_file()
        damaged = f"the best run's portrait cannot be read ({_below(fault, folder)})"
        none = f"the best run has no portrait {PORTRAIT_FILE} yet; an older version made it"
        facts.why["portrait"] = damaged if there else none
    facts.info = _read_info(folder)


def _is_of(folder: Path, digest: str) -> bool:
    """Whether this is the finished folder of the run with this hash."""
    try:
        return read_plain(folder / RUN_DONE).strip() == digest
    except (OSError, UnicodeDecodeError):
        return False


def _below(fault: UserError, folder: Path) -> str:
    """A fault without the path of the results folder: a page may be sent to somebody."""
    return str(fault).replace(f"{folder}/", "")


def _read_info(folder: Path) -> dict[str, Any]:
    try:
        info = read_json(folder / INFO_FILE)
    except (OSError, ValueError):
        return {}
    return info if isinstance(info, dict) else {}
