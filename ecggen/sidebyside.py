"""Passes over records, many at a time: each batch of them is judged by itself, on a torch thread of its own.

The small operations of one batch gain little from a second thread. So the batches share the cores, and not their
operations: figures do not depend on the number of threads.
"""

import resource
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar

import torch

MOST = 8  # threads: each batch under way takes 100 to 200 MB
T = TypeVar("T")
A = TypeVar("A")


class Each(Protocol):
    """Begins to do the same work for each of several items; what it returns waits for the outcomes, in their order."""

    def __call__(self, work: Callable[[A], T], items: Iterable[A], /) -> Callable[[], list[T]]:
        """Raises, when the outcomes are waited for, what the work raises."""


def one_by_one(work: Callable[[A], T], items: Iterable[A], /) -> Callable[[], list[T]]:
    """An `Each` without threads of its own: the work is done when its outcomes are wanted."""
    return lambda: [work(item) for item in items]


@contextmanager
def side_by_side(threads: int) -> Iterator[Each]:
    """An `Each` that works on several items at a time, each on one torch thread.

    Where the context is left by an error or Ctrl-C, what has not begun is never begun; what runs is waited for.

    Where the address space is limited (`ulimit -v`) it is `one_by_one`, with all of torch's threads for each item:
    memory that ends in one thread is a fault that can be said, in several it ends the process.

    Args:
        threads: items at a time, `MOST` at most. One of them is `one_by_one`.

    Raises ValueError where there is no thread.
    """
    if threads < 1:
        raise ValueError(f"threads: expected 1 or more, got {threads}")
    before = torch.get_num_threads()
    limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    torch.set_num_threads(threads if limited else 1)  # threads that begin from now on have as many
    try:
        if limited or threads == 1:
            yield one_by_one
            return
        with ThreadPoolExecutor(min(threads, MOST)) as pool:
            try:
                yield partial(_begun, pool)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(before)


def _begun(pool: ThreadPoolExecutor, work: Callable[[A], T], items: Iterable[A], /) -> Callable[[], list[T]]:
    begun = [pool.submit(work, item) for item in items]
    return lambda: [one.result() for one in begun]
