"""Simulated hearts whose ST level rises or falls slowly, by a path that is known: what drift is judged on.

The simulator has a drift of its own, but plants it in another direction in every record and gives away its size alone.
Nothing in the ST segment says which direction counts as up, so a linear read-out can only go by T, which flattens with
it. Here hearts that stand still get an ST level in one direction, that of an anterior elevation, turned with the heart;
how large it becomes and how it goes over time is drawn as the simulator draws its own. Nothing else drifts, T neither.
Rises and falls are equally likely, so that a state which only settles from beat to beat follows none of them.

The records are written as arrays that any run may read (`--data arrays`); the truth lies beside them, where no run
looks.

Letters: R records, T samples, n beats.
"""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from ecggen.atomic import whole_file
from ecggen.config import SimulatorConfig
from ecggen.data import heart
from ecggen.data.pipeline import ECGDataset
from ecggen.data.recording import Recording
from ecggen.data.simulator import SimulatorSource, render_source
from ecggen.errors import UserError
from ecggen.leads import LEADS, nominal_directions
from ecggen.npy import load_arrays

SIGNALS, INDEX, TRUTH = "signals.npy", "records.csv", "truth.npz"
# ST vector of an anterior elevation, to the front and a little to the left: one of the simulator's territories.
ANTERIOR = np.array([0.35, 0.05, -0.93]) / np.linalg.norm([0.35, 0.05, -0.93])
LEVEL = 0.08  # mV, standard deviation over records of the level that drift reaches, the simulator's own
FOLDS = 10  # records are dealt to them in turn, so that the usual split holds: eight train, one chooses, one is judged
FS, SECONDS = 100.0, 10.0
_STREAM = 2  # of random numbers, apart from those of the simulator's class and record
_AROUND = 0.15  # s on both sides of an ectopic R peak that are marked


@dataclass(frozen=True)
class Planting:
    """What is planted, and in how many hearts.

    Attributes:
        records: over all folds.
        seed: of the population.
        level: mV, standard deviation over records of the level that is reached; 0 plants nothing.
        noise: scale of all noises, as the simulator's.
        ectopic: probability that a beat is ectopic; such beats get nothing planted.
    """

    records: int = 2560
    seed: int = 0
    level: float = LEVEL
    noise: float = 1.0
    ectopic: float = 0.05


@dataclass(frozen=True)
class Truth:
    """What was planted.

    Attributes:
        level: by record id, [T] mV, the ST level that a beat with its R peak at this sample was given.
        ectopic: by record id, [T] bool, True around the R peaks of beats that were given none.
    """

    level: dict[str, np.ndarray]
    ectopic: dict[str, np.ndarray]


def drift_path(time: np.ndarray, level: float, rng: Generator) -> np.ndarray:
    """ST level in mV at relative times 0..1 [T]: at most one turn within a record, its size drawn with sd `level`."""
    turns, phase = rng.uniform(0.3, 0.8), rng.uniform(0.0, 2.0 * np.pi)
    path: np.ndarray = rng.normal(0.0, level) * np.sin(2.0 * np.pi * turns * time + phase)
    return path


def planted_leads(recording: Recording, path: np.ndarray) -> np.ndarray:
    """What drift along `path` [T] mV adds to the leads of a simulated record: [12, T] mV.

    Every sinus beat gets the level of its own R peak, as the simulator's ST wave (a Gaussian that scales with the
    square root of RR) along `ANTERIOR`, turned with the heart and seen through Dower's lead vectors.
    """
    average, fs = heart.average_heart(), recording.fs
    peaks = recording.extra["r_peaks"]
    sinus = peaks[~recording.extra["ectopic"]]
    waves = np.flatnonzero(average.kind == heart.ST)
    axis = average.axis[waves]
    st = replace(
        average,
        axis=axis,
        kind=average.kind[waves],
        amplitude=path[sinus][:, None] * ANTERIOR[axis],
        centre=average.centre[waves],
        width=average.width[waves],
    )
    rr = np.full(len(sinus), np.median(np.diff(peaks)) / fs)
    source = render_source(st, sinus / fs, rr, recording.signal.shape[1] / fs, fs)
    added: np.ndarray = nominal_directions() @ recording.extra["rotation"] @ source
    return added


