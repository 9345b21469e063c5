"""What a search costs beyond its trainings, beside plain Optuna.

    fixed     `run_search.py` as a user types it, by a straight line through few and many trivial trials
    a trial   the slope of that line, less the trainings' own seconds
    plain     the same by plain Optuna: as many processes as cores on one sqlite study, which call `ecggen.train.train`

Run as `python benchmarks/overhead.py`, on cores that nothing else uses; `taskset -c 0,1` chooses two. Everything is
kept in a temporary folder, which is removed.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from typing import Any

from sandbox.searches import CORES, TRAIN, TURNED, Sandbox, finish, sandbox, told

# As little training as there is: what remains is the harness.
TRIVIAL: dict[str, Any] = {
    "data.simulator.records": 60,
    "model.tokenizer.beat_len": 40,
    "model.tokenizer.width": 16,
    "model.encoder.d_model": 16,
    "model.encoder.layers": 1,
    "model.encoder.heads": 2,
    "model.encoder.feedforward": 32,
    "model.fast_state.size": 24,
    "model.ttt.chunk_size": 4,
    "model.vcg.basis_k": 8,
    "train.steps": 2,
    "train.batch_size": 8,
    "train.validate_every": 2,
    "train.validate_records": 8,
    "eval.bootstrap": 20,
}

# One process of a plain study: storage, settings file, trials, seed, entries -> the trainings' own seconds.
OPTUNA = """
import json, sys
from pathlib import Path
import optuna
from ecggen.configfile import apply_settings, load_run_config
from ecggen.runid import two_digits
from ecggen.train import train
storage, path, trials, seed, *turned = sys.argv[1:]
base, own = load_run_config(Path(path)), []
def objective(trial):
    point = {name: two_digits(trial.suggest_float(name, 0.0, 1.0)) for name in turned}
    result = train(apply_settings(base, point), quiet=True)
    own.append(result.history[-1]["seconds"])
    return result.best["val_hidden_r"]
optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.load_study(study_name="plain", storage=storage, sampler=optuna.samplers.RandomSampler(int(seed)))
study.optimize(objective, n_trials=int(trials))
print(json.dumps(own))
"""
NEW_STUDY = "import sys, optuna; optuna.create_study(storage=sys.argv[1], study_name='plain', direction='maximize')"
# Seconds that Ray takes to start and to end.
RAY = """
import json, time
import search.driver
from search import cluster
begin = time.perf_counter()
cluster.start(None)
started = time.perf_counter()
cluster.stop()
print(json.dumps([started - begin, time.perf_counter() - started]))
"""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    few: int = 4
    many: int = 64
    repeats: int = 3


@dataclass(frozen=True)
class Line:
    """Wall time over trials: its straight line, and what the trainings themselves took."""

    few: float  # s, median wall with few trials
    many: float
    fixed: float  # s at no trials
    slope: float  # s a trial
    own: float  # s a trial that `train` says it took

    @property
    def cost(self) -> float:
        """Seconds a trial beyond its training, which has a core to itself."""
        return self.slope - self.own / CORES


def line(bench: Sandbox, sizes: Sizes, measure: Any) -> Line:
    """Few and many trials by `measure(trials, repeat) -> (wall, own seconds of all)`, medians over repeats."""
    walls: dict[int, list[float]] = {sizes.few: [], sizes.many: []}
    own = []
    for repeat in range(sizes.repeats):
        for trials, found in walls.items():
            wall, seconds = measure(trials, repeat)
            found.append(wall)
            if trials == sizes.many:
                own.append(seconds / trials)
    few, many = (statistics.median(found) for found in walls.values())
    slope = (many - few) / (sizes.many - sizes.few)
    return Line(few, many, few - sizes.few * slope, slope, statistics.median(own))


def searches(bench: Sandbox, sizes: Sizes) -> Line:
    """Searches of trivial trials, every one in a results folder of its own."""
    space = bench.folder / "trivial.yaml"
    entries = "".join(f"  {name}: {{uniform: [0.0, 1.0]}}\n" for name in TURNED)
    space.write_text(f"about: trials that cost nothing\nspace:\n{entries}", "utf-8")

    def measure(trials: int, repeat: int) -> tuple[float, float]:
        name = f"trivial-{trials}-{repeat}"
        wall = bench.search(name, space, trials, TRIVIAL, "--algorithm", "random")
        return wall, sum(float(row["seconds"]) for row in bench.trials(name))

    return line(bench, sizes, measure)


def plain_studies(bench: Sandbox, sizes: Sizes) -> Line:
    """The same trials by Optuna alone; making the empty study is not counted."""
    settings = bench.settings("trivial-run", TRIVIAL)

    def measure(trials: int, repeat: int) -> tuple[float, float]:
        storage = f"sqlite:///{bench.folder / f'plain-{trials}-{repeat}.db'}"
        finish(bench.start("-c", NEW_STUDY, storage))
        begin = time.perf_counter()
        share = [trials // CORES + (process < trials % CORES) for process in range(CORES)]
        words = [("-c", OPTUNA, storage, settings, count, seed, *TURNED) for seed, count in enumerate(share)]
        processes = [bench.start(*each) for each in words]
        own = sum(sum(told(process)) for process in processes)
        return time.perf_counter() - begin, own

    return line(bench, sizes, measure)


def show(bench: Sandbox, sizes: Sizes) -> None:
    """The table."""
    bench.told(TRAIN, bench.settings("warm", TRIVIAL))  # simulates the records, and wakes the disk
    ours = searches(bench, sizes)
    plain = plain_studies(bench, sizes)
    keeping = statistics.median(bench.keeping(f"trivial-{sizes.few}-{repeat}") for repeat in range(sizes.repeats))
    timings = [bench.told(RAY) for _ in range(sizes.repeats)]
    start, end = (statistics.median(found) for found in zip(*timings, strict=True))
    bare = ours.fixed - max(0.0, keeping - end)
    print(f"\nTrivial trials of {TRIVIAL['train.steps']} steps; s, medians of {sizes.repeats}; random points, no ASHA")
    print("| | run_search.py | plain Optuna | wanted |\n|---|---|---|---|")
    rows = {
        f"wall, {sizes.few} trials": (ours.few, plain.few, ""),
        f"wall, {sizes.many} trials": (ours.many, plain.many, ""),
        "fixed: the line at no trials": (ours.fixed, plain.fixed, ""),
        "fixed, less what keeping the best trial adds": (bare, plain.fixed, "<= 8"),
        "a trial: slope of the line": (ours.slope, plain.slope, ""),
        "its training, as `train` says": (ours.own, plain.own, ""),
        f"a trial, less its training / {CORES}": (ours.cost, plain.cost, "<= 0.15"),
    }
    for name, (one, other, wanted) in rows.items():
        print(f"| {name} | {one:.3f} | {other:.3f} | {wanted} |")
    print(
        f"Keeping the best trial (judging, head, card, figure) alone takes {keeping:.2f} s; in a search Ray ends\n"
        f"meanwhile, so that it adds what it takes longer. Ray alone starts in {start:.2f} s and ends in {end:.2f} s.\n"
        "Plain Optuna keeps no models, tables or settings, and nothing of an interrupted training."
    )


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works, not to quote")
    args = parser.parse_args()
    with sandbox() as bench:
        show(bench, Sizes(few=2, many=12, repeats=1) if args.quick else Sizes())


if __name__ == "__main__":
    main()
