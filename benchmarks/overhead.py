"""What a search costs beyond its trainings, beside plain Optuna and beside nothing at all.

    a   fixed cost: `run_search.py` as a user types it, by a straight line through few and many trivial trials
    b   cost of a trial: the slope of that line, less the trainings' own seconds
    c   the same by plain Optuna: as many processes as cores on one sqlite study, which call `ecggen.train.train`
    d   efficiency: eight real trials, against the same trainings one by one, and against plain processes side by side

Run as `python benchmarks/search.py`, on cores that nothing else uses; `taskset -c 0,1` chooses two. Everything is kept
in a temporary folder, which is removed. Nothing is imported from the package `search`: the name is this file's, too.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
V1 = REPO / "configs" / "train" / "v1.yaml"
PARTS = ("a", "b", "c", "d")
CORES = len(os.sched_getaffinity(0))
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
TURNED = ("train.loss.smoothness", "train.loss.energy")  # by the trivial trials, 0 to 1
POINTS = 8  # of d, equal in cost: weights of a loss term
CALIBRATION = 40  # steps from which those of d are reckoned

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
# The end of a search done again: its folder, a new results folder -> seconds.
CONCLUDE = """
import json, sys, time
from pathlib import Path
from search.driver import Ledger, conclude, read_order
folder, results = map(Path, sys.argv[1:])
for path in folder.glob("*/*/judged.npz"):
    path.unlink()
