"""What a folder of recordings may name: plain files below it. Indexes and headers come from strangers.

An index or a header can name `../../etc/passwd`, an absolute path, a link that leads out of the folder, or a pipe that
nobody ever writes to. None of them is opened.
"""

import os
import stat
from pathlib import Path

from ecggen.data.sources.contract import UnreadableError
from ecggen.errors import UserError


def file_below(root: Path, name: str) -> Path:
    """The plain file `name` below `root`, links followed. Raises UnreadableError for all else; nothing is opened."""
    shown = repr(name[:80])
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise UnreadableError(f"not a file of the folder: {shown}")
    path = root / name
    try:
        state = path.stat()
    except FileNotFoundError:
        raise UnreadableError(f"file missing: {path.name}") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise UnreadableError(f"not a file of the folder: {shown}: {reason}") from None
    if not stat.S_ISREG(state.st_mode):
        raise UnreadableError(f"not a file of the folder: {shown} is a folder, pipe or device")
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise UnreadableError(f"link out of the folder (set --data-root to where it leads, or copy the files): {shown}")
    return path


def index_below(root: Path, name: str) -> Path | None:
    """The table `name` in `root`, None where there is none. Raises UserError where it lies elsewhere or is no file."""
    if not os.path.lexists(root / name):
        return None
    try:
        return file_below(root, name)
    except UnreadableError as fault:
        raise UserError(f"{root / name}: expected a plain file, got: {fault}; put the file itself there") from None
