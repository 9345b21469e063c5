#!/usr/bin/env python3
"""One run: train a heart state model, judge it, draw it, encode recordings with it. Thin: parse, call, print."""

import os

# Before torch is loaded. A thread that waits for work spins this often before it sleeps: kernels are small here, so
# sleeping at once doubles the time of a step on two free cores, and spinning for long multiplies it on busy ones.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
# Numpy's sums of a card are small, too. Threads of its own would spin on the cores that torch computes on.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ecggen.card import METRICS_FILE, print_card, read_card
from ecggen.codetable import read_codes
from ecggen.commandline import EXIT_FAULT, EXIT_INTERRUPTED, fault_line
from ecggen.config import RunConfig
from ecggen.configfile import apply_overrides, apply_settings, dump_yaml, get_setting, load_run_config
from ecggen.errors import Interrupted, UserError, one_line
from ecggen.leaderboard import best_folder
from ecggen.options import parser, refuse_strangers
from ecggen.runid import ensure_runid, parse_runid, run_hash, runid_of, settings_of
from ecggen.stepfolder import find_run, finished_runs

if TYPE_CHECKING:
    from ecggen.gallery import Choice

BEST = "best"  # stands for the run in the first row of results/leaderboard.csv
# Options that stand for a setting: option -> dotted path.
SHORTCUTS = {
    "data": "data.source",
    "data_root": "data.root",
    "steps": "train.steps",
    "seed": "train.seed",
    "threads": "train.threads",
    "device": "train.device",
}


def shortcuts(args: argparse.Namespace) -> dict[str, Any]:
    """Settings that have an option of their own, where they are given."""
    return {path: getattr(args, name) for name, path in SHORTCUTS.items() if getattr(args, name) is not None}


def changed(run: RunConfig, args: argparse.Namespace) -> RunConfig:
    """The run with the command line's own settings over it."""
    return apply_overrides(apply_settings(run, shortcuts(args)), args.set)


def resolve(args: argparse.Namespace) -> tuple[RunConfig, str]:
    """Settings and run id: the file's, over them the run id's codes, over those the command line's.

    A finished folder in place of the run id gives all its settings; the run id follows from what they become.
    """
    table = read_codes(args.config, args.results)
    if names_folder(args.runid):
        folder = find_run(args.results, args.runid)
        run, runid = changed(load_run_config(folder / "config.yaml"), args), folder.name.split("_")[0]
        same = all(get_setting(run, path) == value for path, value in settings_of(runid, table).items())
        return run, runid if same else runid_of(run, table) or ""
    run = load_run_config(args.config)
    if args.runid:
        run = apply_settings(run, settings_of(parse_runid(args.runid), table))
    run = changed(run, args)
    if args.runid:
        _refuse_contradiction(run, args.runid, settings_of(args.runid, table))
        return run, args.runid
    return run, runid_of(run, table) or ""


def names_folder(runid: str | None) -> bool:
    """Whether `--runid` is meant as the name of a finished folder."""
    return runid is not None and "_step" in runid


def _refuse_contradiction(run: RunConfig, runid: str, row: dict[str, object]) -> None:
    for path, value in row.items():
        if get_setting(run, path) != value:
            raise UserError(
                f"{path}: expected {value} because the run id is {runid}, got {get_setting(run, path)}; "
                "leave out --runid to have one found for these settings"
            )


def finished_folder(args: argparse.Namespace) -> Path | None:
    """The folder whose card is shown when no mode is given: the named run, unless other settings are asked for."""
    if args.mode is not None or not args.runid or args.force or args.resume or args.dry_run:
        return None
    asked = bool(shortcuts(args) or args.set)
    if names_folder(args.runid):
        if asked:
            raise UserError(
                f"--runid {args.runid}: expected no settings beside a finished run, got some; "
                "add --mode eval, or --mode train for a new run with them"
            )
        return find_run(args.results, args.runid)
    own = [run for run in finished_runs(args.results) if run.name.startswith(f"{args.runid}_step")]
    return find_run(args.results, args.runid) if own and not asked else None


def show(folder: Path, console: Console) -> None:
    """Print the card of a finished run."""
    print_card(read_card(folder), console)
    console.print(f"{folder}", highlight=False)


def run_train(args: argparse.Namespace, console: Console) -> None:
    """Train, judge, keep; then show the card."""
    from ecggen.runs import run_and_keep

    run, runid = resolve(args)
    runid = runid or ensure_runid(run, args.config, args.results)
    console.print(f"{runid}: {run.train.steps} steps on {run.data.source}", highlight=False)
    folder = run_and_keep(
        run, runid, args.results, resume=args.resume, force=args.force, quiet=args.quiet, say=console.print
    )
    show(folder, console)


def trained(args: argparse.Namespace) -> tuple[Path, RunConfig, RunConfig]:
    """The finished run that --mode eval and encode work with, its own settings, and the data that is asked for.

    Other data than the run's is read and judged as a whole: its splits and limits were about the training.
    """
    if not args.runid:
        raise UserError(f"--mode {args.mode}: expected --runid of a finished run, got none; name one, such as m1s1k1")
    folder = find_run(args.results, args.runid)
    own = load_run_config(folder / "config.yaml")
    run = own
    if args.data is not None or args.data_root is not None:
        run = replace(run, data=replace(run.data, root=None, limit=None), eval=replace(run.eval, split="all"))
    run = changed(run, args)
    train = replace(run.train, threads=own.train.threads, device=own.train.device)
    if run.model != own.model or train != own.train:
        raise UserError(
            f"--mode {args.mode}: expected changes of data.*, eval.*, threads and device only, got others; "
            f"{folder.name} is trained, train another run for other settings"
        )
    return folder, own, run


