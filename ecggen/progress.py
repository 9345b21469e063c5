"""The training's progress bar: steps, loss, best metric so far, time left; plain lines where there is no terminal."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 20.0  # between two lines where there is no terminal
SMOOTHING = 0.98  # of the loss that is shown


class TrainingBar:
    """Shows a training on the error stream; a context manager.

    Args:
        total: steps of the budget.
        done: steps done before, by a training that is resumed.
        metric: name of the metric whose best value is shown.
        quiet: show nothing.
    """

    def __init__(self, total: int, done: int, metric: str, quiet: bool) -> None:
        self.total, self.done, self.first, self.metric, self.quiet = total, done, done, metric, quiet
        self.loss = float("nan")
        self.begin = self.said = time.monotonic()
        console = Console(stderr=True)
        self.bar: Progress | None = None
        if console.is_terminal and not quiet:
            columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self.bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
            self.task = self.bar.add_task("", total=total, completed=done)

    def __enter__(self) -> "TrainingBar":
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def advance(self, loss: float, best: dict[str, float]) -> None:
        """One step is done."""
        self.done += 1
        self.loss = loss if self.loss != self.loss else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, description=self._figures(best))
        elif not self.quiet and (time.monotonic() - self.said > LINE_SECONDS or self.done == self.total):
            self.said = time.monotonic()
            left = (self.said - self.begin) / (self.done - self.first) * (self.total - self.done)
            print(
                f"training: step {self.done} of {self.total}, {self._figures(best)}, about {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def _figures(self, best: dict[str, float]) -> str:
        shown = f"{best[self.metric]:.3f}" if self.metric in best else "-"
        return f"loss {self.loss:.3f}, best {self.metric} {shown}"
