"""Result folders: `results/<runid>_step<N>/`, each written by one process, complete once it holds `DONE`.

The plain name belongs to the first run of an id and budget N; another run of the same id and N (other data, seed,
learning rate, so another hash) goes to `<runid>_step<N>_<hash6>`. A finished folder is never written to unless asked
with `force`; an unfinished one is carried on by a run of the same hash. An abandoned, unfinished folder of another hash
does not keep the plain name: it is moved to the name with its own hash, where its run can be resumed.

A folder carries two hidden files: `.hash`, whose run it is, and `.lock`, held while a process writes it. The operating
system drops the lock with the process, so that nothing has to be cleaned up after a kill.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from filelock import FileLock, Timeout

from ecggen.atomic import remove_leftovers, target_of, whole_file, write_text
from ecggen.errors import UserError
from ecggen.events import PREFIX as EVENTS
from ecggen.plainfile import read_plain
from ecggen.runid import parse_runid

State = Literal["new", "resume", "reuse"]
DONE = "DONE"
_HASH, _LOCK = ".hash", ".lock"
_SETTINGS = "config.yaml"  # written before anything is learned
_CLAIMS = ".claims.lock"
_CLAIM_SECONDS = 60.0  # claims of other processes take milliseconds
_NAME = re.compile(r"(m[1-9]\d*s[1-9]\d*k[1-9]\d*)_step([1-9]\d*)(?:_([0-9a-f]{6}))?", re.ASCII)


@dataclass
class Claim:
    """The right to write one folder, or the news that nothing has to be written. Use it in a `with` block.

    Attributes:
        folder: where the run's files belong.
        state: `new`, the folder is empty; `resume`, it holds an unfinished run of the same hash; `reuse`, a finished
            one, which must not be written to.
        note: one line for the screen where the folder is not simply new, else empty.
    """

    folder: Path
    state: State
    note: str = ""
    run_hash: str = ""
    _lock: FileLock | None = None

    def finish(self) -> None:
        """Marks the folder as complete: the last thing that is written. The lock goes with the `with` block."""
        assert self._lock is not None and self._lock.is_locked, f"{self.folder}: expected a claim that is held"
        write_text(self.folder / DONE, self.run_hash + "\n")

    def fill(self, made: Path) -> None:
        """Copies the files of a finished folder of the same run here, which is complete then; others here stay."""
        for old in self.folder.glob(f"{EVENTS}.*"):
            old.unlink()
        for entry in made.iterdir():
            if entry.is_file() and not entry.is_symlink() and entry.name not in (_LOCK, _HASH, DONE):
                with whole_file(self.folder / entry.name) as temporary:
                    shutil.copyfile(entry, temporary)
        self.finish()

    def release(self) -> None:
        """Lets other processes write the folder; one in which nothing was learned goes. Harmless when repeated."""
        if self._lock is None or not self._lock.is_locked:
            return
        with FileLock(self.folder.parent / _CLAIMS, timeout=_CLAIM_SECONDS):
            if self.folder.is_dir() and _is_empty(self.folder):
                shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.release()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def claim_folder(results: Path, runid: str, steps: int, run_hash: str, force: bool = False) -> Claim:
    """The folder of a run, locked for this process unless its finished result is to be reused.

    Args:
        results: the results folder, made if it is not there.
        runid: `m1s1k1`.
        steps: the budget N in optimizer steps.
        run_hash: as `runid.run_hash` gives it.
        force: empty the folder of an equal run and begin anew.

    Raises:
        UserError: another process writes the folder, or something that is not a folder has its name.
    """
    parse_runid(runid)
    assert re.fullmatch(r"[0-9a-f]{6,}", run_hash), f"run_hash: expected hexadecimal digits, got {run_hash!r}"
    plain = results / f"{runid}_step{steps}"
    own = plain.with_name(f"{plain.name}_{run_hash[:6]}")
    _make(results)
    try:
        with FileLock(results / _CLAIMS, timeout=_CLAIM_SECONDS):
            folder, note = _place(plain, own, run_hash)
            return _claim(folder, note, run_hash, force)
    except Timeout:
        raise UserError(
            f"{results}: expected to claim a folder in {_CLAIM_SECONDS:g} s, another process is stuck; end it"
        ) from None
    except OSError as fault:
        raise UserError(f"{results}: expected a folder to write to, got: {fault.strerror}; choose another") from None


def _place(plain: Path, own: Path, run_hash: str) -> tuple[Path, str]:
    """Which of the two names is this run's, and what to tell about it."""
    for folder in (plain, own):
        if _read_hash(folder) == run_hash:
            return folder, ""
    if not plain.exists():
        return plain, ""
    if plain.is_dir() and not (plain / DONE).exists() and not _is_held(plain):
        if _is_empty(plain):
            return plain, ""
        if _read_hash(plain) and _set_aside(plain):
            return plain, f"{plain.name}: an unfinished run with other settings was moved to its own hash"
    return own, f"{plain.name} holds a run with other settings; this one goes to {own.name}"


