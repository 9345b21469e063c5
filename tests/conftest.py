"""Fixtures shared by all tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Before torch is loaded: threads that wait must not keep a core busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

from tests.faults.mortal import Stock
from tests.tiny import as_options

REPO = Path(__file__).resolve().parents[1]
# One thread: small tensors gain nothing from two, and results repeat to the bit.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings: $ECGGEN_DATA, else ../shared/data beside the project; skips where neither exists."""
    folder = Path(os.environ.get("ECGGEN_DATA") or REPO.parent / "shared" / "data")
    if not (folder / "ptbxl").is_dir():
        pytest.skip(f"real recordings: looked in {folder}, none there; set ECGGEN_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tests build their caches in a folder of their own, never in the user's."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["ECGGEN_CACHE"] = str(folder)
    return folder


def main_py(*words: str) -> subprocess.CompletedProcess[str]:
    """main.py in a process of its own."""
    command = [sys.executable, str(REPO / "main.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPO)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> tuple[Path, Path, str]:
    """A results folder with one finished run of main.py, and what it printed. For looking at: others look at it too."""
    results = tmp_path_factory.mktemp("results")
    done = main_py("--results", str(results), "--quiet", *as_options())
    assert done.returncode == 0, done.stderr
    (folder,) = [path for path in results.iterdir() if path.is_dir()]
    return results, folder, done.stdout


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Iterator[Stock]:
    """Processes that have everything loaded, and may die."""
    stock = Stock(tmp_path_factory.mktemp("said"))
    yield stock
    stock.close()


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Notes a fault that was injected and survived, for the table of tests/faults; to be called last.

    Its arguments: the fault, times injected, work lost in trainings or validations, what happened. The rows go to the
    file that $ECGGEN_FAULTS names, if it does.
    """

    def note(what: str, times: int, lost: int, behaviour: str) -> None:
        if path := os.environ.get("ECGGEN_FAULTS"):
            row = {"fault": what, "times": times, "lost": lost, "behaviour": behaviour, "test": request.node.nodeid}
            with Path(path).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")

    return note
