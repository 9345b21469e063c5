"""Searches in processes of their own, so that they can be killed, interrupted and resumed as a user's would be."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
from optuna.trial import TrialState

from search.ledger import Ledger
from tests.conftest import REPO
from tests.tiny import as_options

# The run-id table and the search itself decide these.
OWN = ("model.fast_state.size", "model.vcg.basis_k", "train.steps", "train.validate_every", "train.threads")
FIGURES = ("step", "train_loss", "val_hidden_r", "val_hidden_r2", "val_r", "val_r2")
STATES = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
PATIENCE = 180  # s until something that has to happen is given up
ON_TWO_CORES = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
os.execv(sys.argv[1], sys.argv[1:])
"""


def tiny_words(**changes):
    """--set words of a run that trains in a second."""
    words = as_options(**changes)
    pairs = zip(words[::2], words[1::2], strict=True)
    return [word for pair in pairs if not pair[1].startswith(OWN) for word in pair]


class MissedError(AssertionError):
    """A search went well to its end before a moment of it was seen: on a busy machine two trials may never overlap."""


class Live:
    """A running run_search.py, in a session of its own: a terminal's Ctrl-C reaches all of its processes.

    It sees two cores, whatever machine this is: how many trials are under way at a time is part of what is tested.

    Args:
        folder: its working folder; what it says goes to files there.
        words: of the command line.
        environment: variables beside ours.
    """

    count = 0

    def __init__(self, folder, *words, **environment):
        Live.count += 1
        self.said = {name: folder / f"{name}-{Live.count}" for name in ("out", "err")}
        command = [sys.executable, str(REPO / "run_search.py"), *map(str, words)]
        with self.said["out"].open("w") as out, self.said["err"].open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", ON_TWO_CORES, *command],
                cwd=folder,
                env={**os.environ, **environment},
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self):
        return self.said["out"].read_text()

    @property
    def err(self):
        """What was said on stderr, but for the news of the cache."""
        lines = self.said["err"].read_text().splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("preprocessing"))

    def until(self, happened):
        """Wait for something; its value. An end before it is a fault."""
        end = time.monotonic() + PATIENCE
        while not (value := happened()):
            if self.process.poll() == 0:
                raise MissedError(f"over before it was seen: {self.out}")
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.out}\n{self.err}"
            assert time.monotonic() < end, f"waited in vain: {self.out}\n{self.err}"
            time.sleep(0.02)
        return value

    def end(self):
        """Wait for its end; the exit code."""
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.kill()

    def kill(self):
        """SIGKILL for the driver alone: Ray's processes and the workers have to notice by themselves."""
        self.process.kill()
        self.process.wait()

    def __del__(self):
        if self.process.poll() is None:  # the test failed
            self.kill()

    def interrupt(self):
        """Ctrl-C in its terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def workers(self):
        """Process ids of those that train."""
        return [pid for pid, words in session(self.process.pid) if words.startswith("ray::ImplicitFunc.train")]


def session(leader):
    """Process id and command line of every living process of a session."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stat = (place / "stat").read_text().rpartition(")")[2].split()
            if int(stat[3]) == leader and stat[0] != "Z":
                found.append((int(place.name), (place / "cmdline").read_text().replace("\0", " ")))
        except (OSError, IndexError):  # it ended
            continue
    return found


def rows(path):
    """A CSV."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def of_kind(folder, kind):
    """Rows of trials.csv."""
    return [row for row in rows(folder / "trials.csv") if row["kind"] == kind]


def figures(folder):
    """What came of every trial, by its hash: status, figures and learning curve, without times and numbers."""
    curves = {}
    for row in rows(folder / "steps.csv"):
        curves.setdefault(row["hash"], []).append(tuple(row[name] for name in FIGURES))
    return {
        row["hash"]: (
            row["kind"],
            row["status"],
            tuple(row[name] for name in (*FIGURES, "best_step")),
            curves[row["hash"]],
        )
        for row in rows(folder / "trials.csv")
    }


def states(folder):
    """Key -> when its result and, once it is over, its note were written."""
    found = {}
    for trial in Ledger(folder):
        if trial.status != "running":
            place = folder / trial.key
            files = ("result.json", "trial.json")
            found[trial.key] = {name: (place / name).stat().st_mtime_ns for name in files if (place / name).exists()}
    return found


def check_whole(folder, results):
    """A search that is finished: nothing doubled, a leaderboard whose folders are there, and a study that agrees."""
    table = rows(folder / "trials.csv")
    assert len({row["hash"] for row in table}) == len(table) == len({row["folder"] for row in table})
    points = [(row["hash"], row["step"]) for row in rows(folder / "steps.csv")]
    assert len(set(points)) == len(points)
    assert "running" not in {row["status"] for row in table}
    assert (folder / "DONE").is_file()
    for row in rows(folder / "leaderboard.csv"):
        assert (results / row["folder"] / "DONE").is_file()
    assert not list(folder.glob("*/*/training.pt")) and not list(folder.glob("*/*/*/training.pt"))
    check_study(folder)


def check_study(folder):
    """The Optuna study says of every trial what the tables say."""
    study = optuna.load_study(study_name="ecggen", storage=f"sqlite:///{folder / 'study.db'}")
    assert all(trial.state.is_finished() for trial in study.trials)
    for trial in Ledger(folder).trials:
        told = study.trials[trial.study]
        state = STATES[trial.status] if trial.curve else TrialState.FAIL  # without a report it has nothing to say
        assert told.state == state, f"{trial.key}: {trial.status}, {told.state}"
        assert told.user_attrs["trial"] == trial.key
        if trial.status == "completed":
            assert told.value == trial.metrics["val_hidden_r"]
        if state == TrialState.PRUNED:
            assert max(told.intermediate_values) == trial.step
