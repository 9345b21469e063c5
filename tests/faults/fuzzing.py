"""Hostile folders of recordings by the thousand: each read in this process under a watch, and what came of it counted.

    python -m tests.faults.fuzzing CASES SEED

It prints one JSON object: `outcomes`, how many cases ended how; `faults`, those that ended as none may (any exception
but the two named ones, a file opened outside the folder, a hang, memory without bound, a reason that is none).
A case is a small sound folder of one layout with one to four things wrong with it, all drawn from the seed and its
number, so that it can be made again alone.
"""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ecggen.config import DataConfig, RunConfig, SignalConfig, TokenizerConfig
from ecggen.data.build import build
from ecggen.data.preprocess import LeftOut, Window, preprocess
from ecggen.data.rpeaks import detect_r_peaks
from ecggen.data.sources.catalog import make_source
from ecggen.data.sources.contract import UnreadableError
from ecggen.data.store import open_store
from ecggen.data.tokenizer import ECGTokenizer
from ecggen.errors import UserError
from ecggen.examine import examine
from ecggen.gallery import summary
from tests.faults.folders import LAYOUTS, SECRET, spoilt

SECONDS, WAIT = 15, 60  # of computing and in all that a case may take; the usual one takes a hundredth of a second
MEMORY = 3 << 30  # bytes of address space beyond what the process has when it begins
RESIDENT = 1 << 30  # bytes that may really come to be used
SIGNAL = SignalConfig()
TOKENIZER = ECGTokenizer(TokenizerConfig(), SIGNAL.fs)


class TooLongError(BaseException):
    """Not an Exception, so that no reader takes it for a damaged file."""


class Watch:
    """An audit hook that notes every file opened while a case runs, links followed, and what else should not happen.

    allowed: prefixes of what may be opened; None where nothing is watched.
    """

    def __init__(self):
        self.allowed, self.outside = None, []
        sys.addaudithook(self._hook)

    def _hook(self, event, args):
        if self.allowed is None:
            return
        if event in ("subprocess.Popen", "os.system", "os.exec", "pickle.find_class", "socket.connect"):
            self.outside.append(event)
        elif event == "open" and isinstance(args[0], str | bytes):
            real = os.path.realpath(os.fsdecode(args[0]))
            if not real.startswith((*self.allowed, *LIBRARIES)):
                self.outside.append(real)


LIBRARIES = (f"{os.path.realpath(sys.prefix)}/lib", f"{os.path.realpath(sys.base_prefix)}/lib")


def _too_long(*_):
    raise TooLongError


def of_ctrl_c(error):
    """Whether somebody wants the fuzzer to end: Ctrl-C, or the exit that it was turned into."""
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)
    )


def judge(result, target):
    """What preprocessing gave; a fault in words, or None."""
    if isinstance(result, LeftOut):
        reason = result.reason
        if (
            not reason
            or not reason.isprintable()
            or len(reason) > 1000
            or "MemoryError" in reason
            or "Warning" in reason
            or SECRET in reason
        ):
            return f"no reason: {reason[:200]!r}"
        (result.id + reason).encode()
        return None
    if not isinstance(result, Window) or result.ecg.shape != (12, target) or not np.isfinite(result.ecg).all():
        return f"no window: {result}"
    return None if result.lead_mask.any() and np.abs(result.ecg).max() <= DataConfig().max_amplitude else "no lead"


def tokens(windows):
    """R peaks and tokens of a few windows; a fault in words, or None."""
    ecg = torch.from_numpy(np.stack([window.ecg for window in windows]))
    mask = torch.from_numpy(np.stack([window.lead_mask for window in windows]))
    for peaks in detect_r_peaks(ecg, mask, SIGNAL.fs):
        if len(peaks) and (peaks.min() < 0 or peaks.max() >= ecg.shape[2] or (peaks.diff() <= 0).any()):
            return f"peaks {peaks.tolist()}"
    with torch.no_grad():
        x, meta = TOKENIZER(ecg, mask)
    return None if torch.isfinite(x).all() and meta["beat_mask"].any(1).all() else "tokens that are no numbers"


