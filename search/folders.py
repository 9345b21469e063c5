"""Searches as folders below `results/searches/`: begun, carried on, found again, listed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ecggen.config import RunConfig
from ecggen.data.cache import find_or_build
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError, one_line
from ecggen.eval import VALIDATION, VALIDATION_SETS, evenly_spaced
from ecggen.leads import LEADS, lead_indices, scored_leads
from ecggen.runs import check_data
from ecggen.strictyaml import read_yaml
from search.ledger import Ledger
from search.order import (
    DONE,
    ORDER_FILE,
    SEARCHES,
    Order,
    check_free,
    code_digests,
    owned,
    read_order,
    refuse_changes,
    write_order,
)
from search.trialfile import RUNNING


def begin(order: Order, results: Path) -> Path:
    """The folder of a new search, with its order in it. Raises UserError where the name is taken."""
    folder = results / SEARCHES / order.name
    check_free(folder)
    write_order(folder, order)
    return folder


def carry_on(folder: Path, extend: int) -> None:
    """Check that a search may be carried on, and add trials to what was asked. Raises UserError."""
    order = read_order(folder)
    space = Path(order.space_file)
    now = read_yaml(space) if space.is_file() else None
    refuse_changes(order, now, data_name(order.base), code_digests())
    if extend:
        write_order(folder, replace(order, trials=max(order.trials, len(Ledger(folder).trials)) + extend))


def data_name(run: RunConfig) -> str:
    """What identifies the data of a run: source files, settings, the code that reads them."""
    return find_or_build(run.data, run.model.signal).name


def check_order(order: Order) -> None:
    """All that can fail for want of records fails before a search begins. Raises UserError."""
    check_data(order.base)
    val = ECGDataset(order.base, "val")
    if len(val) == 0:
        raise UserError(
            f"split val: expected records, since {order.metric} is measured on them, got none; set data.val_folds"
        )
    part, _ = VALIDATION[order.metric]
    shown = VALIDATION_SETS[part]
    watched = evenly_spaced(len(val), order.base.train.validate_records)  # what a trial is judged by while it trains
    there = val.store.lead_mask[val.index[watched]]
    if (
        shown != LEADS
        and not (there[:, lead_indices(shown)].all(1) & there[:, lead_indices(scored_leads(shown))].any(1)).any()
    ):
        raise UserError(
            f"--metric {order.metric}: expected a record with {', '.join(shown)} and one of "
            f"{', '.join(scored_leads(shown))} in split val, got none among {len(watched)}; choose --metric val_r"
        )


def unfinished_searches(results: Path, content: dict[str, Any]) -> list[str]:
    """Names of the searches of the same space that were left before their end, and that nobody runs now."""
    names = []
    for folder in sorted((results / SEARCHES).glob("*")):
        try:
            if not (folder / DONE).exists() and read_order(folder).content == content and not _is_owned(folder):
                names.append(one_line(folder.name))
        except UserError:
            continue
    return names


def listed(results: Path) -> list[tuple[str, str, str, str]]:
    """Name, state, source and progress of every search, oldest first."""
    rows = []
    for path in sorted((results / SEARCHES).glob(f"*/{ORDER_FILE}"), key=lambda path: path.stat().st_mtime):
        folder = path.parent
        try:
            order, trials = read_order(folder), Ledger(folder).trials
        except UserError as fault:
            rows.append((one_line(folder.name), str(fault), "", ""))
            continue
        over = sum(trial.status != RUNNING for trial in trials)
        state = "finished" if (folder / DONE).exists() else "running" if _is_owned(folder) else "unfinished"
        rows.append((one_line(folder.name), state, order.base.data.source, f"{over} of {order.trials}"))
    return rows


def _is_owned(folder: Path) -> bool:
    try:
        with owned(folder):
            return False
    except UserError:
        return True
