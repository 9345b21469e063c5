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
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ecggen import __version__
from ecggen.config import SOURCES, RunConfig
from ecggen.configfile import apply_overrides, apply_settings, dump_yaml, load_run_config
from ecggen.errors import Interrupted, UserError
from ecggen.leaderboard import FIGURES
from ecggen.runid import CodeTable, read_codes
from search import cluster, interrupt

HERE = Path(__file__).resolve().parent
CONFIG = HERE / "configs" / "train" / "v1.yaml"
SPACES = HERE / "configs" / "spaces"
EXIT_FAULT = 2
SMALL_GRID = 24  # points; a space of no more is tried as a whole
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
SHORTCUTS = {"data": "data.source", "data_root": "data.root", "seed": "train.seed"}
# What a search is: decided when it begins, and not to be given again when it is carried on.
ASKED = (
    "space", "data", "data_root", "trials", "steps", "seed", "threads", "name", "config", "set", "algorithm", "metric",
    "no_asha", "grace_steps", "reduction_factor", "finalists", "seeds", "warm_start",
)  # fmt: skip


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
    what.add_argument("--dry-run", action="store_true", help="print the planned trials and their cost, do nothing")
    run = p.add_argument_group("what every trial starts from")
    run.add_argument("--config", type=Path, help="settings and run-id table (default: configs/train/v1.yaml)")
    run.add_argument("--data", choices=SOURCES, help="source of recordings (default: the config's, the simulator)")
    run.add_argument("--data-root", help="folder of the recordings")
    run.add_argument("--steps", "--max-steps", type=_positive, help="budget of a trial (default: the space's)")
    run.add_argument("--seed", type=int, help="of the trials and of the sampler; finalists get the seeds after it")
    run.add_argument("--threads", type=_positive, help="torch threads a trial (default: its whole cpus)")
    run.add_argument("--set", action="append", default=[], metavar="a.b=c", help="any setting by its dotted path")
    how = p.add_argument_group("how to search")
    how.add_argument("--trials", type=_positive, help="default: all points of a small grid, else the space's number")
    how.add_argument("--algorithm", choices=ALGORITHMS, help="default: grid for a small one, else optuna (TPE)")
    how.add_argument("--metric", choices=FIGURES, help="to be maximised (default: val_hidden_r)")
    how.add_argument("--no-asha", action="store_true", help="train every trial to its end")
    how.add_argument("--grace-steps", type=_positive, help="steps before ASHA's first look (default: a ninth)")
    how.add_argument("--reduction-factor", type=_positive, help="one trial in so many goes on at a rung (default: 3)")
    how.add_argument(
        "--warm-start", nargs="+", default=[], metavar="NAME", help="searches whose results the sampler gets"
    )
    how.add_argument("--finalists", type=_count, help="best trials that are repeated (default: 3)")
    how.add_argument("--seeds", type=_count, help="fresh seeds a finalist (default: 3)")
    where = p.add_argument_group("where, and how long")
    where.add_argument("--name", help="of the search's folder (default: <space>-<time>)")
    where.add_argument("--results", type=Path, default=Path("results"), help="result folders (default: results)")
    where.add_argument("--cpus-per-trial", type=float, help="default: 1")
    where.add_argument(
        "--gpus-per-trial", type=float, help="fractions share a GPU (default: a share, if there are any)"
    )
    where.add_argument("--concurrency", type=_positive, help="trials at a time (default: as many as fit)")
    where.add_argument("--address", help="of a Ray cluster, such as auto or host:6379 (default: this machine)")
    where.add_argument("--storage", help="folder that all nodes share, or a URI: where trials keep their state")
    where.add_argument("--trial-time-limit", type=float, metavar="SECONDS", help="ends a trial that is hung or slow")
    where.add_argument(
        "--time-budget", type=float, metavar="SECONDS", help="ends the search with what there is by then"
    )
    where.add_argument("--quiet", action="store_true", help="the final table only")
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


