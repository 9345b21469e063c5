"""When memory ends: known by all its names, and said in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ecggen.errors import UserError

FULL = ("can't allocate memory", "not enough memory")  # words of torch's allocator


def lacks_memory(fault: Exception) -> bool:
    """Whether memory ended, on a GPU or here: torch's own allocator says so in a plain RuntimeError."""
    kinds = (torch.cuda.OutOfMemoryError, MemoryError)
    return isinstance(fault, kinds) or any(words in str(fault) for words in FULL)


@contextmanager
def room_for(what: str, remedy: str) -> Iterator[None]:
    """Around work that may end for want of memory. Raises UserError where it does, with what it was and what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        if not lacks_memory(fault):
            raise
        reason = (str(fault).splitlines() or [type(fault).__name__])[0][:200]
        raise UserError(f"memory: expected room for {what}, got: {reason}; {remedy}") from fault
