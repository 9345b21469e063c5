"""Signals of WFDB records in mV, through the `wfdb` package; shared by the layouts whose records are WFDB files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from ecggen.data.recording import Recording
from ecggen.data.sources.contract import MOST_AT_ONCE, Entry, UnreadableError, checked_spans
from ecggen.data.sources.units import in_millivolts
from ecggen.data.sources.wfdb_header import Header, read_header
from ecggen.leads import canonical_lead

FRANK_LEADS = ("VX", "VY", "VZ")


def read_whole(root: Path, entry: Entry) -> Recording:
    """A short record below `root` in one piece. Raises UnreadableError."""
    header = read_header(root, entry.location)
    if (header.samples + header.ahead) * header.values > MOST_AT_ONCE:
        raise UnreadableError(f"too large: {header.samples:.3g} samples of {header.values} channels in one piece")
    return _recording(_call(wfdb.rdrecord, root / entry.location, return_res=32), entry)


def read_blocks(root: Path, entry: Entry, seconds: float, header: Header) -> Iterator[Recording]:
    """A record below `root`, of any length, in blocks, given its header. Raises UnreadableError."""
    if not header.told or header.fs <= 0:  # the header leaves the length to the signal file
        yield read_whole(root, entry)
        return
    path = root / entry.location
    blocks = checked_spans(header.samples, header.values, header.fs, seconds)
    if header.ahead * header.values > MOST_AT_ONCE:
        raise UnreadableError(f"too large: channels {header.ahead:.3g} samples apart")
    if len(blocks) > 1:  # a truncated file is left out as a whole, not from where it ends
        _call(wfdb.rdrecord, path, sampfrom=header.samples - 1, sampto=header.samples)
    for span in blocks:
        record = _call(wfdb.rdrecord, path, return_res=32, sampfrom=span.start, sampto=span.stop)
        block = _recording(record, entry)
        expected = span.stop - span.start
        if block.signal.shape[1] != expected:
            raise UnreadableError(
                f"signal file: expected {expected} samples by the header, got {block.signal.shape[1]}"
            )
        block.extra["span"] = span
        yield block


def _call(function: Callable[..., Any], path: Path, **options: Any) -> Any:
    """Any exception of the reader is a property of the file, not of the program: it becomes a reason."""
    try:
        with np.errstate(all="ignore"):  # an absurd gain overflows; preprocessing judges what comes of it
            return function(str(path), **options)
    except FileNotFoundError as error:
        raise UnreadableError(f"file missing: {Path(error.filename or path).name}") from error
    except Exception as error:
        text = " ".join(str(error).split())
        raise UnreadableError(f"unreadable or truncated file: {type(error).__name__}: {text[:120]}") from error


def _recording(record: Any, entry: Entry) -> Recording:
    if record.p_signal is None or record.sig_name is None or record.units is None:
        raise UnreadableError("no signal in the record")
    leads = tuple(name or "" for name in record.sig_name)  # a header need not name its channels
    scale = np.array([_millivolts(name, unit) for name, unit in zip(leads, record.units, strict=True)])
    signal = record.p_signal.T
    if (scale != 1).any():
        signal = signal * scale[:, None].astype(np.float32)
    names = [name.strip().upper() for name in leads]
    extra: dict[str, Any] = {}
    if all(name in names for name in FRANK_LEADS):
        extra["frank"] = signal[[names.index(name) for name in FRANK_LEADS]]
    return Recording(
        id=entry.id,
        fs=float(record.fs),
        leads=leads,
        signal=signal,
        patient=entry.patient,
        fold=entry.fold,
        labels=entry.labels,
        extra=extra,
    )


def _millivolts(name: str, unit: str) -> float:
    """Scale to mV. Channels that are no leads (pressure, respiration) keep their numbers: they are never used."""
    scale = in_millivolts(str(unit))
    if scale is None:
        if canonical_lead(str(name)) is not None or str(name).strip().upper() in FRANK_LEADS:
            raise UnreadableError(f"unit of lead {name}: expected mV, uV or V, got {unit!r}")
        return 1.0
    return scale
