"""When memory ends: known by all its names, and said in one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ecggen.errors import UserError

# Words of torch's allocators and libraries, of C++ and of the system, in faults that are plain RuntimeErrors.
WORDS = (
    "can't allocate memory",
    "not enough memory",
    "Cannot allocate memory",
    "std::bad_alloc",
    "CUDA error: out of memory",
    "_ALLOC_FAILED",
    "could not create a primitive",  # oneDNN, which does not say why; nothing here asks it for what it has not
)


def lacks_memory(fault: BaseException) -> bool:
    """Whether memory ended, on a GPU or here; also where that is only what a fault came from."""
    at: BaseException | None = fault
    while at is not None:
        if isinstance(at, torch.cuda.OutOfMemoryError | MemoryError) or getattr(at, "errno", None) == errno.ENOMEM:
            return True
        if isinstance(at, RuntimeError) and any(words in str(at) for words in WORDS):
            return True
        at = at.__cause__ or at.__context__
    return False


@contextmanager
def room_for(what: str, remedy: str) -> Iterator[None]:
    """Around work that may end for want of memory. Raises UserError where it does, with what it was and what to do."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as fault:
        if not lacks_memory(fault):
            raise
        reason = (str(fault).splitlines() or [type(fault).__name__])[0][:200]
        raise UserError(f"memory: expected room for {what}, got: {reason}; {remedy}") from fault
