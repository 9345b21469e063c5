#!/usr/bin/env python3
"""One search: a named space -> trials -> proved winners in result folders. Thin: parse, call, print."""

import os

# Before torch is loaded; see main.py. A trial has one thread, so this is about the driver alone.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import gc
import importlib
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ecggen.codetable import CodeTable, read_codes
from ecggen.commandline import EXIT_FAULT, fault_line
from ecggen.configfile import did_you_mean, dump_yaml
from ecggen.errors import Interrupted, UserError
from search import cluster, interrupt
from search.asking import SPACES, at_once, check_name, check_places, check_share, every_core, how_of, new_order
from search.options import parser
from search.order import ORDER_FILE, SEARCHES, How, check_free, code_digests, owned, read_order
from search.share import Resources
from search.space import load_space, parse_space, space_names

# What Ray imports before it starts its processes. These take longer to be ready than the driver does.
FIRST = ("ray", "aiohttp")
# What the driver imports first when it looks for records and opens its study.
SOON = (
    "ecggen.data.build",
    "ecggen.data.sources.catalog",
    "sqlalchemy.orm",
    "sqlalchemy.dialects.sqlite",
    "alembic.command",
)
# What a search is: decided when it begins, and not to be given again when it is carried on.
ASKED = (
    "space", "data", "data_root", "trials", "steps", "seed", "threads", "name", "config", "set", "algorithm", "metric",
    "no_asha", "grace_steps", "reduction_factor", "finalists", "seeds", "warm_start",
)  # fmt: skip


def search_folder(results: Path, name: str) -> Path:
    """The folder of a search by its name. Raises UserError, with the nearest names."""
    folder = results / SEARCHES / name
    if Path(name).name != name or not (folder / ORDER_FILE).is_file():
        there = [path.parent.name for path in sorted((results / SEARCHES).glob(f"*/{ORDER_FILE}"))]
        hint = did_you_mean(name, there) or (f" The last one is {there[-1]}." if there else "")
        raise UserError(f"{results}: expected a search {name[:60]}, there is none; see --list.{hint}")
    return folder


def run_new(args: argparse.Namespace, console: Console) -> None:
    """A new search, from its order to its leaderboard."""
    order, how = new_order(args), how_of(args)
    check_name(order.name)
    for name in order.warm_start:
        search_folder(args.results, name)
    with interrupt.at_once():
        check_places(args.results, args.storage)
    with ray_beside_imports(how, order.trials, console) as resources:
        check_share(how, resources)
        from search.folders import begin, check_order, data_name, unfinished_searches

        for name in [] if args.quiet else unfinished_searches(args.results, order.content):
            console.print(f"unfinished: {name}; carry it on with --resume {name}", highlight=False)
        check_order(order)
        order = replace(order, data=data_name(order.base), code=code_digests())
        folder = args.results / SEARCHES / order.name
        with owned(folder):  # before its order is written: of two searches of one name, one has it
            begin(order, args.results)
            if not args.quiet:
                announce(order, console)
            outcome = go(args, how, folder, resources, console)
    show(outcome, folder, args.results, console)


@contextmanager
def ray_beside_imports(how: How, trials: int, console: Console) -> Iterator[Resources]:
    """Ray while something is done. Half of the start is importing, which goes on while Ray starts."""
    if not how.quiet:
        what = "starting workers" if how.address in (None, "local") else f"joining {how.address}"
        console.print(f"loading, and {what}: some seconds", highlight=False)
    importing = threading.Thread(target=_import_driver)
    with ExitStack() as stack:
        with interrupt.at_once():
            _import(*FIRST)
            importing.start()
            resources = stack.enter_context(cluster.running(how.address, every_core(how, trials)))
            importing.join()
        yield resources


def _import_driver() -> None:
    """Where this fails, so does the import that is not beside anything, and says why.

    What comes with it stays. Python would look through it for garbage again and again while it is imported, and once
    more before the process ends, which takes a second and a half.
    """
    gc.disable()
    _import("search.driver", "search.folders", *SOON)
    gc.freeze()
    gc.enable()


