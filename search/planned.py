"""What a new search would train and cost, told beforehand."""

import csv
import io
import statistics
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ecggen.codetable import CodeTable
from ecggen.config import RunConfig
from ecggen.errors import UserError
from ecggen.plainfile import read_plain
from ecggen.runid import runid_of
from search.order import ORDER_FILE, SEARCHES, Order, read_order
from search.space import Space
from search.spacefile import Entry

NEW = "a new code"  # of a point that the table of run ids has no row for yet


def trial_lines(order: Order, space: Space, table: CodeTable) -> list[str]:
    """One line a trial of a grid; of other algorithms, whose points depend on what they find, one for each entry."""
    if order.algorithm != "grid":
        return [_entry_line(entry) for entry in space.entries]
    points = space.points(order.base, table, order.trials, order.base.train.seed)[: order.trials]
    lines = []
    for count, point in enumerate(points, 1):
        runid = runid_of(space.run(point, order.base, table), table) or NEW
        lines.append(f"trial {count}: {runid}, " + ", ".join(f"{name}={value}" for name, value in point.items()))
    return lines


def _entry_line(entry: Entry) -> str:
    if entry.values:
        told = "one of " + ", ".join(map(str, entry.values))
    else:
        told = f"{entry.low:g} to {entry.high:g}" + {"int": f" by {entry.step}", "loguniform": ", log scale"}.get(
            entry.kind, ""
        )
    given = " and ".join(f"{name} is {' or '.join(map(str, values))}" for name, values in entry.when.items())
    return f"{entry.name}: {told}" + (f", where {given}" if given else "")


def cost_lines(order: Order, results: Path, at_once: int | None) -> list[str]:
    """Trainings, steps, and about how long they take.

    Args:
        results: whose earlier searches tell how long a step takes.
        at_once: trials side by side; None where only a cluster knows.
    """
    most, steps = order.trials + order.finalists * order.seeds, order.base.train.steps
    told = (
        f"{order.trials} trials by {order.algorithm}, {order.finalists} finalists with {order.seeds} seeds: "
        f"at most {most} trainings of {steps} steps, {most * steps:,} steps in all"
    )
    early = [f"ASHA ends trials from step {order.grace} on, so it is less"] if order.asha else []
    return [told, *early, _time_line(order, results, most * steps, at_once)]


def _time_line(order: Order, results: Path, steps: int, at_once: int | None) -> str:
    paces = list(_paces(order, results))
    if not paces:
        return f"time: unknown, no earlier search of this space around these settings in {results} tells it"
    pace = statistics.median(paces)
    judged = f"{pace:.3f} s a step, the median of {len(paces)} trainings of earlier searches like it"
    if at_once is None:
        return f"time: about {in_words(steps * pace)} of training for all of them, shared among the cluster ({judged})"
    return f"time: about {in_words(steps * pace / at_once)} for all of them, {at_once} at a time ({judged})"


def _paces(order: Order, results: Path) -> Iterator[float]:
    """Seconds a step of whole trainings of the same space around the same settings."""
    for path in (results / SEARCHES).glob(f"*/{ORDER_FILE}"):
        with suppress(UserError, OSError, ValueError, TypeError, KeyError, csv.Error):
            other = read_order(path.parent)
            if other.content.get("space") != order.content.get("space") or _paced(other.base) != _paced(order.base):
                continue
            with io.StringIO(read_plain(path.parent / "trials.csv"), newline="") as stream:
                rows = [row for row in csv.DictReader(stream) if row["status"] == "completed"]
            yield from [float(row["seconds"]) / int(row["step"]) for row in rows if int(row["step"])]


def _paced(run: RunConfig) -> RunConfig:
    """The settings that say how long a step takes: all but how many there are, and which."""
    return replace(run, train=replace(run.train, steps=1, validate_every=1, seed=0, device="auto"))


def in_words(seconds: float) -> str:
    """A time for people: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
