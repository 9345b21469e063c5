"""A view that is drawn over and over at the bottom of a terminal, below the lines that scroll.

The terminal stays sane whatever happens: the cursor is never hidden, so that no end, however abrupt, leaves it so; a
fault of the view is a line in the view and not the end of a search; lines that a narrower terminal has wrapped anew are
erased with the rest; and when Ctrl-C ends the process at once, the view is wiped off first.

Whoever prints draws the view below what is printed, while a thread draws it by the clock. Each drawing erases the one
before by its height, so no two may be under way at once: rich holds its lock for the whole of its own drawings alone,
and `say` and the redirected streams hold it for theirs.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout, suppress
from types import TracebackType
from typing import IO

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from search.interrupt import before_end

EVERY = 1.0  # s between two drawings, each some milliseconds of the driver's time
PATIENCE = 0.5  # s that the last word waits for a drawing that is under way


class Frame:
    """A view as lines that fit the terminal. widths: of the lines that were drawn last."""

    def __init__(self, view: ConsoleRenderable) -> None:
        self.view = view
        self.widths: list[int] = []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        options = options.update(no_wrap=False, overflow="ellipsis", height=None)
        try:
            lines = console.render_lines(self.view, options, pad=False)
        except Exception as fault:
            lines = console.render_lines(f"this view failed: {fault!r}", options, pad=False)
        lines = lines[: options.size.height]
        self.widths = [Segment.get_line_length(line) for line in lines]
        for line in lines:
            yield from line
            yield Segment.line()

    def rows(self, width: int) -> int:
        """Rows that the drawn lines take on a terminal which is so wide now."""
        return sum(max(1, -(-drawn // max(1, width))) for drawn in self.widths)


class Redrawn(Live):
    """Keeps a view on screen while a block runs; a still picture stays of it, none where the block ends by a fault."""

    def __init__(self, console: Console, view: ConsoleRenderable) -> None:
        self.frame = Frame(view)
        super().__init__(
            self.frame, console=console, auto_refresh=False, vertical_overflow="crop",
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._over, self._drawing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._draw, name="view", daemon=True)

    def __enter__(self) -> "Redrawn":
        self.start(refresh=True)
        self.console.show_cursor(True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.transient = kind is not None
        self.stop()
        self.frame.widths = []  # nothing is left that a second Ctrl-C might wipe

    def say(self, line: str) -> None:
        """One line above the view, as it stands, whatever it holds."""
        with self._lock:
            self.console.print(Text(line))

    def stream(self, file: IO[str]) -> "Above":
        """A stream whose lines go above the view, in place of this one."""
        return Above(self.console, file, self._lock)

    def _draw(self) -> None:
        with suppress(OSError):  # the terminal is gone
            while not self._over.wait(EVERY):
                with self._drawing:
                    self.refresh()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """What is printed, with the view below it; first what a narrower terminal wrapped anew is erased."""
        again = self.frame.rows(self.console.width) - len(self.frame.widths)
        drawn = super().process_renderables(renderables)
        return [_upwards(again), *drawn] if again else drawn

    def wipe(self) -> None:
        """The view disappears, for good, without a lock: the process is about to end."""
        self._over.set()
        if not (self.is_started or self.frame.widths):
            return
        self._drawing.acquire(timeout=PATIENCE)
        erase = _upwards(max(0, self.frame.rows(self.console.width) - 1))
        with suppress(OSError, ValueError):
            os.write(self.console.file.fileno(), f"{erase}\x1b[?25h".encode())


class Above(FileProxy):
    """What others write, above the view."""

    def __init__(self, console: Console, file: IO[str], lock: AbstractContextManager[bool]) -> None:
        super().__init__(console, file)
        self._lock = lock

    def write(self, text: str) -> int:
        """Write it, while nobody else draws; the number of characters."""
        with self._lock:
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write a line that was begun, while nobody else draws."""
        with self._lock:
            super().flush()


@contextmanager
def redrawn(console: Console, view: ConsoleRenderable) -> Iterator[Redrawn]:
    """Within, the view is on the console, which is one that `redraws`."""
    live = Redrawn(console, view)
    out, err = live.stream(sys.stdout), live.stream(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err), before_end(live.wipe), live:
        yield live


def _upwards(rows: int) -> Control:
    """Erases the row of the cursor, and so many above it."""
    up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
    return Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up * rows)
