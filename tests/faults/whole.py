"""What has to hold after a fault: what is marked as done is whole, and nothing is left that nobody wants."""

import re

from ecggen.checkpoint import load_model
from ecggen.leaderboard import read_leaderboard
from tests.live_search import rows

RUN = {
    *("config.yaml", "model.safetensors", "metrics.json", "history.csv", "rejected.csv", "run_info.json"),
    *("record.png", "record.npz", "DONE"),
}
SEARCH = {
    *("search.yaml", "space.yaml", "trials.csv", "steps.csv", "leaderboard.csv", "study.db", "report.html", "DONE"),
}
LEFT = re.compile(r"\..+\.\d+(\..+)?|.+\.unfinished|part-\d+.*|\..+\.npz")  # of a write that was cut off


def check_done(results):
    """Every folder that says it is done is whole; how many there are."""
    count = 0
    for folder in (*results.glob("m*_step*"), *results.glob("searches/*")):
        if (folder / "DONE").exists():
            count += 1
            names = {path.name for path in folder.iterdir()}
            assert names >= (RUN if "_step" in folder.name else SEARCH), f"{folder.name} is done and lacks a file"
            if "_step" in folder.name:
                load_model(folder / "model.safetensors")
                assert len({row["step"] for row in rows(folder / "history.csv")}) == len(rows(folder / "history.csv"))
            else:
                for row in read_leaderboard(folder / "leaderboard.csv"):
                    assert (results / row["folder"] / "DONE").exists()
    return count


def check_tidy(folder):
    """No file is left of a write that was cut off."""
    assert [str(path) for path in folder.rglob("*") if LEFT.fullmatch(path.name)] == []


def curve(rows):
    """A learning curve without its times, and apart from the way a number is written."""
    return [{name: float(value) for name, value in row.items() if name != "seconds"} for row in rows]
