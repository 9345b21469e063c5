"""The training's progress bar: step, loss, metric, time left; plain lines elsewhere. And how time is said."""

import math
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn
from rich.progress_bar import ProgressBar

LINE_SECONDS = 20.0  # between two lines where there is no terminal
SMOOTHING = 0.98  # of the loss that is shown
NARROW = 80  # columns below which the best figure and the time that has passed are left out
SHORTEST, LONGEST = 4, 40  # columns of the bar
BESIDE = 4  # columns that neither bar nor figures take: a gap, and room for the ^C that a terminal writes
REDRAWN = 4  # times a second
MINUTE, HOUR = 60.0, 3600.0


class TrainingBar:
    """Shows a training on the error stream; a context manager.

    Args:
        total: steps of the budget.
        done: steps done before, by a training that is resumed.
        metric: name of the metric whose figures are shown.
        quiet: show nothing.
    """

    def __init__(self, total: int, done: int, metric: str, quiet: bool) -> None:
        self.total, self.done, self.first, self.metric, self.quiet = total, done, done, metric, quiet
        self.loss = self.last = self.best = math.nan
        self.begin = self.said = time.monotonic()
        console = Console(stderr=True)
        self.bar: Progress | None = None
        if redraws(console) and not quiet:
            columns = _Bar(self, console), TextColumn("{task.description}")
            self.bar = Progress(*columns, console=console, refresh_per_second=REDRAWN)
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

    def advance(self, loss: float, last: dict[str, float], best: dict[str, float]) -> None:
        """One step is done.

        Args:
            loss: of the step.
            last, best: rows of the last and of the best validation, empty before there is one.
        """
        self.done += 1
        self.loss = loss if math.isnan(self.loss) else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        self.last, self.best = last.get(self.metric, math.nan), best.get(self.metric, math.nan)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done)
        elif not self.quiet and (time.monotonic() - self.said > LINE_SECONDS or self.done == self.total):
            self.said = time.monotonic()
            words = f"training: step {self.done} of {self.total}, {self.figures()}, {about(self.seconds_left())} left"
            print(words, file=sys.stderr, flush=True)

    def figures(self, best: bool = True) -> str:
        """Loss and metric in words; the metric's best only where it is asked for."""
        words = f"loss {_figure(self.loss)}, {self.metric} {_figure(self.last)}"
        return f"{words}, best {_figure(self.best)}" if best else words

    def line(self, whole: bool) -> str:
        """What stands beside the bar."""
        left = self.seconds_left()
        times = [clock(time.monotonic() - self.begin)] if whole else []
        times += [] if math.isnan(left) else [f"{clock(left)} left"]
        return "  ".join((f"{self.done}/{self.total}", self.figures(whole), ", ".join(times)))

    def seconds_left(self) -> float:
        """By the mean of all steps so far, validations included; NaN before the first one."""
        steps = self.done - self.first
        return (time.monotonic() - self.begin) / steps * (self.total - self.done) if steps else math.nan


class _Bar(BarColumn):
    """The bar with its figures: `━━━━ 120/600  loss 0.123, val_hidden_r 0.801, best 0.812  0:41, 2:10 left`."""

    def __init__(self, bar: TrainingBar, console: Console) -> None:
        super().__init__()
        self.bar, self.console = bar, console

    def render(self, task: Task) -> ProgressBar:
        """As long as the figures leave room for."""
        width = self.console.width
        task.description = self.bar.line(width >= NARROW)
        self.bar_width = max(SHORTEST, min(LONGEST, width - len(task.description) - BESIDE))
        return super().render(task)


def redraws(console: Console) -> bool:
    """Whether the console is a terminal that can draw over what it has drawn, and no file that wants colours."""
    return console.is_interactive and not console.is_dumb_terminal and console.file.isatty()


def about(seconds: float) -> str:
    """A time as a guess: `about 40 s`, `about 4 min`, `about 2.5 h`."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 1.5 * MINUTE:
        return f"about {10 * round(seconds / 10)} s"
    if seconds < 1.5 * HOUR:
        return f"about {round(seconds / MINUTE)} min"
    return f"about {seconds / HOUR:.1f} h"


def clock(seconds: float) -> str:
    """A time as a clock shows it: `0:07`, `12:40`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
