"""Small text files of result folders, read as a stranger's: plain files up to a size, JSON that ends."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

MOST_BYTES = 64 << 20  # a learning curve of a hundred thousand validations has a tenth of it
LARGEST = 2**63  # of whole numbers; ours are steps, seeds and counts


def read_plain(path: Path, most: int = MOST_BYTES) -> str:
    """UTF-8 text. Raises OSError where there is no plain file of at most `most` bytes, ValueError for other bytes."""
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):  # a pipe that nobody writes to would be waited for
        raise OSError(errno.EINVAL, "is no plain file", str(path))
    if state.st_size > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return path.read_text(encoding="utf-8")


def read_json(path: Path) -> Any:
    """Plain data. Raises OSError as `read_plain` does, ValueError for a file that holds no JSON."""
    try:
        return json.loads(read_plain(path), parse_int=_whole_number)
    except RecursionError:
        raise ValueError("brackets in brackets without end") from None


def _whole_number(digits: str) -> int:
    """One that is also a float: Python's own have no end, and reckoning with such a one raises OverflowError."""
    number = int(digits)
    if abs(number) > LARGEST:
        raise ValueError(f"a number of {len(digits)} digits")
    return number
