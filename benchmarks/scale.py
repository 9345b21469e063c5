"""How the cost of a search grows with its trials, and how long a long table takes to read.

    a trial     processor time of everything the driver does for one trial, at 100 and at 2,000 of them. The driver is
                the search's own, with its study, tables, event files and screen; only the training and Ray are left
                out: in place of a worker a finished result is written, outside the clock. The cost
                at 100 is the mean of two searches, one before and one after the others. What the sampler itself takes
                to choose a point (TPE looks through all trials there are for what they have in common, and fits them)
                is Optuna's, and shown apart.
    table       trials.csv of 10,000 rows: read back and ranked

Run as `python benchmarks/scale.py`; `taskset -c 0,1` chooses two cores. Everything is kept in a temporary folder, which
is removed.
"""

import argparse
import csv
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.samplers import RandomSampler, TPESampler
from rich.console import Console

from ecggen.atomic import write_json
from ecggen.checkpoint import MODEL_FILE
from ecggen.config import RunConfig
from ecggen.configfile import apply_settings, from_dict, load_run_config
from ecggen.eval import VALIDATION
from ecggen.runid import run_hash
from search import driver
from search.ledger import Ledger, ranked
from search.order import How, Order, write_order
from search.searcher import LedgerSearcher
from search.share import Resources
from search.summary import COLUMNS, TRIALS_FILE, trial_row, write_table
from search.trial import message
from search.trialfile import COMPLETED, RESULT_FILE, WHOLE, Trial

REPO = Path(__file__).resolve().parents[1]
V1 = REPO / "configs" / "train" / "v1.yaml"
FEW, ROWS = 100, 10_000
AROUND = 40  # trials on each side of a number, whose median is its cost
VALIDATIONS = 4  # reports of a trial
REPEATS = 3
METRIC = "val_hidden_r"
CHOOSING = ("infer_relative_search_space", "sample_relative")  # a sampler's methods that make a point
# Every point needs a run id of its own, the costly case: both terms are part of the code table.
TURNED = {"train.loss.smoothness": {"uniform": [0.0, 1.0]}, "train.loss.energy": {"uniform": [0.0, 1.0]}}


@dataclass(frozen=True)
class Cost:
    """Seconds of one trial: of the processor, of it the sampler's own, and of the clock on the wall."""

    processor: float
    sampler: float
    wall: float


class Clocked:
    """Stands in for a round of Ray Tune: suggestion, reports and end of one trial after the other."""

    def __init__(self) -> None:
        self.costs: list[Cost] = []
        self.sampler = 0.0

    def sampling(self, function: Any) -> Any:
        """A sampler's method whose time counts as its own."""

        def sample(*args: Any) -> Any:
            begin = time.process_time()
            found = function(*args)
            self.sampler += time.process_time() - begin
            return found

        return sample

    def __call__(self, searcher: LedgerSearcher, scheduler: Any, setup: Any, *rest: Any) -> None:
        """As `run_round`."""
        while True:
            key, self.sampler = f"simulated-{len(self.costs)}", 0.0
            begin = time.process_time(), time.perf_counter()
            asked = searcher.suggest(key)
            ask = time.process_time() - begin[0], time.perf_counter() - begin[1]
            if not isinstance(asked, dict):
                return
            reports = self._train(searcher, searcher.live[key], from_dict(json.loads(asked["run"])))
            begin = time.process_time(), time.perf_counter()
            for report in reports[:-1]:
                searcher.on_trial_result(key, report)
            searcher.on_trial_complete(key, {**reports[-1], "complete": True})
            end = time.process_time() - begin[0], time.perf_counter() - begin[1]
            self.costs.append(Cost(ask[0] + end[0], self.sampler, ask[1] + end[1]))

    def _train(self, searcher: LedgerSearcher, trial: Trial, run: RunConfig) -> list[dict[str, Any]]:
        """What a worker leaves behind, and what it reports."""
        place = searcher.ledger.folder / trial.key
        rows = curve(run, random.Random(trial.number))
        (place / MODEL_FILE).write_bytes(b"")
        kept = {"hash": run_hash(run), "step": run.train.steps, "seconds": rows[-1]["seconds"], "best": rows[-1]}
        write_json(place / RESULT_FILE, {**kept, "history": rows})
        return [message(row) for row in rows]


