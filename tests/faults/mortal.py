"""Processes that die at a chosen moment, forked from one that has everything loaded, so that many can be afforded.

The file system sees a sequence of moments: each file opened for writing, renamed or removed, each folder made or
removed below a given folder. A process is told the number of the moment before which it kills itself with SIGKILL, so
that every moment can be tried, the same one again and again. `torn` kills in the middle of a write: of the file that is
about to be renamed, half is left.

`python -m tests.faults.mortal` is the process that is forked; it reads jobs as lines of JSON. See `Stock`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PATIENCE = 120  # s until something that has to happen is given up
# What the jobs import in any case; torch._dynamo comes with the first optimizer.
LOADED = (
    *("main", "torch._dynamo", "scipy.optimize", "scipy.signal", "scipy.stats", "scipy.interpolate"),
    *("tensorboardX.summary", "tensorboardX.record_writer", "matplotlib.backends.backend_agg", "PIL.PngImagePlugin"),
    *("ecggen.runs", "ecggen.figures.recording", "ecggen.data.build", "ecggen.data.sources.catalog"),
)
FOR_SEARCHES = ("tests.search_here", "search.folders", "search.report.page", "sklearn.ensemble")
CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
MAKES = os.O_CREAT | os.O_TRUNC
KILLED = -signal.SIGKILL


@dataclass
class Death:
    """Before which moment below which folder a process dies: a number from 1 on; 0 never dies.

    Attributes:
        torn: die in the middle of writing a file; only such moments count.
        target: name of that file; only its writes count.
        way: the signal; SIGSTOP makes it wait there for SIGCONT.
        log: a file that gets a line a moment.
    """

    below: str
    at: int = 0
    torn: bool = False
    target: str = ""
    way: int = signal.SIGKILL
    log: str = ""
    seen: int = 0
    stream: int = -1

    def watch(self):
        """From now on."""
        if self.log:
            self.stream = os.open(self.log, os.O_WRONLY | os.O_TRUNC | os.O_CREAT)
        sys.addaudithook(self)

    def __call__(self, event, args):
        """An audit hook of Python's: called before the operation."""
        if event not in CHANGES or isinstance(args[0], int):
            return
        path = Path(os.fsdecode(args[0])).absolute()
        if not path.is_relative_to(self.below) or path.suffix == ".lock" or not _changes(event, path, args):
            return
        target = Path(os.fsdecode(args[1])).name if event == "os.rename" else ""
        if (self.torn and not target) or self.target not in ("", target):
            return
        self.seen += 1
        if self.log:
            line = f"{event} {path.relative_to(self.below)}{f' -> {target}' if target else ''}\n"
            os.write(self.stream, line.encode())
        if self.seen == self.at:
            if self.torn and path.is_file():
                os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), self.way)


def _changes(event, path, args):
    """Whether an operation changes anything."""
    if event == "open":
        return isinstance(args[2], int) and bool(args[2] & MAKES) and not path.is_dir()
    return (path.is_symlink() or path.exists()) != (event == "os.mkdir")


def serve():
    """Forks a child a job, says its process id, and later how it ended."""
    import torch

    torch.set_num_threads(1)
    for name in json.loads(sys.argv[1]):
        import_module(name)
    _say("ready")
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            _, status = os.waitpid(job["wait"], 0)
            _say(os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            _live(job)
        _say(pid)


def _say(word):
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _live(job):
    """The child: does its job and ends with what that returns."""
    os.setsid()
    os.chdir(job["cwd"])
    os.environ.update(job["environment"])
    for number, name in enumerate(("in", "out", "err")):
        flags = os.O_RDONLY if name == "in" else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(os.devnull if name == "in" else job[name], flags), number)
    code = 70
    try:
        module, _, function = job["call"].partition(":")
        call = getattr(import_module(module), function)
        if job["death"]:
            Death(**job["death"]).watch()
        code = int(call(*job["args"]) or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Mortal:
    """A child of the stock."""

    def __init__(self, stock, pid, place):
        self.stock, self.pid, self.place, self.code = stock, pid, place, None

    def wait(self):
        """How it ended: the exit code, or the signal as a negative number."""
        if self.code is None:
            self.code = int(self.stock.ask({"wait": self.pid}))
        return self.code

    def stopped(self):
        """Whether it waits."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def go_on(self):
        """It has waited long enough."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        """SIGKILL for it and whatever it started, as with the power."""
        os.killpg(self.pid, signal.SIGKILL)
        return self.wait()

    def until(self, happened):
        """Wait for something that it does."""
        end = time.monotonic() + PATIENCE
        while not (value := happened()):
            assert time.monotonic() < end, f"waited in vain: {self.out}\n{self.err}"
            assert Path(f"/proc/{self.pid}").exists(), f"ended: {self.out}\n{self.err}"
            time.sleep(0.002)
        return value

    @property
    def out(self):
        """What it said."""
        return self.place.with_suffix(".out").read_text()

    @property
    def err(self):
        """What it said on stderr, but for the news of the cache."""
        lines = self.place.with_suffix(".err").read_text().splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("preprocessing"))


class Stock:
    """Where mortal processes come from.

    Args:
        folder: for what they say.
        loaded: modules that they find loaded.
    """

    def __init__(self, folder, loaded=LOADED):
        self.folder, self.count = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.faults.mortal", json.dumps(loaded)],
            cwd=REPO,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line == "ready\n", f"the stock did not start: {line}"

    def ask(self, job):
        """A line there, a line back."""
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def start(self, call, *args, cwd, death=None, **environment):
        """Begin a job: `module:function` and its arguments, in a working folder."""
        self.count += 1
        place = self.folder / f"{self.count:04d}"
        said = {name: str(place.with_suffix(f".{name}")) for name in ("out", "err")}
        job = {"call": call, "args": args, "cwd": str(cwd), "environment": environment, **said}
        return Mortal(self, int(self.ask({**job, "death": vars(death) if death else None})), place)

    def run(self, call, *args, **more):
        """A job from its beginning to its end."""
        child = self.start(call, *args, **more)
        child.wait()
        return child

    def close(self):
        """No more of them."""
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


if __name__ == "__main__":
    serve()