def _import(*names: str) -> None:
    with suppress(Exception):
        for name in names:
            importlib.import_module(name)


def announce(order: Any, console: Console) -> None:
    """What is about to be done, in one line."""
    early = f"ASHA from step {order.grace}" if order.asha else "all to their end"
    console.print(
        f"{order.name}: {order.trials} trials of {order.base.train.steps} steps on {order.base.data.source}, "
        f"{order.algorithm}, {early}; then {order.finalists} finalists with {order.seeds} fresh seeds",
        highlight=False,
    )


def refuse_asked(args: argparse.Namespace, action: str, why: str) -> None:
    """Raises UserError for an option that only a new search takes."""
    defaults = parser()
    for name in ASKED:
        if getattr(args, name) != defaults.get_default(name):
            raise UserError(f"{action}: expected no --{name.replace('_', '-')} beside it, got one; {why}")


def run_again(args: argparse.Namespace, console: Console) -> None:
    """Carry on a search."""
    folder = search_folder(args.results, args.resume)
    refuse_asked(args, "--resume", "a search is carried on as it was begun")
    how = how_of(args)
    with owned(folder), ray_beside_imports(how, read_order(folder).trials, console) as resources:
        from search.driver import Search
        from search.folders import carry_on

        Search(folder, args.results, how, console).check(resources)
        carry_on(folder, args.extend or 0)
        outcome = go(args, how, folder, resources, console)
    show(outcome, folder, args.results, console)


def go(args: argparse.Namespace, how: Any, folder: Path, resources: Resources, console: Console) -> Any:
    """Run a search in its folder."""
    from search.driver import Search

    args.resume = folder.name  # from here on, this is how to go on
    return Search(folder, args.results, how, console).run(resources)


def run_rebuild(args: argparse.Namespace, console: Console) -> None:
    """Make everything that follows from the trials anew."""
    folder = search_folder(args.results, args.rebuild)
    refuse_asked(args, "--rebuild", "it makes the tables of a search as it was begun")
    if args.dry_run:
        raise UserError("--rebuild: expected no --dry-run beside it, got one; it trains nothing, leave one of them out")
    from search.driver import Search

    with owned(folder):
        outcome = Search(folder, args.results, how_of(args), console).rebuild()
    show(outcome, folder, args.results, console)


def show(outcome: Any, folder: Path, results: Path, console: Console) -> None:
    """The end of a search: leaderboard, verdict, next command. Raises UserError where there is nothing to show."""
    from search.ledger import Ledger
    from search.order import read_order
    from search.report import REPORT_FILE
    from search.screen import leaderboard_table, lost_line, next_command
    from search.verdict import nothing_line, verdict_line

    if not outcome.standings:
        nothing = nothing_line(Ledger(folder).trials, read_order(folder).metric)
        raise UserError(f"{folder}: {nothing}; see why in {folder / 'trials.csv'}")
    console.print(leaderboard_table(outcome.standings, folder.name))
    for line in filter(None, (verdict_line(outcome.standings), lost_line(outcome), str(folder))):
        console.print(line, highlight=False)
    page = folder / REPORT_FILE
    if page.is_file():
        console.print(f"report: {page}", highlight=False)
    console.print(f"next: {next_command(outcome.standings, results, folder.name)}", highlight=False)


def run_list(args: argparse.Namespace, console: Console) -> None:
    """Spaces and searches."""
    from search.folders import listed

    if args.results.exists() and not args.results.is_dir():
        raise UserError(f"--results {args.results}: expected a folder, got a file; name the folder of the results")
    table = Table("space", "what it asks", title="Spaces (configs/spaces)", title_justify="left")
    for name, about in space_names(SPACES):
        table.add_row(name, about)
    console.print(table)
    table = Table("search", "state", "data", "trials", title=f"Searches in {args.results}", title_justify="left")
    for row in listed(args.results):
        table.add_row(*row)
    console.print(table)