def curve(run: RunConfig, rng: random.Random) -> list[dict[str, float]]:
    """A learning curve, as a training would have it."""
    last, budget = rng.uniform(0.2, 0.9), run.train.steps
    rows = []
    for at in range(1, VALIDATIONS + 1):
        step = float(budget * at // VALIDATIONS)
        row = {"step": step, "seconds": 0.01 * step, "train_loss": 1 / step}
        rows.append(row | dict.fromkeys(VALIDATION, last * step / budget))
    return rows


def order_of(algorithm: str, trials: int) -> Order:
    """A search of so many trials, none of which is repeated."""
    base = apply_settings(load_run_config(V1), {"train.steps": 400, "train.validate_every": 100, "train.threads": 1})
    content = {"about": "trials that nobody trains", "space": TURNED}
    return Order(
        name=algorithm, space="simulated", space_file="simulated.yaml", content=content, base=base, config=str(V1),
        trials=trials, algorithm=algorithm, metric=METRIC, asha=False, grace=100, reduction=3, finalists=0, seeds=0,
    )  # fmt: skip


def costs(algorithm: str, trials: int, results: Path) -> tuple[list[Cost], float]:
    """Processor and wall seconds of every trial of a simulated search; seconds to read and rank its folders."""
    folder = results / "searches" / algorithm
    own = {(sampler, name): getattr(sampler, name) for sampler in (TPESampler, RandomSampler) for name in CHOOSING}
    write_order(folder, order_of(algorithm, trials))
    clocked = Clocked()
    for (sampler, name), method in own.items():
        setattr(sampler, name, clocked.sampling(method))
    driver.run_round = clocked  # type: ignore[assignment]
    with (results / "said").open("w", encoding="utf-8") as said:
        search = driver.Search(folder, results, How(), Console(file=said))
        share = search.check(Resources(cpus=2, gpus=0, nodes=1, local=True))
        search._train(driver.Setup(search._storage(), None), share, driver.Clock(None))  # type: ignore[arg-type]
    for (sampler, name), method in own.items():
        setattr(sampler, name, method)
    begin = time.perf_counter()
    best = ranked(Ledger(folder).whole(), METRIC)
    spent = time.perf_counter() - begin
    if len(best) != trials:
        sys.exit(f"simulated search: expected {trials} trials in its folder, got {len(best)}")
    return clocked.costs, spent


def around(found: list[Cost], number: int) -> Cost:
    """Median cost of the trials about this number."""
    last = min(len(found), number + AROUND)
    window = found[max(0, last - 2 * AROUND) : last]
    return Cost(*(statistics.median(getattr(one, each.name) for one in window) for each in fields(Cost)))


def mean_of(one: Cost, other: Cost) -> Cost:
    """The mean of two measurements of the same."""
    return Cost(*((getattr(one, each.name) + getattr(other, each.name)) / 2 for each in fields(Cost)))


def long_table(folder: Path, repeats: int) -> list[tuple[str, float]]:
    """Seconds to write a table of many trials, to read it, and to rank what it holds."""
    rng, base = random.Random(0), order_of("random", 1).base
    trials = []
    for number in range(1, ROWS + 1):
        params = {name: rng.random() for name in TURNED}
        key = f"trials/{number:05d}_m1s1k{number}"
        trial = Trial(number, key, f"m1s1k{number}", f"{number:064x}", 0, base.train.steps, params, COMPLETED)
        trial.step, trial.seconds, trial.metrics = base.train.steps, 4.0, curve(base, rng)[-1]
        trials.append(trial)
    path = folder / TRIALS_FILE
    times = []
    for _ in range(repeats):
        at = [time.perf_counter()]
        write_table(path, (*COLUMNS, *TURNED, "hash", "folder"), (trial_row(trial, TURNED) for trial in trials))
        at.append(time.perf_counter())
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        whole = [row for row in rows if row["status"] in WHOLE]
        best = sorted(whole, key=lambda row: -float(row[METRIC] or "-inf"))
        at.append(time.perf_counter())
        frame = pd.read_csv(path)
        first = frame[frame.status.isin(WHOLE)].sort_values(METRIC, ascending=False).iloc[0]
        at.append(time.perf_counter())
        assert len(best) == ROWS and best[0]["runid"] == first.runid
        times.append([after - before for before, after in pairwise(at)])
    names = ("written", "read and ranked by csv", "read and ranked by pandas")
    return list(zip(names, (statistics.median(each) for each in zip(*times, strict=True)), strict=True))


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000, help="of a simulated search")
    parser.add_argument("--algorithms", default="random,optuna", help="that suggest points")
    args = parser.parse_args()
    print(f"Driver's ms for a trial of {VALIDATIONS} reports: medians of {2 * AROUND} trials around each number")
    print("| algorithm | trial | all | the sampler | the rest | to trial 100 | wall | wanted |\n" + "|---" * 8 + "|")
    for algorithm in args.algorithms.split(","):
        with tempfile.TemporaryDirectory(prefix="ecggen-bench-") as folder:
            found, reading = costs(algorithm, args.trials, Path(folder))
        with tempfile.TemporaryDirectory(prefix="ecggen-bench-") as folder:  # the machine may not be what it was
            again, _ = costs(algorithm, FEW + AROUND, Path(folder))
        first = mean_of(around(found, FEW), around(again, FEW))
        for number in sorted({FEW, args.trials // 4, args.trials // 2, args.trials}):
            cost = first if number == FEW else around(found, number)
            rest = cost.processor - cost.sampler
            cells = [f"{1e3 * part:.1f}" for part in (cost.processor, cost.sampler, rest)]
            cells += [f"{rest / (first.processor - first.sampler):.2f}", f"{1e3 * cost.wall:.1f}"]
            wanted = "<= 1.5" if number == args.trials else ""
            print(f"| {algorithm} | {number} | {' | '.join(cells)} | {wanted} |", flush=True)
        print(
            f"The folders of these {args.trials} trials are read and ranked in {reading:.2f} s, as a report does.",
            flush=True,
        )
    with tempfile.TemporaryDirectory(prefix="ecggen-bench-") as folder:
        print(f"\n{TRIALS_FILE} of {ROWS:,} rows; medians of {REPEATS}\n| | s | wanted |\n|---|---|---|")
        for name, seconds in long_table(Path(folder), REPEATS):
            print(f"| {name} | {seconds:.3f} | {'<= 1' if 'ranked' in name else ''} |")


if __name__ == "__main__":
    main()
