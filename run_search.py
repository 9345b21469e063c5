#!/usr/bin/env python3
"""One search: a named space -> trials -> proved winners in result folders. Thin: parse, call, print."""

import os

# Before torch is loaded; see main.py. A trial has one thread, so this is about the driver alone.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

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

from ecggen import __version__
from ecggen.config import SOURCES
from ecggen.configfile import did_you_mean, dump_yaml
from ecggen.errors import Interrupted, UserError
from ecggen.leaderboard import FIGURES
from ecggen.runid import CodeTable, read_codes
from search import cluster, interrupt
from search.asking import SPACES, check_name, check_places, check_share, how_of, new_order
from search.order import ORDER_FILE, SEARCHES, code_digests, owned, read_order
from search.space import load_space, space_names

EXIT_FAULT = 2
ALGORITHMS = ("optuna", "grid", "random")
# What the driver imports first when it looks for records and opens its study.
SOON = (
    "ecggen.data.build",
    "ecggen.data.sources.catalog",
    "sqlalchemy.orm",
    "sqlalchemy.dialects.sqlite",
    "alembic.command",
)
EXAMPLES = """examples:
  python run_search.py --space ttt_mode                            search on the built-in simulator
  python run_search.py --space joint --data ptbxl --data-root DIR --trials 32
  python run_search.py --resume ttt_mode-20260501-120000           carry on an interrupted search
  python run_search.py --resume ttt_mode-20260501-120000 --extend 8
  python run_search.py --list                                      spaces there are, searches there were
"""
# What a search is: decided when it begins, and not to be given again when it is carried on.
ASKED = (
    "space", "data", "data_root", "trials", "steps", "seed", "threads", "name", "config", "set", "algorithm", "metric",
    "no_asha", "grace_steps", "reduction_factor", "finalists", "seeds", "warm_start",
)  # fmt: skip


STEPS = "budget of a trial; without it that of --set train.steps, else the space's, else the config's"
GRACE = "steps before ASHA's first look (default: the budget over the squared reduction factor, a twentieth at least)"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = p.add_argument_group("what to do")
    what.add_argument("--space", help="a name in configs/spaces, or a file of your own (path/to/mine.yaml)")
    what.add_argument("--resume", metavar="NAME", help="carry on a search that was left before its end")
    what.add_argument("--extend", type=_positive, metavar="N", help="with --resume: N more trials, finished or not")
    what.add_argument(
        "--rebuild", metavar="NAME", help="make tables, leaderboard and promoted folders anew from trials"
    )
    what.add_argument("--list", action="store_true", help="spaces and searches")
    what.add_argument("--dry-run", action="store_true", help="print what --space or --resume would do, do nothing")
    run = p.add_argument_group("what every trial starts from")
    run.add_argument("--config", type=Path, help="settings and run-id table (default: configs/train/v1.yaml)")
    run.add_argument("--data", choices=SOURCES, help="source of recordings (default: the config's, the simulator)")
    run.add_argument("--data-root", help="folder of the recordings")
    run.add_argument("--steps", "--max-steps", type=_positive, help=STEPS)
    run.add_argument("--seed", type=int, help="of the trials and of the sampler; finalists get the seeds after it")
    run.add_argument(
        "--threads", type=_positive, help="torch threads a trial (default: --set train.threads, else its whole cpus)"
    )
    run.add_argument("--set", action="append", default=[], metavar="a.b=c", help="any setting by its dotted path")
    how = p.add_argument_group("how to search")
    how.add_argument("--trials", type=_positive, help="default: all points of a small grid, else the space's number")
    how.add_argument("--algorithm", choices=ALGORITHMS, help="default: grid for a small one, else optuna (TPE)")
    how.add_argument("--metric", choices=FIGURES, help="to be maximised (default: val_hidden_r)")
    how.add_argument("--no-asha", action="store_true", help="train every trial to its end")
    how.add_argument("--grace-steps", type=_positive, help=GRACE)
    how.add_argument("--reduction-factor", type=_positive, help="one trial in so many goes on at a rung (default: 3)")
    how.add_argument(
        "--warm-start", nargs="+", default=[], metavar="NAME", help="searches whose results the sampler gets"
    )
    how.add_argument("--finalists", type=_count, help="best trials that are repeated (default: 3)")
    how.add_argument("--seeds", type=_count, help="fresh seeds a finalist (default: 3)")
    where = p.add_argument_group("where, and how long")
    where.add_argument("--name", help="of the search's folder (default: <space>-<time>)")
    where.add_argument("--results", type=Path, default=Path("results"), help="result folders (default: results)")
    where.add_argument("--cpus-per-trial", type=_share, help="default: 1")
    where.add_argument(
        "--gpus-per-trial", type=_share, help="fractions share a GPU (default: a share, if there are any)"
    )
    where.add_argument("--concurrency", type=_positive, help="trials at a time (default: as many as fit)")
    where.add_argument("--address", help="of a Ray cluster, such as auto or host:6379 (default: this machine)")
    where.add_argument("--storage", help="folder that all nodes share, or a URI: where trials keep their state")
    where.add_argument("--trial-time-limit", type=float, metavar="SECONDS", help="ends a trial that is hung or slow")
    where.add_argument(
        "--time-budget", type=float, metavar="SECONDS", help="ends the search with what there is by then"
    )
    where.add_argument("--quiet", action="store_true", help="the end only: table, verdict, next command")
    where.add_argument("--version", action="version", version=f"ecggen {__version__}")
    return p


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, got {text}")
    return value


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
    with ray_beside_imports(args.address) as resources:
        check_share(how, resources)
        from search.folders import begin, check_order, data_name, unfinished_searches

        for name in [] if args.quiet else unfinished_searches(args.results, order.content):
            console.print(f"unfinished: {name}; carry it on with --resume {name}", highlight=False)
        check_order(order)
        order = replace(order, data=data_name(order.base), code=code_digests())
        folder = begin(order, args.results)
        if not args.quiet:
            announce(order, console)
        with owned(folder):
            outcome = go(args, how, folder, resources, console)
    show(outcome, folder, args.results, console)


