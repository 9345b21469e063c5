"""What a user asks for on the command line -> an `Order`, and what can be refused before a search begins.

Light: neither torch nor Ray is loaded here, so a fault is on screen at once, and before anything is on disk.
"""

import argparse
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from ecggen.codetable import read_codes
from ecggen.config import RunConfig
from ecggen.configfile import apply_overrides, apply_settings, check_setting, get_setting, load_run_config
from ecggen.errors import UserError
from ecggen.leaderboard import FIGURES
from search.order import SEARCHES, How, Order
from search.share import SMALLEST_SHARE, Resources, Share, plan
from search.space import SUFFIXES, load_space
from search.storage import Storage

HERE = Path(__file__).resolve().parent.parent
CONFIG = HERE / "configs" / "train" / "v1.yaml"
SPACES = HERE / "configs" / "spaces"
SMALL_GRID = 24  # points; a space of no more is tried as a whole
LEAST_GRACE = 20  # ASHA's first look is not before this part of the budget: an earlier one would judge by chance
SHORTCUTS = {
    "data": "data.source",
    "data_root": "data.root",
    "seed": "train.seed",
    "steps": "train.steps",
    "threads": "train.threads",
}


def new_order(args: argparse.Namespace) -> Order:
    """The order that the command line gives. Raises UserError."""
    config = (args.config or CONFIG).resolve()
    table = read_codes(config, args.results)
    base = base_run(args, config)
    space = load_space(args.space, table, base, SPACES)
    reduction = args.reduction_factor or 3
    if reduction < 2:
        raise UserError(f"--reduction-factor: expected 2 or more, got {reduction}; 3 lets one trial in three go on")
    base, grace = _with_budget(base, args, space.defaults.steps_for(base.data.source), reduction)
    size = space.grid_size(base, table)
    algorithm = args.algorithm or ("grid" if size is not None and size <= SMALL_GRID else "optuna")
    if algorithm == "grid":
        size = len(space.grid(base, table))  # refuses what is none
    return Order(
        name=args.name or f"{space.name}-{time.strftime('%Y%m%d-%H%M%S')}",
        space=space.name,
        space_file=str(space_path(args.space)),
        content=dict(space.content),
        base=base,
        config=str(config),
        trials=args.trials or (size if algorithm == "grid" and size else space.defaults.trials),
        algorithm=algorithm,
        metric=args.metric or FIGURES[0],
        asha=not args.no_asha,
        grace=grace,
        reduction=reduction,
        finalists=space.defaults.finalists if args.finalists is None else args.finalists,
        seeds=space.defaults.seeds if args.seeds is None else args.seeds,
        warm_start=tuple(args.warm_start),
    )


def base_run(args: argparse.Namespace, config: Path) -> RunConfig:
    """What every trial starts from, before the space's own budget. Raises UserError where options contradict --set."""
    run = load_run_config(config)
    given = {path: getattr(args, name) for name, path in SHORTCUTS.items() if getattr(args, name) is not None}
    run = apply_overrides(apply_settings(run, given), args.set)
    for name, path in SHORTCUTS.items():
        if path in given and get_setting(run, path) != check_setting(path, given[path]):
            raise UserError(
                f"--{name.replace('_', '-')} {given[path]}: expected the same as --set {path}, got "
                f"{get_setting(run, path)} there; leave one of them out"
            )
    places = {"data.root": run.data.root, "data.cache": run.data.cache}  # workers have folders of their own
    return apply_settings(run, {path: str(Path(p).expanduser().resolve()) for path, p in places.items() if p})


def _with_budget(
    base: RunConfig, args: argparse.Namespace, default: int | None, reduction: int
) -> tuple[RunConfig, int]:
    """The run with the search's budget, threads, and a validation at every rung of ASHA; and ASHA's grace."""
    named = {word.split("=", 1)[0].strip() for word in args.set}
    own = args.steps is not None or "train.steps" in named
    steps = base.train.steps if own or default is None else default
    grace = args.grace_steps or max(-(-steps // reduction**2), steps // LEAST_GRACE)
    if grace > steps:
        raise UserError(f"--grace-steps: expected at most the {steps} steps of a trial, got {grace}; lower it")
    every = base.train.validate_every if "train.validate_every" in named else grace
    own = args.threads is not None or "train.threads" in named
    threads = base.train.threads if own else max(1, int(args.cpus_per_trial or 1))
    changes = {"train.steps": steps, "train.validate_every": min(every, steps), "train.threads": threads}
    return apply_settings(base, changes), grace


def space_path(name: str) -> Path:
    """The file of a space: one of ours by its name, or one of the user's."""
    own = "/" in name or name.endswith(SUFFIXES)
    return Path(name).expanduser().resolve() if own else SPACES / f"{name}.yaml"


def how_of(args: argparse.Namespace) -> How:
    """How the search is run, apart from what it is. Raises UserError."""
    for name in ("time_budget", "trial_time_limit"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name.replace('_', '-')}: expected seconds, more than 0, got {value:g}; give it more")
    return How(
        args.address, args.storage, args.cpus_per_trial, args.gpus_per_trial, args.concurrency,
        args.trial_time_limit, args.time_budget, args.quiet,
    )  # fmt: skip


def check_name(name: str) -> None:
    """A search's name is that of its folder. Raises UserError."""
    if (
        not name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        or not name[0].isalnum()
        or len(name) > 100
    ):
        raise UserError(f"--name: expected letters, digits, '-', '_' and '.', got {name[:60]!r}; choose another")


def check_places(results: Path, storage: str | None) -> None:
    """Whether results and the trials' state can be written. Leaves no folder in results. Raises UserError."""
    folder = results / SEARCHES
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"--results {results}: expected to write there, got {error}; choose another") from error
    finally:
        for path in made:
            with suppress(OSError):  # another search has begun there, or it was never made
                path.rmdir()
    if storage is not None:
        Storage(storage).check()


def at_once(how: How) -> int | None:
    """Trials side by side as this machine's cores allow, without asking Ray; None where a cluster decides."""
    if how.address not in (None, "local"):
        return how.concurrency
    fit = max(1, int(_cores() // max(how.cpus or 1, SMALLEST_SHARE)))
    return min(fit, how.concurrency or fit)


def every_core(how: How, trials: int) -> bool:
    """Whether each core of this machine will have a trial of its own, so that workers may start before Ray is asked.

    Where there are GPUs these decide how many trials run at once, and only Ray knows them.
    """
    alone = how.gpus == 0 or shutil.which("nvidia-smi") is None
    return alone and trials >= _cores() == at_once(how) and how.address in (None, "local")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_share(how: How, resources: Resources) -> Share:
    """How Ray is cut into trials. Raises UserError where they do not fit what it has."""
    if resources.nodes > 1 and how.storage is None:
        raise UserError(
            "--storage: expected a folder that all nodes share, or a URI such as s3://bucket/path, got none; "
            "trials on other nodes could not keep their state"
        )
    return plan(resources, how.cpus, how.gpus, how.concurrency)
