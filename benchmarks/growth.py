"""How time and memory of the data grow with records and with beats: each figure a record or a second of ECG.

    first start   WFDB to cache, on all cores
    next start    opening it
    a pass        every record once, in batches as a training reads them
    memory        the most that is held at once: of all processes while the cache is built, and by the pass (without
                  what is mapped from the disk, which the system takes back when it wants)
    beats         R peaks and beat windows, as many beats in records of 10 s as in fewer of 80 s

Run as `python benchmarks/growth.py --data-root DIR`; without a folder PTB-XL is unpacked first. Caches are built in a
folder of their own, which is removed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from sandbox.memory import run
from sandbox.ptbxl import ptbxl

from ecggen.config import RunConfig
from ecggen.data.rpeaks import detect_r_peaks
from ecggen.data.tokenizer import ECGTokenizer

FEW, MANY = 1500, 12_000  # records
SHORT, LONG = 1, 8  # windows of ten seconds one behind the other
BATCH = 128  # windows that are looked through at once
REPEATS = 3
CHILD = """
import sys, time
if __name__ == "__main__":
    from ecggen.config import DataConfig, RunConfig
    from ecggen.data.pipeline import ECGDataset
    root, cache, limit = sys.argv[1:]
    run = RunConfig(data=DataConfig(source="ptbxl", root=root, cache=cache, limit=int(limit)))
    begin = time.perf_counter()
    dataset = ECGDataset(run, "all")
    opened = time.perf_counter()
    for at in range(0, len(dataset), 48):
        dataset.batch(range(at, min(at + 48, len(dataset))))
    passed = time.perf_counter()
    held = [line.split()[1] for line in open("/proc/self/status") if line.startswith("RssAnon")][0]
    print(opened - begin, passed - opened, held, len(dataset))
"""


def of_records(root: Path, records: int, folder: Path) -> dict[str, tuple[float, str]]:
    """What so many records cost: name of the figure -> figure, unit."""
    script, cache = folder / "pass.py", folder / f"cache-{records}"
    script.write_text(CHILD, encoding="utf-8")
    command = [sys.executable, str(script), str(root), str(cache), str(records)]
    (first, _, _, count), memory, _ = run(command)
    others = [run(command)[0] for _ in range(REPEATS)]
    following, passed, held = (statistics.median(float(other[at]) for other in others) for at in range(3))
    if abs(int(count) - records) > records // 10:
        sys.exit(f"records: expected about {records}, got {count}; give the whole of PTB-XL")
    return {
        "first start, a record": (1e3 * float(first) / records, "ms"),
        "next start, a record": (1e6 * following / records, "us"),
        "a pass, a record": (1e6 * passed / records, "us"),
        "memory while the cache is built": (memory / 2**20, "MiB"),
        "memory of a pass": (held / 2**10, "MiB"),
    }


def of_beats(cfg: RunConfig, windows: int) -> dict[str, tuple[float, str]]:
    """What beats cost in records of so many windows of ten seconds: R peaks, windows, beats of equal length."""
    torch.set_num_threads(1)
    tokenizer = ECGTokenizer(cfg.model.tokenizer, cfg.model.signal.fs)
    samples = round(10 * cfg.model.signal.fs)
    one = torch.sin(torch.linspace(0, 20 * torch.pi, samples)).pow(31)  # ten beats, a spike each
    ecg = (one.repeat(windows) + 0.01 * torch.randn(BATCH // windows, 12, samples * windows)).float()
    times: list[tuple[float, float]] = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        peaks = detect_r_peaks(ecg)
        found = time.perf_counter()
        tokenizer.cut(ecg, boundaries=tokenizer.boundaries_from_peaks(peaks, ecg.shape[-1]))
        times.append((found - begin, time.perf_counter() - found))
    beats = sum(len(record) for record in peaks)
    detecting, cutting = (statistics.median(each) for each in zip(*times, strict=True))
    return {"R peaks, a beat": (1e6 * detecting / beats, "us"), "windows, a beat": (1e6 * cutting / beats, "us")}


def show(few: dict[str, tuple[float, str]], many: dict[str, tuple[float, str]], sizes: tuple[str, str]) -> None:
    """A table of two sizes and their ratio."""
    print(f"\n| | {sizes[0]} | {sizes[1]} | ratio |\n|---|---|---|---|")
    for name, (value, unit) in few.items():
        print(f"| {name} | {value:.1f} {unit} | {many[name][0]:.1f} {unit} | {many[name][0] / value:.2f} |", flush=True)


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", default="", help="folder of PTB-XL")
    args = parser.parse_args()
    with ptbxl(args.data_root) as root, tempfile.TemporaryDirectory(prefix="ecggen-bench-") as folder:
        few, many = (of_records(root, records, Path(folder)) for records in (FEW, MANY))
    show(few, many, (f"{FEW:,} records", f"{MANY:,}"))
    short, long = (of_beats(RunConfig(), windows) for windows in (SHORT, LONG))
    show(short, long, (f"{10 * SHORT} s a record", f"{10 * LONG} s"))


if __name__ == "__main__":
    main()
