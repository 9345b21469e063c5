"""Small file systems of their own, as disks that are full or must not be written; they need the right to mount."""

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
        for words in (("--bind", str(folder), str(folder)), ("-o", "remount,bind,ro", str(folder))):
            assert not (fault := _mount(*words)), fault
        yield
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


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