def plant(planting: Planting, folder: Path) -> None:
    """Write the records for `--data arrays --data-root folder`, and the truth beside them."""
    cfg = SimulatorConfig(
        records=planting.records,
        seed=planting.seed,
        noise=planting.noise,
        drift=0.0,
        ectopic=planting.ectopic,
        lost_leads=0.0,
    )
    source = SimulatorSource(cfg, SECONDS, FS)
    samples = round(SECONDS * FS)
    signals = np.empty((planting.records, len(LEADS), samples), np.float32)
    levels, ectopic = np.empty((planting.records, samples), np.float32), np.zeros((planting.records, samples), bool)
    rows = []
    for number, entry in enumerate(source.entries()):
        recording = next(iter(source.read(entry)))
        rng = np.random.default_rng([planting.seed, number, _STREAM])
        path = drift_path(np.arange(samples) / samples, planting.level, rng)
        signals[number] = recording.signal + planted_leads(recording, path)
        premature = recording.extra["r_peaks"][recording.extra["ectopic"]]
        levels[number], ectopic[number] = path, _marked(premature, samples, FS)
        rows.append((entry.id, FS, "mV", " ".join(LEADS), number % FOLDS + 1, ";".join(entry.labels or ())))
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / SIGNALS) as temporary, temporary.open("wb") as stream:
        np.save(stream, signals)
    with whole_file(folder / TRUTH) as temporary, temporary.open("wb") as stream:
        np.savez(stream, id=np.array([row[0] for row in rows]), level=levels, ectopic=ectopic)
    with whole_file(folder / INDEX) as temporary, temporary.open("w", newline="", encoding="utf-8") as text:
        table = csv.writer(text)
        table.writerow(("id", "fs", "unit", "leads", "fold", "label"))
        table.writerows(rows)


def _marked(peaks: np.ndarray, samples: int, fs: float) -> np.ndarray:
    """Where R peaks [n] are near, [T] bool."""
    near: np.ndarray = (np.abs(np.arange(samples)[:, None] - peaks) <= _AROUND * fs).any(1)
    return near


def read_truth(folder: Path) -> Truth:
    """What `plant` wrote into a folder. Raises UserError where there is none."""
    try:
        arrays = load_arrays(folder / TRUTH)
        ids, level, ectopic = arrays["id"], arrays["level"], arrays["ectopic"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: expected {TRUTH} of planted records, got none ({error}); plant them anew") from None
    names = [str(name) for name in ids]
    return Truth(dict(zip(names, level, strict=True)), dict(zip(names, ectopic, strict=True)))


def phantom(truth: Truth, seed: int) -> Truth:
    """Paths drawn as planted ones are, but planted nowhere: what must not be found in hearts that stand still."""
    levels = {}
    for number, (name, level) in enumerate(truth.level.items()):
        rng = np.random.default_rng([seed, number, _STREAM])
        levels[name] = drift_path(np.arange(len(level)) / len(level), LEVEL, rng)
    return replace(truth, level=levels)


def simulator_truth(dataset: ECGDataset, fs: float) -> Truth:
    """The simulator's own drift in the records of a split, between R peaks interpolated; its direction is not known."""
    levels, ectopic = {}, {}
    for at in range(len(dataset)):
        item = dataset[at]
        samples = np.arange(item["ecg"].shape[1])
        peaks, premature = item["true_r_peaks"].numpy(), item["ectopic"].numpy()
        levels[item["id"]] = np.interp(samples, peaks, item["drift"].numpy())
        ectopic[item["id"]] = _marked(peaks[premature], len(samples), fs)
    return Truth(levels, ectopic)
