"""R-peak detectors beside each other on whole MIT-BIH records, and what a record costs.

Sensitivity and positive predictive value against the reference annotations: beats only, one-to-one within 75 ms (the
window of ANSI/AAMI EC57 halved), pooled over the records of a group; ventricular flutter is left out of both sides.
Ours sees both leads after the project's own preprocessing at 100 Hz; neurokit2 and wfdb's xqrs the first one at 360 Hz.
Run as `python benchmarks/rpeaks.py`; recordings are looked for in $ECGGEN_DATA, else ../shared/data. neurokit2 comes
with the `bench` extra.
"""

import contextlib
import io
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import wfdb
import wfdb.processing

from ecggen.config import SignalConfig
from ecggen.data.preprocess import filter_signal
from ecggen.data.rpeaks import detect_r_peaks

GROUPS = {"regular": ("100", "103", "105", "119", "200"), "hard": ("108", "203", "207")}
TARGETS = {"regular": 99.6, "hard": 97.0}  # per cent, sensitivity and positive predictive value
BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")  # annotation symbols that are heartbeats
TOLERANCE = 0.075 + 1e-6  # s, and room for the rounding of times that differ by exactly 75 ms
TIMED_RECORDS = 2000
TIMED_BATCH = 50
REPEATS = 5


@dataclass
class Annotated:
    """A record with its reference: `raw` [L, T] mV at `fs`, `filtered` [L, T'] at 100 Hz, times in seconds."""

    fs: float
    raw: np.ndarray
    filtered: np.ndarray
    beats: np.ndarray
    flutter: list[tuple[float, float]]


@dataclass
class Score:
    """Pooled counts of a detector."""

    matched: int = 0
    reference: int = 0
    detected: int = 0

    def add(self, record: Annotated, times: np.ndarray) -> None:
        """Counts one record's detections, in seconds."""
        reference, detected = (outside(record.flutter, values) for values in (record.beats, times))
        self.matched += count_matches(reference, detected)
        self.reference += len(reference)
        self.detected += len(detected)

    @property
    def sensitivity(self) -> float:
        """Share of reference beats that were found, in per cent."""
        return 100 * self.matched / max(self.reference, 1)

    @property
    def predictive_value(self) -> float:
        """Share of detections that are beats, in per cent."""
        return 100 * self.matched / max(self.detected, 1)


