"""Searches and trainings in processes of their own, in a temporary folder: with these, searches are measured."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
V1 = REPO / "configs" / "train" / "v1.yaml"
CORES = len(os.sched_getaffinity(0))
TURNED = ("train.loss.smoothness", "train.loss.energy")  # by trials that are alike but for a number

# Settings files -> seconds of `train` for each.
TRAIN = """
import json, sys, time
from pathlib import Path
from ecggen.configfile import load_run_config
from ecggen.train import train
seconds = []
for path in sys.argv[1:]:
    run = load_run_config(Path(path))
    begin = time.perf_counter()
    train(run, quiet=True)
    seconds.append(time.perf_counter() - begin)
print(json.dumps(seconds))
"""
# The end of a search done again: its folder, a new results folder -> seconds.
CONCLUDE = """
import json, os, sys, time
import run_search  # as in a search: its threads, and what it has loaded by then
from pathlib import Path
from search.driver import Keepers, Ledger, _load_last, conclude, read_order
_load_last()
folder, results = map(Path, sys.argv[1:])
for path in folder.glob("*/*/judged.npz"):
    path.unlink()
order, ledger = read_order(folder), Ledger(folder)
with Keepers(len(os.sched_getaffinity(0)), 1) as keepers:
    keepers.start()
    time.sleep(5)  # in a search they have had the time
    begin = time.perf_counter()
    conclude(order, ledger, results, keepers, lambda text: None)
    seconds = time.perf_counter() - begin
print(json.dumps(seconds))
"""


class Sandbox:
    """A temporary folder, and what is run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(REPO), "ECGGEN_CACHE": str(folder / "cache")}

    def start(self, *words: object) -> subprocess.Popen[str]:
        """A Python process."""
        command = [sys.executable, *map(str, words)]
        files = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd=REPO, env=self.environment, text=True, **files)  # type: ignore[call-overload,no-any-return]

    def wall(self, *words: object) -> tuple[float, str]:
        """Seconds of a Python process from its start to its end, and what it printed."""
        begin = time.perf_counter()
        output = finish(self.start(*words))
        return time.perf_counter() - begin, output

    def told(self, script: str, *words: object) -> Any:
        """What a script prints as its last line."""
        return told(self.start("-c", script, *words))

    def search(self, name: str, space: Path, trials: int, settings: dict[str, Any], *more: str) -> float:
        """Seconds of a search as a user types it, results in a folder of its own."""
        words: list[object] = ["run_search.py", "--space", space, "--trials", trials, "--no-asha", "--finalists", 0]
        words += ["--results", self.folder / name, "--name", name, "--quiet", *more]
        words += [word for path, value in settings.items() for word in ("--set", f"{path}={value}")]
        seconds, _ = self.wall(*words)
        done = [row for row in self.trials(name) if row["status"] == "completed"]
        if len(done) != trials:
            sys.exit(f"search {name}: expected {trials} trials trained to their end, got {len(done)}")
        return seconds

    def trials(self, name: str) -> list[dict[str, str]]:
        """Rows of a search's trials.csv."""
        with (self.searched(name) / "trials.csv").open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def searched(self, name: str) -> Path:
        """The folder of a search."""
        return self.folder / name / "searches" / name

    def keeping(self, name: str) -> float:
        """Seconds that a search spends on judging its best trial and making its result folder."""
        return float(self.told(CONCLUDE, self.searched(name), self.folder / f"{name}-again"))

    def settings(self, name: str, settings: dict[str, Any]) -> Path:
        """A file of all settings of a run, on one thread."""
        from ecggen.configfile import apply_settings, dump_yaml, load_run_config

        path = self.folder / f"{name}.yaml"
        path.write_text(dump_yaml(apply_settings(load_run_config(V1), {**settings, "train.threads": 1})), "utf-8")
        return path


def finish(process: subprocess.Popen[str]) -> str:
    """What a process printed; ends the program where it failed."""
    output, errors = process.communicate()
    if process.returncode:
        sys.exit(f"a measured process failed:\n{output[-2000:]}{errors[-2000:]}")
    return output


def told(process: subprocess.Popen[str]) -> Any:
    """The last line that a process printed, as JSON."""
    return json.loads(finish(process).strip().splitlines()[-1])


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that is removed afterwards; says first on what machine this is."""
    names = ", ".join(f"{name} {version(name)}" for name in ("ray", "optuna", "torch"))
    print(f"{CORES} cores, {names}; load before {os.getloadavg()[0]:.1f} of {os.cpu_count()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ecggen-bench-") as folder:
        yield Sandbox(Path(folder))