order, ledger = read_order(folder), Ledger(folder)
begin = time.perf_counter()
conclude(order, ledger, results, 1, lambda text: None)
print(json.dumps(time.perf_counter() - begin))
"""
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
    seconds: float = 60.0  # that a training of d takes alone
    alone: int = POINTS  # of the trainings of d that are measured alone and side by side; the others count as these


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


class Bench:
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


def line(bench: Bench, sizes: Sizes, measure: Any) -> Line:
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


def searches(bench: Bench, sizes: Sizes) -> Line:
    """Searches of trivial trials, every one in a results folder of its own."""
    space = bench.folder / "trivial.yaml"
    entries = "".join(f"  {name}: {{uniform: [0.0, 1.0]}}\n" for name in TURNED)
    space.write_text(f"about: trials that cost nothing\nspace:\n{entries}", "utf-8")

    def measure(trials: int, repeat: int) -> tuple[float, float]:
        name = f"trivial-{trials}-{repeat}"
        wall = bench.search(name, space, trials, TRIVIAL, "--algorithm", "random")
        return wall, sum(float(row["seconds"]) for row in bench.trials(name))

    return line(bench, sizes, measure)


def plain_studies(bench: Bench, sizes: Sizes) -> Line:
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


def show_trivial(bench: Bench, sizes: Sizes, parts: str) -> None:
    """The table of a, b and c."""
    bench.told(TRAIN, bench.settings("warm", TRIVIAL))  # simulates the records, and wakes the disk
    ours = searches(bench, sizes)
    plain = plain_studies(bench, sizes) if "c" in parts else None
    keeping = statistics.median(bench.keeping(f"trivial-{sizes.few}-{repeat}") for repeat in range(sizes.repeats))
    timings = [bench.told(RAY) for _ in range(sizes.repeats)]
    start, end = (statistics.median(found) for found in zip(*timings, strict=True))
    bare = ours.fixed - max(0.0, keeping - end)
    print(f"\nTrivial trials of {TRIVIAL['train.steps']} steps; s, medians of {sizes.repeats}; random points, no ASHA")
    print("| | run_search.py | plain Optuna | wanted |\n|---|---|---|---|")
    rows = {
        f"wall, {sizes.few} trials": (ours.few, plain and plain.few, ""),
        f"wall, {sizes.many} trials": (ours.many, plain and plain.many, ""),
        "fixed: the line at no trials": (ours.fixed, plain and plain.fixed, ""),
        "a: fixed, less what keeping the best trial adds": (bare, plain and plain.fixed, "<= 8"),
        "a trial: slope of the line": (ours.slope, plain and plain.slope, ""),
        "its training, as `train` says": (ours.own, plain and plain.own, ""),
        f"b: a trial, less its training / {CORES}": (ours.cost, plain and plain.cost, "<= 0.15"),
    }
    for name, (one, other, wanted) in rows.items():
        print(f"| {name} | {one:.3f} | {'' if other is None else f'{other:.3f}'} | {wanted} |")
    print(
        f"Keeping the best trial (judging, head, card, figure) alone takes {keeping:.2f} s; in a search Ray ends\n"
        f"meanwhile, so that it adds what it takes longer. Ray alone starts in {start:.2f} s and ends in {end:.2f} s.\n"
        "Plain Optuna keeps no models, tables or settings, and nothing of an interrupted training."
    )


def show_efficiency(bench: Bench, sizes: Sizes) -> None:
    """The table of d. The trainings alone are measured before and after all else, half and half."""
    probe = bench.settings("probe", {"train.steps": CALIBRATION, "train.validate_every": CALIBRATION})
    bench.told(TRAIN, probe)  # simulates the records
    steps = max(CALIBRATION, round(sizes.seconds / bench.told(TRAIN, probe)[0] * CALIBRATION))
    budget = {"train.steps": steps, "train.validate_every": steps}
    weights = [round(0.001 * point, 3) for point in range(1, POINTS + 1)]
    space = bench.folder / "equal.yaml"
    space.write_text(f"about: eight trials of equal cost\nspace:\n  {TURNED[0]}: {{choice: {weights}}}\n", "utf-8")
    runs = [bench.settings(f"equal-{weight}", {**budget, TURNED[0]: weight}) for weight in weights[: sizes.alone]]
    half = len(runs) // 2
    alone = list(bench.told(TRAIN, *runs[:half]))
    beside = side_by_side(bench, runs)
    wall = bench.search("equal", space, POINTS, budget, "--algorithm", "grid", "--concurrency", "2")
    alone += bench.told(TRAIN, *runs[half:])
    trials = [float(row["seconds"]) for row in bench.trials("equal")]
    keeping = bench.keeping("equal")
    ideal = statistics.mean(alone) * POINTS / 2
    print(f"\nEight trainings of {steps} steps on one thread each, two at a time")
    print("| | seconds | to alone / 2 | wanted |\n|---|---|---|---|")
    rows = [
        (f"alone, one after the other ({len(alone)} measured): a training", statistics.mean(alone), None, ""),
        ("alone / 2: all eight on two cores at no loss", ideal, 1.0, ""),
        (f"plain processes side by side ({len(runs)} measured): a training", statistics.mean(beside), None, ""),
        ("all eight so, two at a time: the hardware's loss", *_to(statistics.mean(beside) * POINTS / 2, ideal), ""),
        ("in the search: a training, as `train` says", statistics.mean(trials), None, ""),
        ("the search as typed, start, end and keeping the best included", *_to(wall, ideal), "<= 1.15"),
        ("less keeping the best", *_to(wall - keeping, ideal), ""),
    ]
    for name, seconds, ratio, wanted in rows:
        print(f"| {name} | {seconds:.1f} | {'' if ratio is None else f'{ratio:.3f}'} | {wanted} |")
    spread = f"{min(alone):.1f} to {max(alone):.1f} s"
    print(f"Alone: {spread}; keeping the best {keeping:.1f} s; against the hardware the search takes "
          f"{wall / (statistics.mean(beside) * POINTS / 2):.3f}.")  # fmt: skip


def side_by_side(bench: Bench, runs: Sequence[Path]) -> list[float]:
    """Seconds of trainings in two plain processes at a time."""
    processes = [bench.start("-c", TRAIN, *runs[first::2]) for first in range(2)]
    return [seconds for process in processes for seconds in told(process)]


def _to(seconds: float, ideal: float) -> tuple[float, float]:
    return seconds, seconds / ideal


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), metavar="a,b,c,d", help="parts to measure")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works, not to quote")
    args = parser.parse_args()
    parts = args.only.replace(",", "")
    if not parts or set(parts) - set(PARTS):
        parser.error(f"--only: expected some of {','.join(PARTS)}, got {args.only!r}")
    sizes = Sizes(few=2, many=12, repeats=1, seconds=6.0, alone=2) if args.quick else Sizes()
    names = ", ".join(f"{name} {version(name)}" for name in ("ray", "optuna", "torch"))
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()}"
    print(f"{CORES} cores, {names}; load before {load}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ecggen-bench-") as folder:
        bench = Bench(Path(folder))
        if set(parts) & set("abc"):
            show_trivial(bench, sizes, parts)
        if "d" in parts:
            show_efficiency(bench, sizes)


if __name__ == "__main__":
    main()
