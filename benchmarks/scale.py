"""How the cost of a search grows with its trials, and how long a long table takes to read.

    a trial     processor and wall time of everything the driver does for one trial, at 100 and at 2,000 of them. The
                driver is the search's own, with its study, tables, event files and screen; only the training and Ray
                are left out: in place of a worker a finished result is written, outside the clock.
    table       trials.csv of 10,000 rows: read back and ranked

Run as `python benchmarks/scale.py`; `taskset -c 0,1` chooses two cores. Everything is kept in a temporary folder, which
is removed.
"""

import argparse
import csv
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from ecggen.atomic import write_json
from ecggen.checkpoint import MODEL_FILE
from ecggen.config import RunConfig
from ecggen.configfile import apply_settings, from_dict, load_run_config
from ecggen.runid import run_hash
from search import driver
from search.cluster import Resources
from search.ledger import COMPLETED, RESULT_FILE, WHOLE, Ledger, Trial
from search.order import How, Order, write_order
from search.searcher import LedgerSearcher
from search.summary import COLUMNS, TRIALS_FILE, trial_row, write_table
from search.trial import message

REPO = Path(__file__).resolve().parents[1]
V1 = REPO / "configs" / "train" / "v1.yaml"
FEW, ROWS = 100, 10_000
AROUND = 40  # trials on each side of a number, whose median is its cost
VALIDATIONS = 4  # reports of a trial
METRIC = "val_hidden_r"
# Every point needs a run id of its own, the costly case: both terms are part of the code table.
TURNED = {"train.loss.smoothness": {"uniform": [0.0, 1.0]}, "train.loss.energy": {"uniform": [0.0, 1.0]}}


class Clocked:
    """Stands in for a round of Ray Tune: suggestion, reports and end of one trial after the other."""

    def __init__(self) -> None:
        self.costs: list[tuple[float, float]] = []  # processor and wall seconds of each trial

    def __call__(self, searcher: LedgerSearcher, *rest: Any) -> None:
        """As `run_round`."""
        while True:
            key = f"simulated-{len(self.costs)}"
            begin = time.process_time(), time.perf_counter()
            asked = searcher.suggest(key)
            spent = _since(begin)
            if not isinstance(asked, dict):
                return
            reports = self._train(searcher, searcher.live[key], from_dict(_json(asked["run"])))
            begin = time.process_time(), time.perf_counter()
            for report in reports[:-1]:
                searcher.on_trial_result(key, report)
            searcher.on_trial_complete(key, {**reports[-1], "complete": True})
            self.costs.append(tuple(a + b for a, b in zip(spent, _since(begin), strict=True)))  # type: ignore[arg-type]

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
    last = rng.uniform(0.2, 0.9)
    steps = [run.train.steps * at // VALIDATIONS for at in range(1, VALIDATIONS + 1)]
    figures = ("val_hidden_r", "val_hidden_r2", "val_r", "val_r2")
    return [
        {"step": float(step), "seconds": 0.01 * step, "train_loss": 1 / step,
         **dict.fromkeys(figures, last * step / steps[-1])}
        for step in steps
    ]  # fmt: skip


def order_of(algorithm: str, trials: int) -> Order:
    """A search of so many trials, none of which is repeated."""
    base = apply_settings(load_run_config(V1), {"train.steps": 400, "train.validate_every": 100, "train.threads": 1})
    content = {"about": "trials that nobody trains", "space": TURNED}
    return Order(
        name=algorithm, space="simulated", space_file="simulated.yaml", content=content, base=base, config=str(V1),
        trials=trials, algorithm=algorithm, metric=METRIC, asha=False, grace=100, reduction=3, finalists=0, seeds=0,
    )  # fmt: skip


def costs(algorithm: str, trials: int, results: Path) -> list[tuple[float, float]]:
    """Processor and wall seconds of every trial of a simulated search."""
    folder = results / "searches" / algorithm
    write_order(folder, order_of(algorithm, trials))
    clocked = Clocked()
    driver.run_round = clocked  # type: ignore[assignment]
    search = driver.Search(folder, results, How(), Console(file=(results / "said").open("w")))
    share = search.check(Resources(cpus=2, gpus=0, nodes=1, local=True))
    search._train(driver.Setup(search._storage(), None), share, driver.Clock(None))  # type: ignore[arg-type]
    done = [trial for trial in Ledger(folder).trials if trial.status == COMPLETED]
    if len(done) != trials:
        sys.exit(f"simulated search: expected {trials} trials in its folder, got {len(done)}")
    return clocked.costs


def around(found: list[tuple[float, float]], number: int) -> tuple[float, float]:
    """Median cost of the trials about this number."""
    window = found[max(0, number - AROUND) : number + AROUND]
    processor, wall = (statistics.median(each) for each in zip(*window, strict=True))
    return processor, wall


def long_table(folder: Path, repeats: int) -> tuple[float, float, float]:
    """Seconds to write a table of many trials, to read it back, and to rank what it holds."""
    rng, base = random.Random(0), order_of("random", 1).base
    trials = [
        Trial(number, f"trials/{number:05d}_m1s1k{number}", f"m1s1k{number}", f"{number:064x}", 0, 400,
              {name: rng.random() for name in TURNED}, COMPLETED, step=400, seconds=4.0, metrics=curve(base, rng)[-1])
        for number in range(1, ROWS + 1)
    ]  # fmt: skip
    path = folder / TRIALS_FILE
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        write_table(path, (*COLUMNS, *TURNED, "hash", "folder"), (trial_row(trial, TURNED) for trial in trials))
        written = time.perf_counter()
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        read = time.perf_counter()
        whole = [row for row in rows if row["status"] in WHOLE]
        best = sorted(whole, key=lambda row: -float(row[METRIC] or "-inf"))
        times.append((written - begin, read - written, time.perf_counter() - read))
        assert len(best) == ROWS and float(best[0][METRIC]) >= float(best[-1][METRIC])
    return tuple(statistics.median(each) for each in zip(*times, strict=True))  # type: ignore[return-value]


def _since(begin: tuple[float, float]) -> tuple[float, float]:
    return time.process_time() - begin[0], time.perf_counter() - begin[1]


def _json(text: str) -> Any:
    import json

    return json.loads(text)


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000, help="of a simulated search")
    parser.add_argument("--algorithms", default="random,optuna")
    args = parser.parse_args()
    for algorithm in args.algorithms.split(","):
        with tempfile.TemporaryDirectory(prefix="ecggen-bench-") as folder:
            begin = time.perf_counter()
            found = costs(algorithm, args.trials, Path(folder))
            print(algorithm, f"{time.perf_counter() - begin:.1f} s", flush=True)
            for number in sorted({FEW, *range(250, args.trials, 250), args.trials - AROUND}):
                processor, wall = around(found, number)
                print(f"  {number}: {1e3 * processor:.1f} ms processor, {1e3 * wall:.1f} ms wall", flush=True)
    with tempfile.TemporaryDirectory(prefix="ecggen-bench-") as folder:
        print("10,000 rows: write, read, rank", long_table(Path(folder), 3))


if __name__ == "__main__":
    main()
