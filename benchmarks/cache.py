"""Time, memory and disk that the cache of preprocessed records takes, first and next start.

Run as `python benchmarks/cache.py --data ptbxl --data-root DIR`; without a folder PTB-XL is unpacked first. The cache
is built in a folder of its own, which is removed afterwards.
"""

import argparse
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from sandbox.memory import run
from sandbox.ptbxl import ptbxl

BUDGET = {
    "first start": "<= 60 s",
    "processor time of it": "all processes, imports too",
    "peak memory": "<= 2 GiB",
    "disk": "<= 2 GiB",
    "next start": "<= 3 s",
}
CHILD = """
import sys, time
if __name__ == "__main__":
    from ecggen.config import DataConfig, RunConfig
    from ecggen.data.pipeline import ECGDataset
    source, root, cache, workers = sys.argv[1:]
    data = DataConfig(source=source, root=root or None, cache=cache, workers=int(workers))
    begin = time.perf_counter()
    dataset = ECGDataset(RunConfig(data=data), "all")
    print(time.perf_counter() - begin, len(dataset), len(dataset.store.rejected))
"""


def main() -> None:
    """Parses, measures twice, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ptbxl", help="layout of the recordings")
    parser.add_argument("--data-root", default="", help="their folder")
    parser.add_argument("--workers", default="0", help="processes, 0 = one a core")
    args = parser.parse_args()
    recordings = ptbxl(args.data_root) if args.data == "ptbxl" else nullcontext(args.data_root)
    with recordings as root, tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "start.py"
        script.write_text(CHILD, encoding="utf-8")
        cache = Path(folder) / "cache"
        command = [sys.executable, str(script), args.data, str(root), str(cache), args.workers]
        first, memory, processor = run(command)
        following, _, _ = run(command)
        disk = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    rows = {
        "first start": f"{float(first[0]):.1f} s",
        "processor time of it": f"{processor:.1f} s",
        "peak memory": f"{memory / 2**30:.2f} GiB",
        "disk": f"{disk / 2**30:.2f} GiB",
        "next start": f"{float(following[0]):.2f} s",
    }
    print(f"{args.data}: {first[1]} windows, {first[2]} left out; imports are not counted, memory is of all processes")
    print("| | measured | PTB-XL folds 1-9, two cores |\n|---|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} | {BUDGET[name]} |")


if __name__ == "__main__":
    main()
