"""Headers of WFDB records, checked before `wfdb` sees them: what they promise must be there, and fit in memory.

A header is a stranger's text. It can promise a billion channels, a year of samples, a file of another folder, a line on
which a pattern backtracks for hours, or a record that is its own segment; `wfdb` believes all of it. The patterns are
those of `wfdb` itself, so that what is checked is what it reads. The format: https://wfdb.io/spec/header-files.html
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from wfdb.io.header import parse_header_content, rx_record, rx_segment, rx_signal

from ecggen.data.sources.contract import UnreadableError
from ecggen.data.sources.inside import file_below

SUFFIX = ".hea"
MOST_BYTES = 1 << 20  # of a header: 40,000 segments
LONGEST_LINE = 1000  # characters, comments apart
MOST_CHANNELS = 128
DEFAULT_RATE = 250.0  # Hz, the format's own
NULL = "~"  # in place of a name: a gap between segments, or a channel that only the layout knows
# Bytes of a sample in each signal format; those of FLAC (508, 516, 524) have no fixed size.
SAMPLE_BYTES = {
    **{"8": 1.0, "16": 2.0, "24": 3.0, "32": 4.0, "61": 2.0, "80": 1.0, "160": 2.0},
    **{"212": 1.5, "310": 4 / 3, "311": 4 / 3},
}
PACKED = ("508", "516", "524")


@dataclass(frozen=True)
class Header:
    """What a header says, as far as its files bear it out.

    Attributes:
        fs: sampling rate, Hz.
        samples: of the record; where the header leaves them out, as many as its signal file holds.
        told: whether the header itself says so.
        values: numbers that reading takes a sample, over all channels.
        ahead: samples beyond a block that skewed channels are read from.
        comments: lines that begin with `#`, without it.
    """

    fs: float
    samples: int
    told: bool
    values: int
    ahead: int
    comments: tuple[str, ...] = ()


def header_lines(root: Path, name: str) -> tuple[list[str], list[str]]:
    """The lines of the header `name` below `root`, and its comments, as `wfdb` parts them. Raises UnreadableError."""
    with file_below(root, name).open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise UnreadableError(f"unreadable header: more than {MOST_BYTES} bytes")
    lines, comments = parse_header_content(raw.decode("ascii", "ignore"))
    if not lines:
        raise UnreadableError("unreadable header: no line with a record's name in it")
    longest = max(map(len, lines))
    if longest > LONGEST_LINE:
        raise UnreadableError(f"unreadable header: a line of {longest} characters")
    return lines, comments


def read_header(root: Path, location: str) -> Header:
    """The header of the record `location`, a path below `root` without suffix. Raises UnreadableError."""
    if "::" in f"{root}/{location}":  # chains file systems to fsspec, through which `wfdb` opens files
        raise UnreadableError(f"not a file of the folder: {location[:80]!r}: `::` in a path")
    lines, comments = header_lines(root, location + SUFFIX)
    fields = _fields(rx_record, lines[0])
    channels = _whole(fields["n_sig"])
    if channels > MOST_CHANNELS:
        raise UnreadableError(f"unreadable header: {channels:.3g} channels, more than {MOST_CHANNELS}")
    if channels == 0:
        raise UnreadableError("no signal in the record")
    fs = _rate(lines[0], fields["fs"])
    promised = _whole(fields["sig_len"]) if fields["sig_len"] else None
    if fields["n_seg"]:
        samples, values, ahead = _segments(root, location, lines, channels)
    else:
        samples, values, ahead = _signals(root, location, lines, channels, promised)
    told = samples if promised is None else promised
    return Header(fs, told, promised is not None, values, ahead, tuple(line.strip(" \t#") for line in comments))


def _rate(line: str, matched: str) -> float:
    """Sampling rate in Hz. One that the pattern does not take whole, -500 or nan, `wfdb` would read as its default."""
    words = line.split()
    written = re.split(r"[/(]", words[2])[0] if len(words) > 2 else ""
    try:
        if written != matched:
            raise ValueError
        return float(matched or DEFAULT_RATE)
    except ValueError:
        raise UnreadableError(f"unreadable header: sampling rate {written[:20]!r}") from None


def _segments(root: Path, location: str, lines: list[str], channels: int) -> tuple[int, int, int]:
    """Samples, numbers a sample and lookahead of a record that is joined from others."""
    count = _whole(_fields(rx_record, lines[0])["n_seg"])
    if count != len(lines) - 1:
        raise UnreadableError(f"unreadable header: {count:.3g} segments promised, {len(lines) - 1} named")
    total, values, ahead, seen = 0, channels, 0, {NULL}
    for number, line in enumerate(lines[1:]):
        fields = _fields(rx_segment, line)
        length = _whole(fields["seg_len"])
        total += length
        if fields["seg_name"] in seen:
            continue
        seen.add(fields["seg_name"])
        place = str(PurePosixPath(location).parent / fields["seg_name"])
        own = _segment(root, place, None if number == 0 and length == 0 else length)
        values, ahead = max(values, own[1]), max(ahead, own[2])
    return total, values, ahead


def _segment(root: Path, location: str, length: int | None) -> tuple[int, int, int]:
    """The same of one segment, an ordinary record; `length` None is a layout, which names channels and has no files."""
    lines, _ = header_lines(root, location + SUFFIX)
    fields = _fields(rx_record, lines[0])
    if fields["n_seg"]:  # the format does not allow it, and levels of it multiply
        raise UnreadableError(f"unreadable header: segment {location} has segments of its own")
    channels = _whole(fields["n_sig"])
    if channels != len(lines) - 1 or channels > MOST_CHANNELS:
        raise UnreadableError(f"unreadable header: segment {location}: {channels:.3g} channels promised")
    if length is None or channels == 0:
        return 0, channels, 0
    promised = _whole(fields["sig_len"]) if fields["sig_len"] else None
    return _signals(root, location, lines, channels, promised)


def _signals(root: Path, location: str, lines: list[str], channels: int, promised: int | None) -> tuple[int, int, int]:
    """The same of an ordinary record, whose signal files are looked at and not opened."""
    if channels != len(lines) - 1:
        raise UnreadableError(f"unreadable header: {channels} channels promised, {len(lines) - 1} described")
    files: dict[str, list[dict[str, str]]] = {}
    for line in lines[1:]:
        fields = _fields(rx_signal, line)
        files.setdefault(fields["file_name"], []).append(fields)
    found = []
    values = ahead = 0
    for name, group in files.items():
        frame = sum(_whole(one["samps_per_frame"] or "1") for one in group)  # numbers of this file a sample
        ahead = max(ahead, *(_whole(one["skew"] or "0") for one in group))
        values += frame
        found.append(_held(root, location, name, group[0], frame, promised))
    return found[0] if promised is None else promised, values, ahead


def _held(root: Path, location: str, name: str, first: dict[str, str], frame: int, promised: int | None) -> int:
    """Samples that a signal file holds, at least those promised. Raises UnreadableError where it holds fewer."""
    size = file_below(root, str(PurePosixPath(location).parent / name)).stat().st_size
    if first["fmt"] in PACKED:
        if promised is None:
            raise UnreadableError("unreadable header: packed signals without their length")
        return promised
    if first["fmt"] not in SAMPLE_BYTES or frame == 0:
        raise UnreadableError(f"unreadable header: signal format {first['fmt'][:20]}")
    each = frame * SAMPLE_BYTES[first["fmt"]]
    room = size - _whole(first["byte_offset"] or "0")
    if promised is not None and int(min(promised, 2**53) * each) > room:
        raise UnreadableError(
            f"unreadable or truncated file: {name} has {room} bytes, its header promises {promised * each:.4g}"
        )
    return max(0, int(room / each))


def _fields(pattern: Any, line: str) -> dict[str, str]:
    match = pattern.match(line)
    if match is None:
        raise UnreadableError(f"unreadable header: {line[:40]!r}")
    return dict(match.groupdict())


def _whole(digits: str) -> int:
    """Digits as a number; those of more digits than any file has samples stand for one that is too large."""
    return int(digits) if len(digits) <= 18 else 10**18