def base_run(args: argparse.Namespace, config: Path) -> RunConfig:
    """What every trial starts from, before the space's own budget."""
    run = load_run_config(config)
    given = {path: getattr(args, name) for name, path in SHORTCUTS.items() if getattr(args, name) is not None}
    run = apply_overrides(apply_settings(run, given), args.set)
    places = {"data.root": run.data.root, "data.cache": run.data.cache}  # workers have folders of their own
    return apply_settings(run, {path: str(Path(p).expanduser().resolve()) for path, p in places.items() if p})


def new_order(args: argparse.Namespace) -> Any:
    """The order that the command line gives. Raises UserError."""
    from search.order import Order
    from search.space import load_space

    config = (args.config or CONFIG).resolve()
    table = read_codes(config, args.results)
    base = base_run(args, config)
    space = load_space(args.space, table, base, SPACES)
    reduction = args.reduction_factor or 3
    if reduction < 2:
        raise UserError(f"--reduction-factor: expected 2 or more, got {reduction}; 3 lets one trial in three go on")
    base, grace = _with_budget(base, args, space.defaults.steps_for(base.data.source), reduction)
    size = space.grid_size(base, table)
    small = size is not None and size <= SMALL_GRID
    algorithm = args.algorithm or ("grid" if small else "optuna")
    trials = args.trials or (size if algorithm == "grid" and size is not None else space.defaults.trials)
    return Order(
        name=args.name or f"{space.name}-{time.strftime('%Y%m%d-%H%M%S')}",
        space=space.name,
        space_file=str(space_path(args.space)),
        content=dict(space.content),
        base=base,
        config=str(config),
        trials=trials,
        algorithm=algorithm,
        metric=args.metric or FIGURES[0],
        asha=not args.no_asha,
        grace=grace,
        reduction=reduction,
        finalists=space.defaults.finalists if args.finalists is None else args.finalists,
        seeds=space.defaults.seeds if args.seeds is None else args.seeds,
        warm_start=tuple(args.warm_start),
    )


def space_path(name: str) -> Path:
    """The file of a space: one of ours by its name, or one of the user's."""
    return Path(name).resolve() if "/" in name or name.endswith((".yaml", ".yml")) else SPACES / f"{name}.yaml"


