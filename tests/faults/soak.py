"""A search of 500 trivial trials, and what its driver holds on to meanwhile: memory and open files.

Run as `make soak` or `python -m tests.faults.soak [--trials N]`: two minutes on two cores. Each trial trains for a
moment, so that hours of a search's bookkeeping pass in minutes. The first trials load what all others use; from then on
the driver's resident memory may grow by a tenth at most, and the number of its open files not at all.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.live_search import of_kind, tiny_words

REPO = Path(__file__).resolve().parents[2]
GROWTH = 1.10  # of memory, from the warm driver to its end
FILES = 8  # files more that may be open in a moment: those of trials that begin and end just then
WARM = 50  # trials
SPACE = """
about: nothing
search: {{trials: {trials}, steps: 2, finalists: 1, seeds: 1}}
space: {{train.loss.smoothness: {{uniform: [0.0, 1.0]}}, train.loss.energy: {{uniform: [0.0, 1.0]}}}}
"""


def resident(pid):
    """MB of memory that a process holds."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def open_files(pid):
    """How many files, sockets and pipes it has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main(argv=None):
    """Prints a line every 50 trials and the verdict; the exit code is 1 where something grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=500)
    trials = parser.parse_args(argv).trials
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        base = Path(place)
        (base / "mine.yaml").write_text(SPACE.format(trials=trials))
        words = ["--space", "mine.yaml", "--name", "soak", "--results", "out", "--algorithm", "random", "--no-asha"]
        words += [*tiny_words(), "--set", "train.validate_every=2"]
        with (base / "said").open("w") as said:
            driver = subprocess.Popen(
                [sys.executable, str(REPO / "run_search.py"), *words],
                cwd=base, env={**os.environ, "ECGGEN_CACHE": str(base / "cache")}, stdout=said, stderr=said,
            )  # fmt: skip
        try:
            seen = watch(driver, base / "said", trials)
        finally:
            driver.kill() if driver.poll() is None else None
        assert driver.returncode == 0, (base / "said").read_text()
        rows = of_kind(base / "out" / "searches" / "soak", "trial")
    whole = sum(row["status"] == "completed" for row in rows)
    warm, last = next(row for row in seen if row[0] >= WARM), seen[-1]
    growth = max(row[1] for row in seen if row[0] >= WARM) / warm[1]
    sys.stdout.write(
        f"{whole} of {trials} trials whole; memory of the driver {warm[1]:.0f} MB after {warm[0]}, {last[1]:.0f} MB "
        f"after {last[0]}, at most {growth:.3f} of the first; open files {warm[2]}, {last[2]}\n"
    )
    return int(not (whole == len(rows) == trials and growth <= GROWTH and last[2] <= warm[2] + FILES))


def watch(driver, said, trials):
    """Trials that are over, MB, open files: every 50 trials, while trials are under way."""
    seen, step = [], 0
    while driver.poll() is None:
        over = len(re.findall(r"trial \d+/\d+ .*(?:completed|failed|stopped)", said.read_text()))
        if step <= over < trials:
            try:
                seen.append((over, resident(driver.pid), open_files(driver.pid)))
            except (OSError, TypeError):  # it ends
                break
            sys.stdout.write("{:4d} trials  {:6.1f} MB  {:4d} open files\n".format(*seen[-1]))
            sys.stdout.flush()
            step = (over // WARM + 1) * WARM if over + WARM < trials else over + (trials - over) // 2 + 1
        time.sleep(0.05)
    driver.wait()
    return seen


if __name__ == "__main__":
    sys.exit(main())