@contextmanager
def ray_beside_imports(address: str | None) -> Iterator[cluster.Resources]:
    """Ray while something is done. Half of the start is importing, which goes on while Ray starts."""
    importing = threading.Thread(target=_import_driver)
    with ExitStack() as stack:
        with interrupt.at_once():
            importing.start()
            resources = stack.enter_context(cluster.running(address))
            importing.join()
        yield resources


def _import_driver() -> None:
    """Where this fails, so does the import that is not beside anything, and says why.

    What comes with it stays. Python would look through it for garbage again and again while it is imported, and once
    more before the process ends, which takes a second and a half.
    """
    gc.disable()
    with suppress(Exception):
        for name in ("search.driver", "search.folders", *SOON):
            importlib.import_module(name)
    gc.freeze()
    gc.enable()


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
    with owned(folder), ray_beside_imports(args.address) as resources:
        from search.driver import Search
        from search.folders import carry_on

        Search(folder, args.results, how, console).check(resources)
        carry_on(folder, args.extend or 0)
        outcome = go(args, how, folder, resources, console)
    show(outcome, folder, args.results, console)


def go(args: argparse.Namespace, how: Any, folder: Path, resources: cluster.Resources, console: Console) -> Any:
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
    from search.screen import leaderboard_table, lost_line, next_command, nothing_line, verdict_line

    if not outcome.standings:
        nothing = nothing_line(Ledger(folder).trials, read_order(folder).metric)
        raise UserError(f"{folder}: {nothing}; see why in {folder / 'trials.csv'}")
    console.print(leaderboard_table(outcome.standings, folder.name))
    for line in filter(None, (verdict_line(outcome.standings), lost_line(outcome), str(folder))):
        console.print(line, highlight=False)
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
    """Print what a new search would do."""
    order = new_order(args)
    table: CodeTable = read_codes(Path(order.config), args.results)
    print(dump_yaml(order.base), end="")
    if order.algorithm == "grid":
        space = load_space(args.space, table, order.base, SPACES)
        points = space.points(order.base, table, order.trials, order.base.train.seed)
        for number, point in enumerate(points[: order.trials], 1):
            print(f"# trial {number}: " + ", ".join(f"{name}={value}" for name, value in point.items()))
    most = order.trials + order.finalists * order.seeds
    print(
        f"# {order.trials} trials by {order.algorithm}, {order.finalists} finalists with {order.seeds} seeds: "
        f"at most {most} trainings of {order.base.train.steps} steps"
    )


def run_dry_again(args: argparse.Namespace) -> None:
    """Print what carrying on would do."""
    from search.ledger import RUNNING, Ledger

    folder = search_folder(args.results, args.resume)
    refuse_asked(args, "--resume", "a search is carried on as it was begun")
    order, trials = read_order(folder), Ledger(folder).trials
    over = sum(trial.status != RUNNING for trial in trials)
    asked = max(order.trials, len(trials)) + args.extend if args.extend else order.trials
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
    console = Console(width=None if sys.stdout is not None and sys.stdout.isatty() else 132, soft_wrap=True)
    cluster.prepare_environment()
    try:
        with interrupt.twice(lambda: last_words(args)):
            act(args, console)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAULT
    except (Interrupted, KeyboardInterrupt) as stopped:
        print(last_words(args, str(stopped)), file=sys.stderr)
        return interrupt.EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # as above
    sys.exit(code)
