"""The options of `run_search.py`, grouped as one thinks of them: what, from what, how, where."""

from importlib.metadata import version
from pathlib import Path

from ecggen.commandline import Parser, number, whole_number
from ecggen.config import SOURCES
from ecggen.leaderboard import FIGURES

ALGORITHMS = ("optuna", "grid", "random")
ABOUT = """Search a named space of settings: trials that each train a model. The best are proved with fresh seeds, kept
in results/<runid>_step<N>/, with tables for pandas and a page to look at in results/searches/<name>/."""
USAGE = """python run_search.py --space NAME [options]
       python run_search.py --resume NAME [--extend N]
       python run_search.py --list"""
EXAMPLES = """examples:
  python run_search.py --space ttt_mode                            search on the built-in simulator
  python run_search.py --space ttt_mode --dry-run                  what that would train, and what it would cost
  python run_search.py --space joint --data ptbxl --data-root DIR --trials 32
  python run_search.py --resume ttt_mode-20260501-120000           carry on an interrupted search
  python run_search.py --resume ttt_mode-20260501-120000 --extend 8
  python run_search.py --list                                      spaces there are, searches there were
"""
STEPS = "budget of a trial (default: --set train.steps, else the space's, else the config's)"
GRACE = "steps before ASHA's first look (default: the budget over the squared reduction factor, a twentieth at least)"


def parser() -> Parser:
    """The command line."""
    p = Parser(ABOUT, USAGE, EXAMPLES)
    _what(p)
    _run(p)
    _how(p)
    _where(p)
    return p


def _what(p: Parser) -> None:
    what = p.add_argument_group("what to do")
    what.add_argument("--space", metavar="NAME", help="a name in configs/spaces, or a file: path/to/mine.yaml")
    what.add_argument("--resume", metavar="NAME", help="carry on a search that was left before its end")
    what.add_argument(
        "--extend", type=whole_number(1), metavar="N", help="with --resume: N more trials, finished or not"
    )
    what.add_argument(
        "--rebuild", metavar="NAME", help="make tables, page, leaderboard and promoted folders anew from the trials"
    )
    what.add_argument("--list", action="store_true", help="spaces and searches")
    what.add_argument("--dry-run", action="store_true", help="print what would be done and its cost, do nothing")
    what.add_argument("--version", action="version", version=f"ecggen {version('ecggen')}")


def _run(p: Parser) -> None:
    run = p.add_argument_group("what every trial starts from")
    run.add_argument(
        "--config", type=Path, metavar="FILE", help="settings and run-id table (default: configs/train/v1.yaml)"
    )
    run.add_argument("--data", choices=SOURCES, help="source of recordings (default: the config's, the simulator)")
    run.add_argument("--data-root", metavar="DIR", help="folder of the recordings")
    run.add_argument("--steps", "--max-steps", type=whole_number(1), metavar="N", help=STEPS)
    run.add_argument(
        "--seed", type=int, metavar="N", help="of trials and sampler; finalists get the seeds after it (default: 0)"
    )
    run.add_argument(
        "--threads", type=whole_number(1), metavar="N",
        help="torch threads a trial (default: --set train.threads, else its whole cpus)",
    )  # fmt: skip
    run.add_argument("--set", action="append", default=[], metavar="a.b=c", help="any setting by its dotted path")


def _how(p: Parser) -> None:
    how = p.add_argument_group("how to search")
    how.add_argument(
        "--trials", type=whole_number(1), metavar="N",
        help="how many (default: all points of a small grid, else the space's number)",
    )  # fmt: skip
    how.add_argument("--algorithm", choices=ALGORITHMS, help="default: grid for a small one, else optuna (TPE)")
    how.add_argument("--metric", choices=FIGURES, help="to be maximised (default: val_hidden_r)")
    how.add_argument("--no-asha", action="store_true", help="train every trial to its end (default: ASHA stops many)")
    how.add_argument("--grace-steps", type=whole_number(1), metavar="N", help=GRACE)
    how.add_argument(
        "--reduction-factor", type=whole_number(1), metavar="N",
        help="one trial in so many goes on at a rung (default: 3)",
    )  # fmt: skip
    how.add_argument(
        "--warm-start", nargs="+", default=[], metavar="NAME", help="searches whose results the sampler gets"
    )
    how.add_argument(
        "--finalists", type=whole_number(0), metavar="N", help="best trials that are repeated (default: 3)"
    )
    how.add_argument("--seeds", type=whole_number(0), metavar="N", help="fresh seeds a finalist (default: 3)")


def _where(p: Parser) -> None:
    where = p.add_argument_group("where, and how long")
    where.add_argument("--name", help="of the search's folder (default: <space>-<time>)")
    where.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="result folders (default: results)"
    )
    where.add_argument("--cpus-per-trial", type=number(0.0), metavar="N", help="cores of a trial (default: 1)")
    where.add_argument(
        "--gpus-per-trial", type=number(0.0), metavar="N",
        help="fractions share a GPU (default: a share, if there are any)",
    )  # fmt: skip
    where.add_argument(
        "--concurrency", type=whole_number(1), metavar="N", help="trials at a time (default: as many as fit)"
    )
    where.add_argument("--address", help="of a Ray cluster, such as auto or host:6379 (default: this machine)")
    where.add_argument(
        "--storage", metavar="PLACE", help="folder that all nodes share, or a URI: where trials keep their state"
    )
    where.add_argument(
        "--trial-time-limit", type=float, metavar="SECONDS", help="ends a trial that is hung or slow (default: none)"
    )
    where.add_argument(
        "--time-budget",
        type=float,
        metavar="SECONDS",
        help="ends the search with what there is by then (default: none)",
    )
    where.add_argument("--quiet", action="store_true", help="the end only: table, verdict, next command")