def _is_held(folder: Path) -> bool:
    """Whether a process writes the folder just now."""
    if not (folder / _LOCK).exists():
        return False
    try:
        with FileLock(folder / _LOCK, timeout=0):
            return False
    except Timeout:
        return True


def _set_aside(plain: Path) -> bool:
    """Moves an abandoned folder to the name with its hash; False where that name is taken."""
    aside = plain.with_name(f"{plain.name}_{_read_hash(plain)[:6]}")
    if aside.exists():
        return False
    plain.rename(aside)
    return True


def _claim(folder: Path, note: str, run_hash: str, force: bool) -> Claim:
    if (folder / DONE).exists() and not force:
        return Claim(folder, "reuse", f"{folder.name} is finished with the same settings and is reused")
    _make(folder)
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(f"{folder}: expected a free folder, another process writes it; wait for it or end it") from None
    if (folder / DONE).exists() and not force:  # finished by another process between the two looks
        lock.release()
        return Claim(folder, "reuse", f"{folder.name} is finished with the same settings and is reused")
    if force:
        _empty(folder)
    remove_leftovers(folder)
    resumed = not _is_empty(folder)
    if not resumed:
        _empty(folder)
    write_text(folder / _HASH, run_hash + "\n")
    if resumed:
        note = f"{folder.name} is unfinished and is carried on"
    return Claim(folder, "resume" if resumed else "new", note, run_hash, lock)


def find_run(results: Path, name: str) -> Path:
    """The folder of a finished run.

    Args:
        results: the results folder.
        name: `m1s1k1`, the largest N of that id; or `m1s1k1_step500`; or `m1s1k1_step500_ab12cd`. Where a name leaves
            open which hash is meant, the plain folder is, else the one finished last.

    Raises:
        UserError: no such run is finished; the message lists those that are.
    """
    if not (_NAME.fullmatch(name) or _NAME.fullmatch(f"{name}_step1")):
        raise UserError(f"run id: expected m1s1k1, m1s1k1_step500 or m1s1k1_step500_ab12cd, got {name[:60]!r}")
    finished = finished_runs(results)
    matches = [run for run in finished if f"{run.name}_".startswith(f"{name}_")]
    if not matches:
        there = ", ".join(run.name for run in finished[:8]) + (", ..." if len(finished) > 8 else "")
        there = f"only {there}" if finished else "none at all"
        raise UserError(f"{results}: expected a finished run {name}, there is {there}; train it with --mode train")
    return max(matches, key=_rank)


def finished_runs(results: Path) -> list[Path]:
    """All folders of `results` that are named as runs are and hold `DONE`, by name; everything else is passed over."""
    if not results.is_dir():
        return []
    return sorted(entry for entry in results.iterdir() if _NAME.fullmatch(entry.name) and (entry / DONE).is_file())


def require_finished(folder: Path) -> None:
    """Raises UserError where a folder that someone named is none of a finished run."""
    if not (folder / DONE).is_file():
        there = "one that is unfinished" if folder.is_dir() else "no folder"
        raise UserError(f"{folder}: expected the folder of a finished run, got {there}; finish it, or name another")


def _rank(folder: Path) -> tuple[int, bool, float]:
    """Largest budget first, then the plain name, then the newest."""
    match = _NAME.fullmatch(folder.name)
    assert match is not None, f"run folder: expected <runid>_step<N>, got {folder.name}"
    return int(match[2]), match[3] is None, (folder / DONE).stat().st_mtime


def _read_hash(folder: Path) -> str:
    """The hash of the run that a folder belongs to; empty where there is none. `DONE` repeats it, for copies."""
    for name in (_HASH, DONE):
        try:
            text = read_plain(folder / name).strip()
        except (OSError, UnicodeDecodeError):
            continue
        if re.fullmatch(r"[0-9a-f]{6,}", text):
            return text
    return ""


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{folder}: expected a folder, got a file of that name; move it away") from None
    except OSError as fault:
        raise UserError(
            f"{folder}: expected a folder to write to, got: {fault.strerror}; choose another --results"
        ) from None


def _is_empty(folder: Path) -> bool:
    """Whether nothing has been learned there yet: a curve alone is nothing that could be carried on."""
    names = [target_of(entry) or entry.name for entry in folder.iterdir()]
    return all(name in (_HASH, _LOCK, _SETTINGS) or name.startswith(EVENTS) for name in names)


def _empty(folder: Path) -> None:
    """Removes a run, `DONE` first, so that a kill in between leaves an unfinished folder and not a broken one.

    Whose folder it is stays: without that, a folder that was half emptied would keep its name from its own run.
    """
    (folder / DONE).unlink(missing_ok=True)
    for entry in folder.iterdir():
        if entry.name in (_LOCK, _HASH):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
