"""What every source of recordings offers, so that a new layout is one more class and nothing above it changes.

A source lists its records without reading a signal (`entries`), reads one record when asked (`read`), and tells whether
anything it reads from has changed (`fingerprint`). A long record comes in blocks that overlap by a margin: the
zero-phase filter needs context on both sides, and the whole of a 24 h record need not fit in memory. `Span` says which
windows a block is responsible for; a recording without one is read whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ecggen.data.recording import Recording
from ecggen.errors import one_line

BLOCK_SECONDS = 600.0  # length of a block of a long record, margins apart
SLOWEST = 1.0  # Hz; below it nothing is an ECG, and a record would seem to last for years
MARGIN_SECONDS = 5.0  # context on both sides of a block; the slowest mode of the filter has decayed by e^-14 after it
# What a header or an index may promise before anything is allocated for it.
LONGEST = 31 * 86_400.0  # s, a month of monitoring
MOST_AT_ONCE = 40_000_000  # numbers of one block: ten minutes of twelve leads at 5 kHz
MOST_A_SECOND = 25_000  # numbers, where the user asks for windows longer than a block: 25 channels at 1 kHz


class UnreadableError(Exception):
    """A record that cannot be read. The message is the one-line reason that `rejected.csv` lists."""

    def __str__(self) -> str:
        return one_line(super().__str__())


@dataclass(frozen=True)
class Entry:
    """One record of a source as its index knows it; no signal has been read.

    Attributes:
        id: unique within the source.
        location: what the source's `read` needs to find the record; for files the path below the root, no suffix.
        patient, fold, labels: as in `Recording`; `labels` stays None where only the signal file knows them.
    """

    id: str
    location: str
    patient: str | None = None
    fold: int | None = None
    labels: tuple[str, ...] | None = None


class Source(Protocol):
    """A layout of recordings. Instances are sent to worker processes, so they hold settings and no open files."""

    def entries(self) -> list[Entry]:
        """All records, in a fixed order. Raises UserError where the folder is not of this layout."""
        ...

    def read(self, entry: Entry) -> Iterator[Recording]:
        """The record, in one piece or in blocks (`extra["span"]`). Raises UnreadableError with a one-line reason."""
        ...

    def fingerprint(self) -> str:
        """Changes whenever files or settings change what the source yields; cheap, no signal is read."""
        ...


@dataclass(frozen=True)
class Span:
    """Where a block lies in its record, in samples of the record, and the windows [first, last) that it delivers."""

    start: int
    stop: int
    first: int
    last: int
    total: int  # samples of the whole record
    windows: int  # windows of the whole record


def window_count(total: int, fs: float, seconds: float) -> int:
    """Complete windows of `seconds` in `total` samples at `fs` Hz; half a sample short still counts as complete."""
    return int((total + 0.5) / (seconds * fs))


def spans(total: int, fs: float, seconds: float) -> list[Span]:
    """The blocks in which a record of `total` samples is read; a record that fits in one block is read whole."""
    if not fs >= SLOWEST:
        return [Span(0, total, 0, 0, total, 0)]
    windows = window_count(total, fs, seconds)
    if total <= (BLOCK_SECONDS + 2 * MARGIN_SECONDS) * fs or windows == 0:
        return [Span(0, total, 0, windows, total, windows)]
    step = max(1, int(BLOCK_SECONDS / seconds))
    blocks = []
    for first in range(0, windows, step):
        last = min(first + step, windows)
        start = max(0, round((first * seconds - MARGIN_SECONDS) * fs))
        stop = min(total, round((last * seconds + MARGIN_SECONDS) * fs))
        blocks.append(Span(start, stop, first, last, total, windows))
    return blocks


def checked_spans(total: int, values: int, fs: float, seconds: float) -> list[Span]:
    """`spans` of a record of `values` numbers a sample, if its blocks fit in memory; nothing has been read yet.

    Raises UnreadableError for a record that promises more than any has.
    """
    if total > 2**53 or (fs >= SLOWEST and total > LONGEST * fs):
        raise UnreadableError(f"too long: {total:.3g} samples, more than {LONGEST / 86_400:g} days")
    blocks = spans(total, fs, seconds)
    longest = max((block.stop - block.start for block in blocks), default=0)
    most = max(MOST_AT_ONCE, (seconds + 2 * MARGIN_SECONDS) * MOST_A_SECOND)
    if longest * values > most:
        raise UnreadableError(
            f"too large: {longest:.3g} samples of {values} channels at once, more than {most:.3g} numbers"
        )
    return blocks


def span_of(recording: Recording, seconds: float) -> Span:
    """The span that a recording carries, or that of a record read whole."""
    carried: Any = recording.extra.get("span")
    if isinstance(carried, Span):
        return carried
    total = recording.signal.shape[1]
    windows = window_count(total, recording.fs, seconds)
    return Span(0, total, 0, windows, total, windows)