def read_all(layout, root):
    """(outcomes, fault) of every record of a folder, read as `build` reads them."""
    outcomes, windows = Counter(), []
    source = make_source(DataConfig(source=layout, root=str(root), seconds=SECONDS_A_WINDOW), SIGNAL)
    target = round(SECONDS_A_WINDOW * SIGNAL.fs)
    source.fingerprint()
    for entry in source.entries():
        try:
            for recording in source.read(entry):
                for result in preprocess(recording, SIGNAL, SECONDS_A_WINDOW, DataConfig().max_amplitude):
                    fault = judge(result, target)
                    if fault:
                        return outcomes, fault
                    outcomes[type(result).__name__] += 1
                    windows += [result] if isinstance(result, Window) and len(windows) < 2 else []
        except UnreadableError as reason:
            outcomes["unreadable"] += 1
            fault = judge(LeftOut(entry.id, str(reason)), target)
            if fault:
                return outcomes, fault
    return outcomes, tokens(windows) if windows else None


SECONDS_A_WINDOW = 4.0


def stored(layout, root):
    """The same by way of `build` and the store."""
    place = root.parent / "store"
    data = DataConfig(source=layout, root=str(root), seconds=SECONDS_A_WINDOW, workers=1)
    place.mkdir()
    build(make_source(data, SIGNAL), data, SIGNAL, place)
    store = open_store(place)
    return Counter(stored=len(store), left=len(store.rejected)), None


def looked_at(layout, root):
    """The first records by way of `--mode data`, which shows those that are left out too."""
    data = DataConfig(source=layout, root=str(root), seconds=SECONDS_A_WINDOW)
    run = replace(RunConfig(), data=data)
    source, seen = make_source(data, SIGNAL), Counter()
    for at, entry in enumerate(source.entries()[:3]):
        try:
            lines = summary(examine(source, entry, run, 0.0, 10.0), at)
            seen["looked at"] += 1
        except UserError as fault:
            lines = [str(fault)]
            seen["refused"] += 1
        if any(SECRET in line for line in lines):
            return seen, f"told: {lines}"
    return seen, None


WAYS = {0: stored, 7: stored, 3: looked_at, 12: looked_at}  # by the case's number, modulo 14; the others are read


def run_case(number, seed, base, watch):
    """(outcomes, fault or None) of one case."""
    rng = np.random.default_rng((seed, number))
    layout = LAYOUTS[number % len(LAYOUTS)]
    place = Path(tempfile.mkdtemp(dir=base))
    root = place / "root"
    said = io.StringIO()
    try:
        what = spoilt(layout, root, rng)
        work = WAYS.get(number % 14, read_all)
        watch.allowed, watch.outside = (f"{root.resolve()}/", f"{place.resolve()}/store/"), []
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.setitimer(signal.ITIMER_REAL, WAIT)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
                warnings.simplefilter("error")  # a warning would stand on the user's screen
                outcomes, fault = work(layout, root)
        except UserError as error:
            outcomes, fault = Counter(refused=1), None
            if not str(error).isprintable() or len(str(error)) > 1000 or SECRET in str(error) or not str(error):
                fault = f"no one-line fault: {str(error)[:300]!r}"
        except TooLongError:
            outcomes, fault = Counter(), "too long"
        except BaseException as error:  # whatever else it is, it is a fault
            if of_ctrl_c(error):
                raise
            outcomes, fault = Counter(), traceback.format_exc()[-1500:]
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            watch.allowed = None
        if watch.outside and fault is None:
            fault = f"opened {watch.outside[:3]}"
        return outcomes, fault and f"case {number}: {layout}, {'; '.join(what)}: {fault}"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def main():
    cases, seed = int(sys.argv[1]), int(sys.argv[2])
    only = [int(word) for word in sys.argv[3:]] or range(cases)
    torch.set_num_threads(1)
    watch = Watch()
    for way in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(way, _too_long)
    outcomes, faults, slowest = Counter(), [], (0.0, -1)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as base:
        for number in range(
            2 * len(LAYOUTS)
        ):  # loads what is loaded late, so that what is opened later is a case's own
            run_case(number, seed, base, watch)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in only:
            began = time.monotonic()
            counted, fault = run_case(number, seed, base, watch)
            slowest = max(slowest, (time.monotonic() - began, number))
            outcomes["cases"] += 1
            outcomes.update(counted)
            if fault:
                faults.append(fault)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    if grown > RESIDENT:
        faults.append(f"memory: {grown >> 20} MiB more than at the start")
    print(json.dumps({"outcomes": outcomes, "faults": faults, "slowest": slowest, "grown": grown >> 20}))


if __name__ == "__main__":
    main()
