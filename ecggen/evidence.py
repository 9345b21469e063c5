"""The full card of a finished run: all that the short one says, every rival and control, and where it comes from.

<run folder>/  metrics_full.json  everything;  card.csv  the same as long rows;  card.md  the same to read
"""

import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ecggen import __version__
from ecggen.acceleration import resolve_threads
from ecggen.atomic import write_json, write_text
from ecggen.cardrows import card_rows, rows_as_csv
from ecggen.cardtext import card_as_markdown
from ecggen.config import RunConfig
from ecggen.eval import judging_split
from ecggen.judging import evaluate
from ecggen.plainfile import read_plain
from ecggen.readouts import readout_card
from ecggen.runid import run_hash
from ecggen.runs import load_run
from ecggen.stepfolder import DONE

FULL_FILE = "metrics_full.json"
REPO = Path(__file__).resolve().parents[1]


def judge_fully(folder: Path, own: RunConfig, run: RunConfig, command: str) -> tuple[dict[str, Any], list[Path]]:
    """Make the full card of a finished run and leave it in the run's folder.

    Args:
        folder: of the finished run.
        own: its settings.
        run: the same with the data to judge on and how.
        command: what the user typed, kept in the card.

    Returns:
        the card and the files written; on other data or settings than its own their names say so.
    """
    model, _ = load_run(folder)
    foreign = run.data != own.data
    began = time.perf_counter()
    card = evaluate(model, run, folder.name.split("_")[0], trained_on=own if foreign else None, every=True)
    judged = time.perf_counter()
    torch.set_num_threads(resolve_threads(run.train.threads))
    card["readouts"] = readout_card(model, own, judging_split(run)[1], run.eval.bootstrap, run.eval.limit)
    read = time.perf_counter()
    card["made"] = {
        "command": command,
        "commit": commit(),
        "settings": _hash_of(folder, own),
        "seed": own.train.seed,
        "folder": folder.name,
        "bootstrap": run.eval.bootstrap,
        "threads": run.train.threads,
        "seconds": {"reconstruction": round(judged - began, 1), "readouts": round(read - judged, 1)},
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    mark = "" if run == own else f"_{run.data.source}_{run_hash(run)[:6]}"
    return card, _keep(folder, card, mark)


def _keep(folder: Path, card: dict[str, Any], mark: str) -> list[Path]:
    whole = Path(FULL_FILE)
    paths = [folder / f"{whole.stem}{mark}{whole.suffix}", folder / f"card{mark}.csv", folder / f"card{mark}.md"]
    write_json(paths[0], card)
    write_text(paths[1], rows_as_csv(card_rows(card)))
    write_text(paths[2], card_as_markdown(card))
    return paths


def _hash_of(folder: Path, own: RunConfig) -> str:
    """The hash that the run was kept under; settings that came later would change one that is made now."""
    kept = ""
    with suppress(OSError, UnicodeDecodeError):
        kept = read_plain(folder / DONE).strip()
    return kept or run_hash(own)


def commit() -> str:
    """The commit of this code, `-dirty` where files differ from it; the version where it is no checkout."""
    words = ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    if (REPO / ".git").exists():
        try:
            done = subprocess.run(words, cwd=REPO, capture_output=True, text=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            return f"version {__version__}"
        return done.stdout.strip()
    return f"version {__version__}"
