"""The options of `main.py`, and which of them belong to which mode."""

import argparse
from pathlib import Path

from ecggen import __version__
from ecggen.commandline import Parser, number, whole_number
from ecggen.config import DEVICES, SOURCES
from ecggen.errors import UserError

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "train" / "v1.yaml"
# What there is to do, and for each the options that some others do not have.
MODES: dict[str, tuple[str, ...]] = {
    "train": ("resume", "force"),
    "eval": ("card",),
    "encode": ("out",),
    "plot": ("out", "index", "record_id", "visible", "start"),
    "data": ("out", "index", "record_id", "start", "seconds"),
}
CARDS = ("quick", "full")  # the first one where none is named
ABOUT = """One run: train a heart state model, judge it, draw it, encode recordings with it.

modes:
  train   train, judge and keep a run (the default where the named run is not finished)
  eval    judge a finished run again, on other data if asked
  plot    draw one record as a finished run sees it: leads, source, basis, path of W
  encode  write the states of recordings
  data    draw one raw recording and say what preprocessing makes of it; needs no run
"""
USAGE = "python main.py [--mode MODE] [--runid ID] [--data SOURCE --data-root DIR] [options]"
EXAMPLES = """examples:
  python main.py                                                   train on the built-in simulator and judge
  python main.py --runid m1s1k1                                    show the card of the finished run, else train it
  python main.py --mode data --data wfdb --data-root DIR           look at the first of one's own recordings
  python main.py --data ptbxl --data-root DIR --steps 8000         train on PTB-XL
  python main.py --runid m1s1k1 --mode plot --index 3 --visible I,II,V2
  python main.py --runid m1s1k1 --mode eval --data ptbxl --data-root DIR
  python main.py --runid m1s1k1 --mode eval --card full            the evidence: all rivals, probes, controls
  python main.py --runid m1s1k1 --mode encode --data wfdb --data-root DIR --out states.npz
  python main.py --runid best --mode train --seed 1                the settings of the best searched run, another seed
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser(ABOUT, USAGE, EXAMPLES)
    what = p.add_argument_group("what to do")
    what.add_argument("--mode", choices=tuple(MODES), help="default: the finished run's card, else train")
    what.add_argument("--runid", help="m#s#k#, a finished folder's name such as m1s1k1_step1000, or best (of searches)")
    what.add_argument("--card", choices=CARDS, help="eval: full adds rivals, probes with few labels, and controls")
    what.add_argument("--config", type=Path, default=CONFIG, help="settings (default: configs/train/v1.yaml)")
    what.add_argument("--results", type=Path, default=Path("results"), help="result folders (default: results)")
    what.add_argument("--out", type=Path, help="encode: .npz to write, an index goes beside it; plot, data: a folder")
    look = p.add_argument_group("what to look at, with --mode plot or data")
    look.add_argument("--index", type=whole_number(0), help="of the record in its split or source (default: 0)")
    look.add_argument("--record-id", metavar="ID", help="of the record, in place of --index")
    look.add_argument("--visible", metavar="LEADS", help="plot: leads that the model is shown (default: I,II,V2)")
    look.add_argument("--start", type=number(0), metavar="SECONDS", help="where the paper begins (default: 0)")
    look.add_argument("--seconds", type=number(0, above=True), help="data: length of the paper (default: 10)")
    data = p.add_argument_group("settings, over those of --config and --runid")
    data.add_argument("--data", choices=SOURCES, help="source of recordings (default: the config's, the simulator)")
    data.add_argument("--data-root", help="folder of the recordings")
    data.add_argument("--steps", type=int, help="optimizer steps")
    data.add_argument("--seed", type=int, help="seed of initial weights and of what each step sees")
    data.add_argument("--threads", type=int, help="torch threads, 0 = one a core")
    data.add_argument("--device", choices=DEVICES)
    data.add_argument("--set", action="append", default=[], metavar="a.b=c", help="any setting by its dotted path")
    how = p.add_argument_group("how")
    how.add_argument("--resume", action="store_true", help="carry on an unfinished run of the same settings")
    how.add_argument("--force", action="store_true", help="begin anew where an equal run is finished or unfinished")
    how.add_argument("--dry-run", action="store_true", help="print the resolved settings and the folder, do nothing")
    how.add_argument("--quiet", action="store_true", help="no progress bar")
    how.add_argument("--version", action="version", version=f"ecggen {__version__}")
    return p


def refuse_strangers(args: argparse.Namespace) -> None:
    """Raises UserError for an option that the mode would ignore."""
    mode = args.mode or "train"
    if args.runid == "":
        raise UserError("--runid: expected a run id such as m1s1k1, got an empty word; name one, or leave it out")
    for option in sorted({option for options in MODES.values() for option in options} - set(MODES[mode])):
        value = getattr(args, option)
        if value is not None and value is not False:
            belongs = " or ".join(mode for mode, options in MODES.items() if option in options)
            name, got = "--" + option.replace("_", "-"), f"--mode {args.mode}" if args.mode else "no mode"
            raise UserError(f"{name}: expected --mode {belongs} beside it, got {got}; leave one out")
