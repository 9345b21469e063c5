"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings: $ECGGEN_DATA, else ../shared/data beside the project; skips where neither exists."""
    folder = Path(os.environ.get("ECGGEN_DATA") or REPO.parent / "shared" / "data")
    if not (folder / "ptbxl").is_dir():
        pytest.skip(f"real recordings: looked in {folder}, none there; set ECGGEN_DATA to the folder that holds them")
    return folder
