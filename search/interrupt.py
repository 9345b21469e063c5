"""Ctrl-C, twice: the first one lets a search wind down, the second one ends it at once.

Ray Tune has a handler of its own, which it leaves in place when it is done: whatever comes after it is deaf. So it gets
none, and is asked by the other signal that it listens to.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

EXIT_INTERRUPTED = 130
RAY_LISTENS = signal.SIGUSR1  # the signal that makes Tune end a round in order
RAY_OWN_HANDLER = "TUNE_DISABLE_SIGINT_HANDLER"


class _CtrlC:
    """The handler. asked: whether the next one ends the process. before_end: is done first, whatever comes of it."""

    def __init__(self, last_words: Callable[[], str]) -> None:
        self.last_words, self.asked = last_words, False
        self.before_end: Callable[[], None] = lambda: None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self.end(number, frame)
        self.asked = True
        if not callable(signal.getsignal(RAY_LISTENS)):
            raise KeyboardInterrupt
        signal.raise_signal(RAY_LISTENS)

    def end(self, number: int, frame: FrameType | None) -> None:
        """End the process with its last words. Ray's processes, and ours, end with their parent."""
        with suppress(Exception):
            self.before_end()
        with suppress(OSError):  # nobody reads any more
            os.write(sys.stderr.fileno(), f"{self.last_words()}\n".encode())
        os._exit(EXIT_INTERRUPTED)


@contextmanager
def twice(last_words: Callable[[], str]) -> Iterator[None]:
    """Within, the first Ctrl-C is a KeyboardInterrupt or ends a round of Ray Tune; the second one ends the process.

    So does the first SIGTERM: batch systems, containers and machines that are shut down send it to Ray's processes
    as well, so that there is nobody left who could wind down, and kill what has not ended soon.

    Args:
        last_words: the line that is then left on stderr.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _CtrlC(last_words)
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, handler.end),
    }
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, signal.SIG_DFL if handled is None else handled)  # None: not one of Python's


@contextmanager
def at_once() -> Iterator[None]:
    """Within, the first Ctrl-C ends the process: nothing was begun yet.

    And an import that is cut short in one thread can leave Python's lock to another one taken for ever.
    """
    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, _CtrlC):
        yield
        return
    handler.asked = True
    try:
        yield
    finally:
        handler.asked = False


def asked() -> bool:
    """Whether Ctrl-C was heard and a second one would end the process at once."""
    handler = signal.getsignal(signal.SIGINT)
    return isinstance(handler, _CtrlC) and handler.asked


@contextmanager
def before_end(tidy: Callable[[], None]) -> Iterator[None]:
    """Within, a second Ctrl-C does this before it ends the process: it makes the terminal fit for the last words."""
    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, _CtrlC):
        yield
        return
    handler.before_end = tidy
    try:
        yield
    finally:
        handler.before_end = lambda: None


@contextmanager
def ray_listens() -> Iterator[None]:
    """Around a round of Ray Tune: its handler of Ctrl-C stays out, that of the other signal goes with the round."""
    os.environ[RAY_OWN_HANDLER] = "1" if isinstance(signal.getsignal(signal.SIGINT), _CtrlC) else "0"
    before = signal.getsignal(signal.SIGINT), signal.getsignal(RAY_LISTENS)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(RAY_LISTENS, before[1])
            signal.signal(signal.SIGINT, before[0])


@contextmanager
def held_back() -> Iterator[None]:
    """Processes that are started within never hear Ctrl-C, which a terminal sends to all: it is their parent's."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