def data_folder() -> Path:
    """$ECGGEN_DATA, else ../shared/data beside the project."""
    return Path(os.environ.get("ECGGEN_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def read_mitdb(path: Path) -> Annotated:
    """One MIT-BIH record, `path` without its extension."""
    record = wfdb.rdrecord(str(path))
    annotation = wfdb.rdann(str(path), "atr")
    times, symbols = annotation.sample / record.fs, np.array(annotation.symbol)
    flutter = list(zip(times[symbols == "["].tolist(), times[symbols == "]"].tolist(), strict=True))
    raw = record.p_signal.T
    filtered = filter_signal(raw, record.fs, SignalConfig())
    return Annotated(record.fs, raw, filtered, times[np.isin(symbols, list(BEATS))], flutter)


def outside(episodes: list[tuple[float, float]], times: np.ndarray) -> np.ndarray:
    """The times that lie in none of the episodes."""
    keep = np.ones(len(times), dtype=bool)
    for start, end in episodes:
        keep &= (times < start) | (times > end)
    return times[keep]


def count_matches(reference: np.ndarray, detected: np.ndarray) -> int:
    """Greatest number of one-to-one pairs within the tolerance. Both ascend, so the earliest free partner is best."""
    i = j = matched = 0
    while i < len(reference) and j < len(detected):
        distance = detected[j] - reference[i]
        if abs(distance) <= TOLERANCE:
            matched += 1
        i += bool(distance >= -TOLERANCE)
        j += bool(distance <= TOLERANCE)
    return matched


def ours(record: Annotated) -> np.ndarray:
    """This project's detector on all leads, times in seconds."""
    ecg = torch.from_numpy(record.filtered).float()[None]
    fs = SignalConfig().fs
    return detect_r_peaks(ecg, fs=fs)[0].numpy() / fs


def neurokit(record: Annotated) -> np.ndarray:
    """neurokit2's default detector on the first lead."""
    return neurokit_peaks(record.raw[0], record.fs) / record.fs


def neurokit_peaks(lead: np.ndarray, fs: float) -> np.ndarray:
    """Sample indices by neurokit2's `ecg_clean` and `ecg_peaks` with their defaults."""
    import neurokit2  # an extra that only this comparison needs, and slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, on short or noisy records
        clean = neurokit2.ecg_clean(lead, sampling_rate=int(fs))
        return np.asarray(neurokit2.ecg_peaks(clean, sampling_rate=int(fs))[1]["ECG_R_Peaks"])


def xqrs(record: Annotated) -> np.ndarray:
    """wfdb's xqrs on the first lead."""
    return xqrs_peaks(record.raw[0], record.fs) / record.fs


def xqrs_peaks(lead: np.ndarray, fs: float) -> np.ndarray:
    """Sample indices by wfdb's xqrs with its defaults."""
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress
        return np.asarray(wfdb.processing.xqrs_detect(lead, fs, verbose=False))


def cost(records: list[Annotated]) -> dict[str, tuple[float, float]]:
    """Seconds a ten-second record on one thread, and its ratio to neurokit2's: medians over repeats, one after another.

    The records are stretches of the MIT-BIH records; of their two leads the twelve are made by repetition.
    """
    torch.set_num_threads(1)
    fs = SignalConfig().fs
    length = round(10 * fs)
    stretches = [piece for r in records for piece in torch.from_numpy(r.filtered).float().split(length, -1)[:-1]]
    ecg = torch.stack([stretches[i % len(stretches)].repeat(6, 1) for i in range(TIMED_RECORDS)])
    batches, few = ecg.split(TIMED_BATCH), ecg[:TIMED_BATCH, 0].double().numpy()
    runs: dict[str, tuple[Callable[[], object], int]] = {
        "neurokit2, one lead": (lambda: [neurokit_peaks(lead, fs) for lead in few], len(few)),
        "ours, 12 leads": (lambda: [detect_r_peaks(batch) for batch in batches], TIMED_RECORDS),
        "wfdb xqrs, one lead": (lambda: [xqrs_peaks(lead, fs) for lead in few], len(few)),
    }
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, (run, count) in runs.items():
            begin = time.perf_counter()
            run()
            found[name].append((time.perf_counter() - begin) / count)
    base = next(iter(found.values()))
    ratios = {name: [one / other for one, other in zip(times, base, strict=True)] for name, times in found.items()}
    return {name: (statistics.median(times), statistics.median(ratios[name])) for name, times in found.items()}


def main() -> None:
    """Prints the table and the cost of a record."""
    folder = data_folder() / "mitdb"
    if not folder.is_dir():
        raise SystemExit(f"recordings: looked for {folder}, not there; set ECGGEN_DATA to the folder that holds mitdb")
    groups = {group: [read_mitdb(folder / name) for name in names] for group, names in GROUPS.items()}
    print("| | " + " | ".join(f"{' '.join(names)}: sensitivity | PPV" for names in GROUPS.values()) + " |")
    print("|---" * (1 + 2 * len(GROUPS)) + "|")
    detectors = {"ours, both leads": ours, "neurokit2, first lead": neurokit, "wfdb xqrs, first lead": xqrs}
    for label, detector in detectors.items():
        cells = [label]
        for records in groups.values():
            score = Score()
            for record in records:
                score.add(record, detector(record))
            cells += [f"{score.sensitivity:.2f} %", f"{score.predictive_value:.2f} %"]
        print("| " + " | ".join(cells) + " |")
    print("| wanted | " + " | ".join(f">= {TARGETS[group]} % | >= {TARGETS[group]} %" for group in GROUPS) + " |")
    print(f"\nTen-second records, one thread, medians of {REPEATS}\n| | ms a record | to neurokit2 | wanted |")
    print("|---|---|---|---|")
    for name, (seconds, ratio) in cost(groups["regular"]).items():
        print(f"| {name} | {1e3 * seconds:.2f} | {ratio:.2f} | {'<= 0.5' if name.startswith('ours') else ''} |")


if __name__ == "__main__":
    main()
