"""A view that redraws leaves a sane terminal, whatever happens; seen on a terminal in memory and on a real one."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from rich.text import Text

from search import interrupt, live
from search.live import Frame, Redrawn, redrawn
from tests.conftest import REPO
from tests.fake_terminal import Growing, Terminal, console_on
from tests.live_search import ON_TWO_CORES, tiny_words

SPACE = """
about: eight settings
search: {trials: 5, steps: 45, finalists: 1, seeds: 1}
space:
  m: [1, 2]
  model.vcg.basis_k: {choice: [8, 10, 12, 16]}
"""


@pytest.fixture
def terminal():
    return Terminal(20)


def test_a_still_picture_stays_below_what_was_said(terminal):
    console = console_on(terminal)
    with redrawn(console, Text("picture\nof two lines")):
        console.print("first")
        console.print("second")
    assert terminal.screen == "first\nsecond\npicture\nof two lines"
    assert terminal.cursor and terminal.column == 0


def test_the_cursor_is_visible_all_the_time(terminal):
    with redrawn(console_on(terminal), Text("picture")):
        assert terminal.cursor


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_fault_in_the_middle_leaves_only_what_was_said(terminal, fault):
    console = console_on(terminal)
    out, err = sys.stdout, sys.stderr
    with pytest.raises(fault), redrawn(console, Text("picture\nof two lines")):
        console.print("said")
        raise fault
    assert terminal.screen == "said" and terminal.cursor and terminal.column == 0
    assert (sys.stdout, sys.stderr) == (out, err)
    assert not [thread for thread in threading.enumerate() if thread.name == "view"]


def test_what_others_print_goes_above_the_view(terminal):
    with redrawn(console_on(terminal), Text("picture")):
        sys.stdout.write("a library\n")
        sys.stderr.write("a warning\n")
    assert terminal.screen == "a library\na warning\npicture"


def test_lines_that_a_narrower_terminal_wrapped_anew_are_erased(terminal):
    console = console_on(terminal)
    with Redrawn(console, Text("0123456789abcdef\nshort")) as shown:
        console.print("said")
        terminal.resize(10)
        assert terminal.screen == "said\n0123456789\nabcdef\nshort"
        console.width = 10
        shown.frame.view = Text("0123456789\nshort")
        shown.refresh()
        assert terminal.screen == "said\n0123456789\nshort"


def test_a_fault_of_the_view_is_a_line_in_it(terminal):
    class Faulty:
        def __rich_console__(self, console, options):
            raise KeyError("basis")

    console = console_on(terminal)
    with redrawn(console, Faulty()):
        console.print("said")
    assert terminal.screen.startswith("said\nthis view failed:") and "basis" in terminal.screen


@pytest.mark.parametrize("way", ["said", "stdout", "stderr"])
def test_two_drawings_at_once_leave_no_half_of_a_view(terminal, monkeypatch, way):
    monkeypatch.setattr(live, "EVERY", 0.02)
    view = Growing()
    with redrawn(console_on(terminal), view) as shown:
        view.rows = 5
        {"said": lambda: shown.say("event"), "stdout": lambda: sys.stdout.write("event\n"),
         "stderr": lambda: sys.stderr.write("event\n")}[way]()  # fmt: skip
        assert not view.overtaken.is_set()
    assert terminal.screen.splitlines() == ["event", *(f"row {at} of 5" for at in range(5))]


def test_a_line_that_others_began_is_written_once_it_is_whole_or_flushed(terminal):
    with redrawn(console_on(terminal), Text("picture")):
        assert sys.stdout.write("one ") == 4
        assert "one" not in terminal.screen
        sys.stdout.write("line\nanother")
        sys.stdout.flush()
        assert terminal.screen == "one line\nanother\npicture"


def test_a_view_that_is_too_high_is_cut(terminal):
    console = console_on(terminal, height=5)
    console.print(Frame(Text("\n".join("abcdefgh"))))
    assert terminal.screen == "a\nb\nc\nd\ne"


def test_it_is_drawn_anew_by_itself_and_not_often(terminal, monkeypatch):
    monkeypatch.setattr(live, "EVERY", 0.05)
    drawn = []

    class Counting:
        def __rich_console__(self, console, options):
            drawn.append(time.monotonic())
            yield Text(str(len(drawn)))

    with redrawn(console_on(terminal), Counting()):
        time.sleep(0.3)
        assert 3 <= len(drawn) <= 8
    assert terminal.screen == str(len(drawn))


def test_a_second_ctrl_c_wipes_the_view_before_the_last_words(monkeypatch):
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as file:
        console = console_on(Terminal(20))
        console.file = file
        with interrupt.twice(lambda: "last words"), redrawn(console, Text("picture\nof two lines")):
            handler = signal.getsignal(signal.SIGINT)
            handler.before_end()
            os.write(follower, b"last words")
    written = b""
    while b"last words" not in written:  # a terminal hands over what it has, piece by piece
        written += os.read(leader, 10_000)
    os.close(leader)
    seen = Terminal(20)
    seen.write(written.decode().partition("last words")[0] + "last words")
    assert seen.screen == "last words" and seen.cursor


@pytest.mark.parametrize("fault", [None, ValueError])
def test_once_the_view_is_gone_a_second_ctrl_c_wipes_nothing(tmp_path, fault):
    with (tmp_path / "terminal").open("w") as file:
        console = console_on(Terminal(20))
        console.file = file
        with interrupt.twice(lambda: "last words"):
            with suppress(ValueError), redrawn(console, Text("picture\nof two lines")):
                wipe = signal.getsignal(signal.SIGINT).before_end
                if fault:
                    raise fault
            file.write("the user's own\n")
            file.flush()
            before = (tmp_path / "terminal").read_bytes()
            wipe()
    assert b"picture" in before and (tmp_path / "terminal").read_bytes() == before


class OnTerminal:
    """run_search.py on a pseudo-terminal of its own."""

    def __init__(self, folder, *words, width=80, height=24):
        (folder / "mine.yaml").write_text(SPACE)
        self.seen = Terminal(width)
        self.leader, follower = pty.openpty()
        where = ("--results", "out", *words)
        command = [sys.executable, "-c", ON_TWO_CORES, sys.executable, str(REPO / "run_search.py"), *where]
        size = {"COLUMNS": str(width), "LINES": str(height), "TERM": "xterm"}
        self.process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **size}, stdin=follower, stdout=follower, stderr=follower,
            start_new_session=True,
        )  # fmt: skip
        os.close(follower)

    def until(self, happened=lambda screen: False):
        """Read until something is on screen, or the end; what was on screen when."""
        end = time.monotonic() + 120
        with suppress(OSError):  # its end
            while not happened(self.seen.screen):
                assert time.monotonic() < end, self.seen.screen
                data = os.read(self.leader, 100_000)
                if not data:
                    break
                self.seen.write(data.decode(errors="replace"))
        return self.seen.screen

    def end(self):
        self.until()
        os.close(self.leader)
        return self.process.wait(60)


@pytest.mark.slow  # 25 s
def test_a_search_on_a_terminal_redraws_and_ends_with_its_leaderboard(tmp_path):
    run = OnTerminal(tmp_path, "--space", "mine.yaml", "--name", "one", *tiny_words())
    during = run.until(lambda screen: re.search(r"\d running", screen) is not None and "best" in screen)
    assert "search   one: mine on simulator, by val_hidden_r" in during and during.count("search   one") == 1
    assert run.end() == 0
    screen = run.seen.screen
    assert screen.count("search   one") == 1 and "now      done" in screen and "Ctrl-C" not in screen
    assert screen.index("now      done") < screen.index("Leaderboard of one") < screen.index("next: python main.py")
    assert not re.search(r"ray::|Traceback|WARNING|╭", screen)
    assert run.seen.cursor


@pytest.mark.slow  # 15 s
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_on_a_terminal_leaves_one_line_on_a_clean_screen(tmp_path, times):
    run = OnTerminal(tmp_path, "--space", "mine.yaml", "--name", "one", "--steps", "3000", *tiny_words())
    run.until(lambda screen: re.search(r"now +trials,", screen) is not None)
    os.killpg(run.process.pid, signal.SIGINT)
    if times == 2:
        time.sleep(0.1)
        os.killpg(run.process.pid, signal.SIGINT)
    assert run.end() == interrupt.EXIT_INTERRUPTED
    screen = run.seen.screen
    assert "search   one" not in screen and "run id" not in screen
    assert "carry on with: python run_search.py --resume one" in screen.replace("\n", "")
    assert screen.splitlines()[-1].strip() and run.seen.cursor
