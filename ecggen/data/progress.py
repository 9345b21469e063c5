"""A progress bar with the time left on a terminal, plain lines elsewhere; always on the error stream."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 15.0  # between two lines where there is no terminal


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told how many more of `total` are done."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)
        return
    lines = _Lines(console, what, total)
    yield lines.advance
    lines.say()


class _Lines:
    """Lines at the end and every LINE_SECONDS before; a short job says one line."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self.console = console
        self.what, self.total, self.done = what, total, 0
        self.begin = self.said = time.monotonic()

    def advance(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self.said >= LINE_SECONDS and self.done < self.total:
            self.say()

    def say(self) -> None:
        self.said = time.monotonic()
        spent = self.said - self.begin
        line = f"{self.what}: {self.done} of {self.total} records in {spent:.0f} s"
        if 0 < self.done < self.total:
            line += f", about {spent * (self.total - self.done) / self.done:.0f} s left"
        self.console.print(line, highlight=False, soft_wrap=True)
