"""Small file systems of their own, as disks that are full or must not be written; they need the right to mount."""

import subprocess
from contextlib import contextmanager

import pytest


def _mount(*words):
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a file system of its own: expected the right to mount one, got: {done.stderr.strip()[:120]}")


class Disk:
    """A mounted file system in memory."""

    def __init__(self, place):
        self.place = place

    def resize(self, kilobytes):
        """More room, or less."""
        _mount("-o", f"remount,size={kilobytes}k", str(self.place))

    def protect(self, only_read):
        """Whether it may be written."""
        _mount("-o", f"remount,{'ro' if only_read else 'rw'}", str(self.place))


@contextmanager
def disk(place, kilobytes):
    """A disk of so many kilobytes at a place; skips, with the reason, where none can be had."""
    place.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place))
    except FileNotFoundError:
        pytest.skip("a file system of its own: expected the program mount, got none")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], capture_output=True)
