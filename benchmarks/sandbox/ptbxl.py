"""PTB-XL for a benchmark: the user's own folder, else unpacked for the while from the recordings of the project."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


@contextmanager
def ptbxl(given: str, folds: tuple[int, ...] = ()) -> Iterator[Path]:
    """The root of PTB-XL.

    Args:
        given: the user's folder; empty = $PTBXL, else unpacked from $ECGGEN_DATA, else ../shared/data.
        folds: that are enough where it is unpacked; empty = all there are.
    """
    named = given or os.environ.get("PTBXL")
    if named:
        yield Path(named)
        return
    data = Path(os.environ.get("ECGGEN_DATA") or REPO.parent / "shared" / "data")
    script = data / "unpack_ptbxl.py"
    if not script.is_file():
        sys.exit(f"PTB-XL: looked for {script}, not there; give --data-root DIR, or set PTBXL or ECGGEN_DATA")
    with tempfile.TemporaryDirectory(prefix="ecggen-bench-") as folder:
        words = ["--folds", *map(str, folds)] if folds else []
        subprocess.run([sys.executable, str(script), folder, *words], check=True, stdout=subprocess.DEVNULL)
        yield Path(folder)