def run_dry(args: argparse.Namespace) -> None:
    """Print what a new search would do, and what that would cost."""
    from search.planned import cost_lines, trial_lines

    order, how = new_order(args), how_of(args)
    check_name(order.name)
    check_free(args.results / SEARCHES / order.name)
    for name in order.warm_start:
        search_folder(args.results, name)
    table: CodeTable = read_codes(Path(order.config), args.results)
    trials = trial_lines(order, load_space(args.space, table, order.base, SPACES), table)
    lines = (*trials, *cost_lines(order, args.results, at_once(how)))
    print(dump_yaml(order.base), end="")
    for line in lines:
        print(f"# {line}")


def run_dry_again(args: argparse.Namespace) -> None:
    """Print what carrying on would do."""
    from search.ledger import Ledger
    from search.trialfile import RUNNING

    folder = search_folder(args.results, args.resume)
    refuse_asked(args, "--resume", "a search is carried on as it was begun")
    order, trials = read_order(folder), Ledger(folder).trials
    over = sum(trial.status != RUNNING for trial in trials)
    asked = max(order.trials, len(trials)) + args.extend if args.extend else order.trials
    if order.algorithm == "grid":
        table = read_codes(Path(order.config), args.results)
        space = parse_space(order.space, order.content, table, order.base, f"{folder.name}/space.yaml")
        asked = min(asked, len(space.grid(order.base, table)))
    print(
        f"# {folder.name}: {over} trials are over, {max(0, asked - over)} to come by {order.algorithm}, "
        f"then {order.finalists} finalists with {order.seeds} seeds: trainings of {order.base.train.steps} steps"
    )


def act(args: argparse.Namespace, console: Console) -> None:
    """Do what is asked. Raises UserError where that is not clear."""
    asked = [name for name in ("space", "resume", "rebuild", "list") if getattr(args, name)]
    if args.extend and not args.resume:
        raise UserError("--extend: expected --resume NAME beside it, got none; say which search gets more trials")
    if len(asked) != 1:
        raise UserError(
            "expected exactly one of --space, --resume, --rebuild, --list; --space ttt_mode is a good start"
        )
    if args.list:
        run_list(args, console)
    elif args.rebuild:
        run_rebuild(args, console)
    elif args.resume and args.dry_run:
        run_dry_again(args)
    elif args.resume:
        run_again(args, console)
    elif args.dry_run:
        run_dry(args)
    else:
        run_new(args, console)


def resume_words(args: argparse.Namespace) -> str:
    """The command that carries on: what the search is, it knows; how it is run is repeated."""
    words = ["python", "run_search.py", "--resume", args.resume]
    for option in (
        "results",
        "address",
        "storage",
        "cpus_per_trial",
        "gpus_per_trial",
        "concurrency",
        "trial_time_limit",
    ):
        value = getattr(args, option)
        if value is not None and value != parser().get_default(option):
            words += [f"--{option.replace('_', '-')}", str(value)]
    return shlex.join(words)


def last_words(args: argparse.Namespace, said: str = "") -> str:
    """What is left on screen after Ctrl-C, in one line."""
    return (said or "interrupted") + (f"; carry on with: {resume_words(args)}" if args.resume else "")


def main(argv: list[str] | None = None) -> int:
    """Entry point; the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(argv)
    width = None if sys.stdout is not None and sys.stdout.isatty() else 132
    console = Console(width=width, soft_wrap=True, markup=False, emoji=False)  # `[/x]` in a name is a name
    cluster.prepare_environment()
    try:
        with interrupt.twice(lambda: last_words(args)):
            act(args, console)
    except (UserError, OSError) as error:
        print(fault_line(error), file=sys.stderr)
        return EXIT_FAULT
    except (Interrupted, KeyboardInterrupt) as stopped:
        print(last_words(args, str(stopped)), file=sys.stderr)
        return interrupt.EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # as above
    sys.exit(code)