def run_eval(args: argparse.Namespace, console: Console) -> None:
    """Judge a finished run again, on its own data or on other."""
    from ecggen.atomic import write_json
    from ecggen.judging import evaluate
    from ecggen.runs import load_run

    folder, own, run = trained(args)
    if args.card == "full":
        from ecggen.evidence import judge_fully

        card, paths = judge_fully(folder, own, run, args.command)
        print_card(card, console)
        say_drawn(paths, [], console)
        return
    model, _ = load_run(folder)
    foreign = run.data != own.data
    card = evaluate(model, run, folder.name.split("_")[0], trained_on=own if foreign else None)
    name = METRICS_FILE if run == own else f"metrics_{run.data.source}_{run_hash(run)[:6]}.json"
    write_json(folder / name, card)
    print_card(card, console)
    console.print(f"{folder / name}", highlight=False)


def run_encode(args: argparse.Namespace, console: Console) -> None:
    """Write states and rendered leads of anyone's recordings."""
    from ecggen.data.pipeline import ALL, ECGDataset
    from ecggen.encode import encode_file
    from ecggen.runs import load_run

    if args.out is None:
        raise UserError("--mode encode: expected --out FILE.npz, got none; say where the states should go")
    out = checked_out(args.out)
    folder, _, run = trained(args)
    model, _ = load_run(folder)
    dataset = ECGDataset(run, ALL)
    states, index = encode_file(model.to(_device(run)), dataset, out)
    left_out = len(dataset.store.rejected)
    console.print(f"{len(dataset)} records encoded, {left_out} left out: {states}, {index}", highlight=False)
    for name, reason in dataset.store.rejected[:5]:
        console.print(one_line(f"  left out: {name}: {reason}"), highlight=False)


def choice_of(args: argparse.Namespace) -> "Choice":
    """The record that --mode plot and data are to show."""
    from ecggen.gallery import Choice

    seconds = {} if args.seconds is None else {"seconds": args.seconds}
    return Choice(args.index, args.record_id, args.start, visible=args.visible, out=args.out, **seconds)


def run_plot(args: argparse.Namespace, console: Console) -> None:
    """Draw one record as a finished run sees it: leads, source, basis, path of W."""
    from ecggen.gallery import draw_judged

    folder, _, run = trained(args)
    say_drawn(*draw_judged(folder, run, choice_of(args)), console)


def run_data(args: argparse.Namespace, console: Console) -> None:
    """Draw one raw recording and say what preprocessing makes of it."""
    from ecggen.gallery import draw_recording

    run, _ = resolve(args)
    say_drawn(*draw_recording(run, args.results, choice_of(args)), console)


def say_drawn(paths: list[Path], lines: list[str], console: Console) -> None:
    """Print what was seen, and where it was drawn."""
    for line in (*lines, *map(str, paths)):
        console.print(one_line(line), highlight=False)


def checked_out(out: Path) -> Path:
    """The file that encode writes, checked before any work. Raises UserError."""
    if out.is_dir():
        raise UserError(f"--out {out}: expected a file, got a folder; name a file in it, such as {out / 'states.npz'}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(f"--out {out}: expected a folder to write to, got: {fault.strerror}; choose another") from None
    return out


def _device(run: RunConfig) -> str:
    from ecggen.train import resolve_device

    return resolve_device(run.train.device).type


def run_dry(args: argparse.Namespace) -> None:
    """Print what would be done."""
    run, runid = resolve(args)
    print(dump_yaml(run), end="")
    print(f"# run id {runid or '(a new row would be added)'}, {run.train.steps} steps, hash {run_hash(run)[:6]}")


def main(argv: list[str] | None = None) -> int:
    """Entry point; the exit code."""
    args = parser().parse_args(argv)
    args.command = shlex.join(["python", *(sys.argv if argv is None else ["main.py", *argv])])
    width = None if sys.stdout is not None and sys.stdout.isatty() else 132
    console = Console(width=width, soft_wrap=True, markup=False, emoji=False)  # `[/x]` in a name is a name
    try:
        refuse_strangers(args)
        if args.runid == BEST:
            args.runid = best_folder(args.results)
        folder = finished_folder(args)
        if folder is not None:
            show(folder, console)
        elif args.dry_run:
            run_dry(args)
        else:
            modes = {"train": run_train, "eval": run_eval, "encode": run_encode, "plot": run_plot, "data": run_data}
            from ecggen.memory import room_for  # with torch, for which nothing above has to wait

            mode = args.mode or "train"
            with room_for(f"--mode {mode}", f"free memory and call it again{' with --resume' * (mode == 'train')}"):
                modes[mode](args, console)
    except (UserError, OSError) as error:
        print(fault_line(error), file=sys.stderr)
        return EXIT_FAULT
    except Interrupted as stopped:
        words = [word for word in (sys.argv if argv is None else ["main.py", *argv]) if word != "--resume"]
        print(f"{stopped}; carry on with: python {shlex.join(words)} --resume", file=sys.stderr)
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
