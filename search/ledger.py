"""The trials of one search: what each is, how far it came, and where it is kept. The truth from which all else is made.

    results/searches/<name>/trials/<number>_<runid>/           one folder a trial
    results/searches/<name>/finalists/<runid>/seed<k>/         one folder a repeat of a finalist

`trialfile` has the files of each. A search that is carried on reads these folders again. Nothing of Ray's own state is
read back: a trial that was under way goes on from its own training state, and one that was finished before anybody
could note it is finished.
"""

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ecggen.atomic import target_of, write_json, write_text
from ecggen.config import RunConfig
from ecggen.configfile import dump_yaml, load_run_config
from ecggen.runid import run_hash
from search.trialfile import (
    CONFIG_FILE,
    FINALISTS,
    LATE,
    RESULT_FILE,
    RUNNING,
    STOPPED,
    TRIAL_FILE,
    TRIALS,
    WHOLE,
    Trial,
    absorb_result,
    is_finalist,
    read_all,
)


class Ledger:
    """All trials of one search, in memory and on disk.

    Args:
        folder: the search's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials: list[Trial] = []
        self.finalists: list[Trial] = []
        self._by_hash: dict[str, Trial] = {}
        self._begun: dict[str, RunConfig] = {}  # settings of trials that were made and not asked for yet
        for trial in sorted(read_all(folder), key=lambda one: (one.key.split("/")[0], one.number)):
            self._know(trial)
        # A folder that is there but could not be read keeps its number: its state and result belong to other settings.
        self._number = self._highest()

    def __iter__(self) -> Iterator[Trial]:
        return iter((*self.trials, *self.finalists))

    def equal(self, digest: str) -> Trial | None:
        """The trial of this search with the same hash, whatever became of it."""
        return self._by_hash.get(digest)

    def forget_unbegun(self) -> None:
        """Remove folders of trials that nobody knows: the search was killed between their settings and their note."""
        for place in (*self.folder.glob(f"{TRIALS}/*/"), *self.folder.glob(f"{FINALISTS}/*/*/")):
            names = {target_of(entry) or entry.name for entry in place.iterdir()}
            if names <= {CONFIG_FILE, TRIAL_FILE} and not (place / TRIAL_FILE).exists():
                shutil.rmtree(place)
        self._number = self._highest()

    def _highest(self) -> int:
        taken = (_number_of(place) for place in self.folder.glob(f"{TRIALS}/*/"))
        return max((*taken, *(trial.number for trial in self.trials)), default=0)

    def begin(self, run: RunConfig, runid: str, params: Mapping[str, Any], study: int | None = None) -> Trial:
        """A new trial, kept on disk before it starts."""
        self._number += 1
        return self._keep(self._number, f"{TRIALS}/{self._number:04d}_{runid}", run, runid, params, study)

    def begin_finalist(self, run: RunConfig, runid: str, params: Mapping[str, Any]) -> Trial:
        """A new repeat of a finalist, kept on disk before it starts."""
        number = max((trial.number for trial in self.finalists), default=0) + 1
        key = f"{FINALISTS}/{runid}/seed{run.train.seed}"
        if (self.folder / key).exists():  # two finalists of one id differ in what no code covers
            key = f"{FINALISTS}/{runid}_{run_hash(run)[:6]}/seed{run.train.seed}"
        return self._keep(number, key, run, runid, params, None, full=True)

    def _keep(
        self,
        number: int,
        key: str,
        run: RunConfig,
        runid: str,
        params: Mapping[str, Any],
        study: int | None,
        full: bool = False,
    ) -> Trial:
        train = run.train
        trial = Trial(number, key, runid, run_hash(run), train.seed, train.steps, dict(params), full=full, study=study)
        place = self.folder / key
        place.mkdir(parents=True, exist_ok=True)
        write_text(place / CONFIG_FILE, dump_yaml(run))
        self.write(trial)
        self._know(trial)
        self._begun[key] = run
        return trial

    def _know(self, trial: Trial) -> None:
        (self.finalists if is_finalist(trial) else self.trials).append(trial)
        self._by_hash[trial.hash] = trial

    def run_of(self, trial: Trial) -> RunConfig:
        """Settings of a trial. Raises UserError where they cannot be read."""
        run = self._begun.pop(trial.key, None)
        return load_run_config(self.folder / trial.key / CONFIG_FILE) if run is None else run

    def write(self, trial: Trial) -> None:
        """Note on disk what is known of a trial."""
        write_json(self.folder / trial.key / TRIAL_FILE, asdict(trial))

    def end(self, trial: Trial, status: str, reason: str = "") -> None:
        """The trial is over. One that is whole takes its figures from the checkpoint that was kept.

        Raises UserError, and changes nothing, where those cannot be read.
        """
        if status in WHOLE:
            absorb_result(trial, self.folder / trial.key)
        trial.status, trial.reason = status, reason
        self.write(trial)

    def unfinished(self) -> list[Trial]:
        """Trials that were under way when the search was left, oldest first."""
        return [trial for trial in self.trials if trial.status == RUNNING]

    def runners_up(self, metric: str, count: int) -> list[Trial]:
        """The best of the trials that ASHA stopped: those that came furthest, then by the metric."""
        stopped = [trial for trial in self.trials if trial.status == STOPPED and trial.curve]
        return sorted(stopped, key=lambda trial: (-trial.step, -_figure(trial, metric)))[: max(0, count)]

    def revive(self, trial: Trial, full: bool = True) -> None:
        """A stopped trial goes on: to its end, or with `full` false as far as ASHA lets it."""
        trial.status, trial.reason, trial.full = RUNNING, "", full
        self.write(trial)

    def late(self) -> list[Trial]:
        """Trials of the search that were stopped because time was up, not because of what they reached."""
        return [trial for trial in self.trials if trial.status == STOPPED and trial.reason.startswith(LATE)]

    def whole(self) -> list[Trial]:
        """Trials that reached the full budget."""
        return [trial for trial in self.trials if trial.status in WHOLE]


def ranked(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """Best first; those without a figure last. Raises AssertionError where one did not reach its budget."""
    trials = list(trials)
    assert all(trial.status in WHOLE for trial in trials), "ranking: expected trials of the full budget, got others"
    return sorted(trials, key=lambda trial: -_figure(trial, metric))


def _figure(trial: Trial, metric: str) -> float:
    value = trial.metrics.get(metric, math.nan)
    return value if math.isfinite(value) else -math.inf


def equal_runs(searches: Iterable[Path]) -> dict[str, Path]:
    """Hash -> folder of every whole training of these searches; what is damaged or lacks a model is left out."""
    found: dict[str, Path] = {}
    for folder in searches:
        for trial in read_all(folder):
            place = folder / trial.key
            if trial.status in WHOLE and (place / RESULT_FILE).is_file() and (place / "model.safetensors").is_file():
                found.setdefault(trial.hash, place)
    return found


def _number_of(place: Path) -> int:
    """The number that a trial's folder begins with, 0 where it is none."""
    digits = place.name.split("_")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else 0
