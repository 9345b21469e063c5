"""A terminal in memory: what is left on its screen after all that was written to it."""

import io
import re
import threading

from rich.console import Console
from rich.text import Text

TOKEN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]")


class Terminal(io.StringIO):
    """Text, line ends, cursor up, erased lines, and lines that wrap; colours are left out. Rows are never lost."""

    def __init__(self, width=80):
        super().__init__()
        self.width, self.rows, self.row, self.column, self.cursor = width, [""], 0, 0, True
        self.raw = ""

    def isatty(self):
        return True

    def write(self, text):
        self.raw += text
        for token in TOKEN.findall(text):
            self._take(token)
        return len(text)

    def _take(self, token):
        if token == "\n":
            self._down()
        elif token == "\r":
            self.column = 0
        elif token.endswith("A") and token.startswith("\x1b"):
            self.row = max(0, self.row - int(token[2:-1] or 1))
        elif token == "\x1b[2K":
            self.rows[self.row] = ""
        elif token in ("\x1b[?25l", "\x1b[?25h"):
            self.cursor = token.endswith("h")
        elif not token.startswith("\x1b"):
            if self.column == self.width:
                self._down()
            line = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = line[: self.column] + token + line[self.column + 1 :]
            self.column += 1

    def _down(self):
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.rows):
            self.rows.append("")

    def resize(self, width):
        """Lines that are too long now go on in the next row; the cursor stays with its text, at the end of all."""
        self.rows = [line[at : at + width] for line in self.rows for at in range(0, max(1, len(line)), width)]
        self.width, self.row, self.column = width, len(self.rows) - 1, len(self.rows[-1])

    @property
    def screen(self):
        """The rows, without what is empty at the end."""
        return "\n".join(row.rstrip() for row in self.rows).rstrip()


def console_on(terminal, height=24, **environment):
    """A rich console on it."""
    console = Console(
        file=terminal, force_terminal=True, width=terminal.width, height=height, soft_wrap=True,
        _environ={"TERM": "xterm", **environment},
    )  # fmt: skip
    assert console.is_terminal
    return console


class Growing:
    """A view that grew, and whose drawing takes its time, but for the view's own thread: that one overtakes."""

    def __init__(self):
        self.rows, self.overtaken = 2, threading.Event()

    def __rich_console__(self, console, options):
        own, rows = threading.current_thread().name == "view", self.rows
        if not own and rows > 2:
            self.overtaken.wait(0.3)
        yield Text("\n".join(f"row {at} of {rows}" for at in range(rows)))
        if own and rows > 2:
            self.overtaken.set()
