"""A training that is killed at any moment is carried on, and comes to what it would have come to."""

import json
import math
import re

import pytest

from ecggen.checkpoint import load_training
from tests.faults.mortal import KILLED, Death
from tests.faults.whole import check_done, check_tidy, curve
from tests.live_search import rows
from tests.tiny import as_options

TRAIN = "tests.faults.deeds:train"
# A basis size that no code has yet, so that a row of the run-id table is written too.
SETTINGS = {
    "data__simulator__records": 30, "train__head": "none", "eval__bootstrap": 2, "train__steps": 9,
    "train__validate_every": 3, "model__vcg__basis_k": 9,
}  # fmt: skip
GOES_ON = "`--resume` goes on; the same model to the bit, nothing learned twice"
WORDS = ("--results", "out", "--quiet", *as_options(**SETTINGS))
WRITTEN = ("codes.yaml", "config.yaml", "training.pt", "model.safetensors", "history.csv", "record.npz", "DONE")


class Calm:
    """The training that nothing happens to."""

    def __init__(self, base, stock):
        place, self.cache = base / "run", base / "cache"
        place.mkdir()
        death = Death(str(place), log=str(base / "log"))
        child = stock.run(TRAIN, *WORDS, cwd=place, death=death, ECGGEN_CACHE=str(self.cache))
        assert child.code == 0, child.err
        lines = (base / "log").read_text().splitlines()
        self.count = len(lines)
        self.renames = [re.split(" -> ", line)[1] for line in lines if line.startswith("os.rename")]
        (self.folder,) = place.glob("out/*_step9")


@pytest.fixture(scope="module")
def calm(stock, tmp_path_factory):
    base = tmp_path_factory.mktemp("calm")
    return Calm(base, stock)


def check_kill(stock, calm, base, at, torn=False, call=TRAIN, words=WORDS):
    """Killed at one moment, then carried on; how many validations that were kept had to be done again."""
    base.mkdir()
    death, cache = Death(str(base), at, torn), {"ECGGEN_CACHE": str(calm.cache)}
    child = stock.run(call, *words, cwd=base, death=death, **cache)
    assert child.code == KILLED, f"moment {at}: {child.err}"
    if (base / "out").exists():
        check_done(base / "out")
    kept = known(base)
    child = stock.run(call, *words, "--resume", cwd=base, **cache)
    assert child.code == 0 and child.err == "", f"moment {at}: {child.err}"
    (folder,) = (base / "out").glob("*_step9*")
    assert folder.name == calm.folder.name
    assert names(folder) == names(calm.folder), f"moment {at}"
    assert (folder / "model.safetensors").read_bytes() == (calm.folder / "model.safetensors").read_bytes()
    assert card_of(folder) == pytest.approx(card_of(calm.folder), rel=1e-9, nan_ok=True)
    history = rows(folder / "history.csv")
    assert curve(history) == curve(rows(calm.folder / "history.csv"))
    assert check_done(base / "out") == 1
    check_tidy(base)
    # Seconds are measured: a validation that is done again has others.
    return sum(float(mine["seconds"]) != before["seconds"] for mine, before in zip(history, kept, strict=False))


def known(base):
    """The learning curve that is on disk."""
    for folder in base.glob("out/*_step9"):
        if (folder / "history.csv").is_file():
            return [{name: float(value) for name, value in row.items()} for row in rows(folder / "history.csv")]
        if (state := load_training(folder)) is not None:
            return state["history"]
    return []


def card_of(folder):
    """The figures of an evaluation card by their place; last digits depend on where in memory a matrix lies."""

    def flat(value, place=""):
        if isinstance(value, dict | list):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            return {key: each for name, item in pairs for key, each in flat(item, f"{place}.{name}").items()}
        return {place: value} if isinstance(value, int | float) else {place: math.nan}

    return flat(json.loads((folder / "metrics.json").read_text()))


def names(folder):
    """The files of a folder; those of TensorBoard carry the time."""
    return sorted(re.sub(r"tfevents\..*", "tfevents", path.name) for path in folder.iterdir())


@pytest.mark.parametrize("name", ["codes.yaml", "training.pt", "DONE"])
def test_a_training_killed_in_the_middle_of_a_write_goes_on(stock, calm, tmp_path, name):
    """Half of the file is written under its temporary name; what was there before counts."""
    last = len(calm.renames) - calm.renames[::-1].index(name)
    assert check_kill(stock, calm, tmp_path / "killed", last, torn=True) == 0


@pytest.mark.slow  # 60 s
def test_a_training_killed_at_every_moment_loses_nothing(stock, calm, tmp_path, fault):
    assert calm.count >= 30 and set(WRITTEN) <= set(calm.renames)
    lost = sum(check_kill(stock, calm, tmp_path / str(at), at) for at in range(1, calm.count + 1))
    assert lost == 0
    fault(
        "training, SIGKILL before every operation of the file system",
        calm.count,
        lost,
        GOES_ON,
    )


@pytest.mark.slow  # 30 s
def test_a_training_killed_in_the_middle_of_every_write_loses_nothing(stock, calm, tmp_path, fault):
    count = len(calm.renames)
    lost = sum(check_kill(stock, calm, tmp_path / str(at), at, torn=True) for at in range(1, count + 1))
    assert lost == 0
    fault(
        "training, SIGKILL in the middle of every file (half of it written)",
        count,
        lost,
        GOES_ON,
    )
