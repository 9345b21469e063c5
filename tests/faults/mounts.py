"""Small file systems of their own, as disks that are full or must not be written; they need the right to mount."""

import os
import subprocess
from contextlib import contextmanager

import pytest


def _mount(*words):
    """What went wrong; empty where nothing did."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    return done.stderr.strip()[:120] or f"exit code {done.returncode}" if done.returncode else ""


class Disk:
    """A mounted file system in memory."""

    def __init__(self, place):
        self.place = place

    def resize(self, kilobytes):
        """More room, or less."""
        assert not (fault := _mount("-o", f"remount,size={kilobytes}k", str(self.place))), fault

    @contextmanager
    def protected(self):
        """Nothing may be written; for a disk on which no file is open for writing."""
        assert not (fault := _mount("-o", "remount,ro", str(self.place))), fault
        yield
        assert not (fault := _mount("-o", "remount,rw", str(self.place))), fault

    @contextmanager
    def covered(self, folder):
        """Nothing below a folder may be opened for writing; whoever has a file open there goes on with it."""
        aside = self.place / "aside"  # made read-only where nobody writes, and then laid over the folder in one go
        aside.mkdir()
        for words in (
            ("--bind", str(folder), str(aside)),
            ("-o", "remount,bind,ro", str(aside)),
            ("--bind", str(aside), str(folder)),
        ):
            assert not (fault := _mount(*words)), fault
        assert os.statvfs(folder).f_flag & os.ST_RDONLY
        yield
        for place in (folder, aside):
            subprocess.run(["umount", "--lazy", str(place)], check=True, capture_output=True)
        aside.rmdir()


@contextmanager
def disk(place, kilobytes):
    """A disk of so many kilobytes at a place; skips, with the reason, where none can be had."""
    place.mkdir()
    try:
        fault = _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place))
    except FileNotFoundError:
        pytest.skip("a file system of its own: expected the program mount, got none")
    if fault:
        pytest.skip(f"a file system of its own: expected the right to mount one, got: {fault}")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], capture_output=True)
