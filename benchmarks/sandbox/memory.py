"""A command and its children: what it says, the most memory that all of them hold at once, their processor time."""

import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SAMPLE_SECONDS = 2.0  # between two looks at the memory; a look costs the kernel some ten milliseconds


def run(command: list[str]) -> tuple[list[str], int, float]:
    """The words that a command prints, peak over time of the bytes of it and its children, and their processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(SAMPLE_SECONDS):
            peak = max(peak, family_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.perf_counter()
    output = process.communicate()[0]
    done.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"failed after {time.perf_counter() - begin:.0f} s")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output.split(), peak, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def family_memory(pid: int) -> int:
    """Memory of a process and its descendants by Linux's /proc; a page that several share counts once."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(family_memory(int(child)) for child in children.read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        pass
    return total