def _with_budget(
    base: RunConfig, args: argparse.Namespace, default: int | None, reduction: int
) -> tuple[RunConfig, int]:
    """The run with the search's budget, threads, and a validation at every rung of ASHA; and ASHA's grace."""
    named = {word.split("=", 1)[0] for word in args.set}
    steps = args.steps or (base.train.steps if "train.steps" in named or default is None else default)
    grace = args.grace_steps or -(-steps // reduction**2)
    if grace > steps:
        raise UserError(f"--grace-steps: expected at most the {steps} steps of a trial, got {grace}; lower it")
    every = base.train.validate_every if "train.validate_every" in named else grace
    threads = args.threads or max(1, int(args.cpus_per_trial or 1))
    changes = {"train.steps": steps, "train.validate_every": min(every, steps), "train.threads": threads}
    return apply_settings(base, changes), grace


def search_folder(results: Path, name: str) -> Path:
    """The folder of a search by its name. Raises UserError, with the nearest names."""
    from ecggen.configfile import did_you_mean
    from search.order import ORDER_FILE, SEARCHES

    folder = results / SEARCHES / name
    if Path(name).name != name or not (folder / ORDER_FILE).is_file():
        there = [path.parent.name for path in sorted((results / SEARCHES).glob(f"*/{ORDER_FILE}"))]
        hint = did_you_mean(name, there) or (f" The last one is {there[-1]}." if there else "")
        raise UserError(f"{results}: expected a search {name[:60]}, there is none; see --list.{hint}")
    return folder


def how_of(args: argparse.Namespace) -> Any:
    """How the search is run, apart from what it is."""
    from search.order import How

    for name in ("time_budget", "trial_time_limit"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name.replace('_', '-')}: expected seconds, more than 0, got {value:g}; give it more")
    return How(
        args.address, args.storage, args.cpus_per_trial, args.gpus_per_trial, args.concurrency,
        args.trial_time_limit, args.time_budget, args.quiet,
    )  # fmt: skip


def run_new(args: argparse.Namespace, console: Console) -> None:
    """A new search, from its order to its leaderboard."""
    order, how = new_order(args), how_of(args)
    check_name(order.name)
    for name in order.warm_start:
        search_folder(args.results, name)
    with ray_beside_imports(args.address) as resources:
        from search.folders import begin, check_order, data_name, unfinished_searches
        from search.order import code_digests, owned

        for name in unfinished_searches(args.results, order.content):
            console.print(f"unfinished: {name}; carry it on with --resume {name}", highlight=False)
        check_order(order)
        order = replace(order, data=data_name(order.base), code=code_digests())
        folder = begin(order, args.results)
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


def check_name(name: str) -> None:
    """A search's name is that of its folder. Raises UserError."""
    if (
        not name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        or not name[0].isalnum()
        or len(name) > 100
    ):
        raise UserError(f"--name: expected letters, digits, '-', '_' and '.', got {name[:60]!r}; choose another")


def run_again(args: argparse.Namespace, console: Console) -> None:
    """Carry on a search."""
    folder = search_folder(args.results, args.resume)
    given = [f"--{name.replace('_', '-')}" for name in ASKED if getattr(args, name) not in (None, False, [])]
    if given:
        raise UserError(f"--resume: expected no {given[0]} beside it, got one; a search is carried on as it was begun")
    how = how_of(args)
    from search.order import owned

    with owned(folder), ray_beside_imports(args.address) as resources:
        from search.folders import carry_on

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
    from search.driver import Search
    from search.order import owned

    folder = search_folder(args.results, args.rebuild)
    with owned(folder):
        outcome = Search(folder, args.results, how_of(args), console).rebuild()
    show(outcome, folder, args.results, console)


def show(outcome: Any, folder: Path, results: Path, console: Console) -> None:
    """The end of a search: leaderboard, verdict, next command."""
    from search.screen import leaderboard_table, next_command, verdict_line

    if not outcome.standings:
        raise UserError(
            f"{folder}: expected a trial that reached its budget, got none; see why in {folder / 'trials.csv'}"
        )
    console.print(leaderboard_table(outcome.standings, folder.name))
    console.print(verdict_line(outcome.standings), highlight=False)
    console.print(f"{folder}", highlight=False)
    console.print(f"next: {next_command(outcome.standings, results)}", highlight=False)


def run_list(args: argparse.Namespace, console: Console) -> None:
    """Spaces and searches."""
    from search.folders import listed
    from search.space import space_names

    table = Table("space", "what it asks", title="Spaces (configs/spaces)", title_justify="left")
    for name, about in space_names(SPACES):
        table.add_row(name, about)
    console.print(table)
    table = Table("search", "state", "data", "trials", title=f"Searches in {args.results}", title_justify="left")
    for row in listed(args.results):
        table.add_row(*row)
    console.print(table)


def run_dry(args: argparse.Namespace) -> None:
    """Print what would be done."""
    from search.space import load_space

    order = new_order(args)
    table: CodeTable = read_codes(Path(order.config), args.results)
    print(dump_yaml(order.base), end="")
    if order.algorithm == "grid":
        space = load_space(args.space, table, order.base, SPACES)
        for number, point in enumerate(space.grid(order.base, table)[: order.trials], 1):
            print(f"# trial {number}: " + ", ".join(f"{name}={value}" for name, value in point.items()))
    most = order.trials + order.finalists * order.seeds
    print(
        f"# {order.trials} trials by {order.algorithm}, {order.finalists} finalists with {order.seeds} seeds: "
        f"at most {most} trainings of {order.base.train.steps} steps"
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
    elif args.resume:
        run_again(args, console)
    elif args.dry_run:
        run_dry(args)
    else:
        run_new(args, console)


def resume_words(args: argparse.Namespace) -> str:
    """The command that carries on: what the search is, it knows; how it is run is repeated."""
    words = ["python", "run_search.py", "--resume", args.resume]
    for option in ("results", "address", "storage", "cpus_per_trial", "gpus_per_trial", "concurrency"):
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
