"""The table of faults, from what the tests noted: `make faults` runs the tests that inject faults and writes README.md.

`python -m tests.faults.table NOTES` writes the page from a file of notes (`$ECGGEN_FAULTS`, one JSON object a line).
"""

import json
import sys
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).with_name("README.md")
HEAD = """# Faults that are injected

Made by `python -m tests.faults.table` from the notes of {passed}; `make faults` runs them all.
Every row is a fault that was really injected, by tests of this folder and of `tests/search`, and
noted once the test's last assertion held. Work lost: trainings, or validations of a training, that were
on disk when the fault came and had to be done again.

| fault | times injected | work lost | behaviour |
|---|---|---|---|
"""
TAIL = """
{times} faults in all, {kills} of them SIGKILL; work lost: {lost}.
"""


def rows_of(notes):
    """One row a fault: what, times, lost, behaviour, in the order of the first note."""
    rows = {}
    for note in notes:
        row = rows.setdefault(note["fault"], [0, 0, note["behaviour"]])
        row[0] += note["times"]
        row[1] += note["lost"]
    return [(what, *row) for what, row in rows.items()]


def page_of(notes):
    """The page as Markdown."""
    rows = sorted(rows_of(notes))
    tests = Counter(note["test"] for note in notes)
    body = "".join(f"| {what} | {times} | {lost} | {said} |\n" for what, times, lost, said in rows)
    kills = sum(times for what, times, _, _ in rows if "SIGKILL" in what)
    times, lost = sum(row[1] for row in rows), sum(row[2] for row in rows)
    return HEAD.format(passed=f"{len(tests)} tests passed") + body + TAIL.format(times=times, kills=kills, lost=lost)


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    PAGE.write_text(page_of([json.loads(line) for line in lines]), encoding="utf-8")
