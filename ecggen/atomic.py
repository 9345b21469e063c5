"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed."""

import errno
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ecggen.errors import OutOfReach

# Ends the names of files that are being written: nobody else's do, so that a leftover is known beyond doubt.
UNFINISHED = ".ecggen-unfinished"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a system calls a disk without room


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path in the target's folder; on success it becomes `path`, on an error it is removed.

    Raises OutOfReach where the disk is full or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise OutOfReach(f"{path}: expected to write it, got: {reason}; {_remedy(fault)}") from fault
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remedy(fault: OSError) -> str:
    return "free space and carry on" if fault.errno in FULL else "make it writable, or choose another folder"


def target_of(temporary: Path) -> str:
    """Name of the file that a temporary one was to become; empty where it is none of ours."""
    match = re.fullmatch(rf"\.(.+)\.[0-9]+{re.escape(UNFINISHED)}", temporary.name)
    return match[1] if match else ""


def remove_leftovers(folder: Path, of: str | None = None, below: bool = False) -> None:
    """Removes temporary files of processes that were killed while they wrote; for whoever holds the folder's lock.

    Args:
        of: name of the file that was being written, None for all.
        below: look into the folders below as well.
    """
    for leftover in list(folder.rglob(".*") if below else folder.glob(".*")):
        target = target_of(leftover)
        if target and of in (None, target) and leftover.is_file() and not leftover.is_symlink():
            leftover.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A small text file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """JSON without NaN (null instead), whole or not at all."""
    write_text(path, json.dumps(_finite(content), indent=1, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
