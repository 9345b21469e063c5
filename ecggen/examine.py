"""Look at one recording of any source: read it alone, and ask preprocessing what it makes of it.

Nothing is judged here. What is used, mended or left out, and why, is what `preprocess` says; the cache of the whole
source is neither needed nor built. Records that are left out are shown all the same: then one needs it most.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from ecggen.config import RunConfig, TokenizerConfig
from ecggen.data.beats import peak_table, segment
from ecggen.data.preprocess import MAX_RATE, LeftOut, Window, mend, preprocess
from ecggen.data.recording import Recording
from ecggen.data.rpeaks import detect_r_peaks
from ecggen.data.sources.contract import SLOWEST, Entry, Source, Span, UnreadableError, span_of
from ecggen.data.store import STORED
from ecggen.errors import UserError
from ecggen.examination import Defect, Examination, Piece, counted
from ecggen.leads import canonical_lead

ABOVE_ALL = float("inf")  # mV; so that a window which is left out for its amplitude can still be drawn


def examine(source: Source, entry: Entry, run: RunConfig, start: float, seconds: float) -> Examination:
    """Read one record and gather what there is to see of it.

    Args:
        source: that lists `entry`.
        entry: of the record.
        run: its data and signal settings decide what is used; its tokenizer settings where beats are cut.
        start: where the stretch to look at begins, s.
        seconds: its length; a record that ends earlier gives less.

    Raises:
        UserError: the record cannot be read at all, has no sampling rate, or ends before `start`.
    """
    parts: list[np.ndarray] = []
    pieces: list[Piece] = []
    defects: list[Defect] = []
    leads: tuple[str, ...] = ()
    reason, absent, fs, total = None, "", 0.0, 0.0
    for recording, span in _blocks(source, entry, run.data.seconds):
        leads, fs, total = _names(recording), recording.fs, span.total / recording.fs
        if start >= total:
            length = f"the length of record {entry.id}"
            raise UserError(f"start: expected 0 to below {total:g} s, {length}, got {start:g} s; begin earlier")
        looked = (start, min(start + seconds, total))
        parts.append(_cut(recording, span, looked, sum(part.shape[1] for part in parts)))
        if reason is not None:  # the record itself, not one of its windows: further blocks would say the same
            continue
        reason, judged = _judge(recording, span, run)
        pieces += _pieces(recording, span, judged, run, looked)
        absent = absent or next((one.absent for one in judged if isinstance(one, Window)), "")
        defects += _gaps(recording, span, run.data.seconds, looked)
    defects += [defect for piece in pieces for defect in _not_used(piece, leads, looked)]
    return Examination(
        id=entry.id,
        fs=fs,
        leads=leads,
        total=total,
        start=start,
        raw=np.concatenate(parts, axis=1),
        reason=reason,
        absent=absent,
        pieces=tuple(pieces),
        defects=tuple(defects),
        target_fs=run.model.signal.fs,
        band=(run.model.signal.band_low, run.model.signal.band_high),
    )


def _blocks(source: Source, entry: Entry, seconds: float) -> Iterator[tuple[Recording, Span]]:
    """The record as its source reads it, with channels that have names and a time axis. Raises UserError."""
    try:
        for recording in source.read(entry):
            signal = np.asarray(recording.signal)
            if not SLOWEST <= recording.fs <= MAX_RATE or signal.ndim != 2 or signal.size == 0:
                got = f"{recording.fs:g} Hz and a signal of shape {list(signal.shape)}"
                raise UserError(
                    f"record {entry.id}: expected samples at {SLOWEST:g} to {MAX_RATE:g} Hz, got {got}; correct it"
                )
            yield recording, span_of(recording, seconds)
    except UnreadableError as fault:
        raise UserError(
            f"record {entry.id}: expected a readable recording, got: {fault}; it is left out, restore its files"
        ) from None


def _names(recording: Recording) -> tuple[str, ...]:
    """The channels by name; numbered where the file has another number of names, which preprocessing refuses."""
    names, channels = tuple(recording.leads), len(recording.signal)
    return names if len(names) == channels else tuple(f"channel {number + 1}" for number in range(channels))


def _judge(recording: Recording, span: Span, run: RunConfig) -> tuple[str | None, list[Window | LeftOut]]:
    """Why the record is left out as a whole, or None; and what preprocessing makes of each window of the block."""
    results = preprocess(recording, run.model.signal, run.data.seconds, run.data.max_amplitude)
    first = results[0] if results else None
    if isinstance(first, LeftOut) and first.id == recording.id:
        return first.reason, results[: span.windows]
    return None, results


def _pieces(
    recording: Recording, span: Span, judged: list[Window | LeftOut], run: RunConfig, looked: tuple[float, float]
) -> list[Piece]:
    """The windows of one block: beats of all that are used, signals of those that are looked at."""
    seconds = run.data.seconds
    peaks = _peaks([one for one in judged if isinstance(one, Window)], run)
    pieces: list[Piece] = []
    for at, one in enumerate(judged):
        begin, end = (span.first + at) * seconds, (span.first + at + 1) * seconds
        near = begin < looked[1] and end > looked[0]
        if isinstance(one, LeftOut):
            window = _whatever_its_amplitude(recording, run, at) if near else None
            piece = Piece(one.id, begin, end, one.reason)
            if window is not None:
                piece = replace(piece, ecg=window.ecg, lead_mask=window.lead_mask, repairs=window.repairs)
            pieces.append(piece)
            continue
        found = next(peaks)
        beats, fallback = _beats(found, one.ecg.shape[1], run.model.tokenizer)
        few = (f"no beats: {counted(len(found), 'R peak')} found, cut evenly",) if fallback else ()
        times = begin + found.numpy() / run.model.signal.fs
        windows = begin + beats / run.model.signal.fs
        ecg = one.ecg if near else None
        pieces.append(Piece(one.id, begin, end, None, one.repairs + few, ecg, one.lead_mask, times, windows))
    return pieces


def _whatever_its_amplitude(recording: Recording, run: RunConfig, at: int) -> Window | None:
    """A window that was left out, as it would be if no amplitude were too high; None where that is not why."""
    results = preprocess(recording, run.model.signal, run.data.seconds, ABOVE_ALL)
    one = results[at] if at < len(results) else None
    return one if isinstance(one, Window) else None


def _peaks(windows: list[Window], run: RunConfig) -> Iterator[torch.Tensor]:
    """R peaks of each window, on what the cache would store (see `build`)."""
    if not windows:
        return iter(())
    signals = torch.from_numpy(np.stack([window.ecg for window in windows]).astype(STORED)).float()
    masks = torch.from_numpy(np.stack([window.lead_mask for window in windows]))
    return iter(detect_r_peaks(signals, masks, run.model.signal.fs))


def _beats(peaks: torch.Tensor, samples: int, cfg: TokenizerConfig) -> tuple[np.ndarray, bool]:
    """Beat windows [n, 2] in samples as the tokenizer cuts them, and whether it finds too few beats."""
    table, counts = peak_table([peaks])
    found = segment(table if cfg.segmentation == "rr" else None, counts, samples, cfg.beat_len, cfg.before)
    (spans,) = found.windows.spans()
    return np.array(spans, float).reshape(-1, 2), bool(found.fallback)


def _cut(recording: Recording, span: Span, looked: tuple[float, float], have: int) -> np.ndarray:
    """What a block adds to the stretch, [L, T]; blocks overlap, so each begins where the last one ended.

    have: samples of the stretch that are there already.
    """
    begin, end = (round(time * recording.fs) for time in looked)
    first = max(begin + have - span.start, 0)
    return np.asarray(recording.signal, np.float32)[:, first : max(end - span.start, first)]


def _gaps(recording: Recording, span: Span, seconds: float, looked: tuple[float, float]) -> list[Defect]:
    """Stretches that `mend` does not trust, channel by channel: gaps, and runs of one value."""
    names = [canonical_lead(name) for name in _names(recording)]
    rows = [row for row, name in enumerate(names) if name is not None and name not in names[:row]]
    if not rows:
        return []
    raw = np.asarray(recording.signal)[rows]
    _, broken, filled = mend(raw, recording.fs)
    missing = ~np.isfinite(raw)
    kinds = {
        "long gap": (broken & missing, False),
        "dead electrode, one value held": (broken & ~missing, False),
        "short gap, interpolated": (filled, True),
    }
    # Margins are the business of the neighbouring block.
    own = max(looked[0], span.first * seconds), looked[1] if span.last == span.windows else span.last * seconds
    defects = []
    for what, (flags, mended) in kinds.items():
        for row, line in zip(rows, flags, strict=True):
            for run in _runs(line):
                begin, end = np.clip((span.start + np.array(run)) / recording.fs, own[0], min(own[1], looked[1]))
                if begin < end:
                    defects.append(Defect(row, float(begin), float(end), what, mended))
    return defects


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(start, end exclusive) of every stretch of True in [T]."""
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(np.int8), 0]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _not_used(piece: Piece, leads: tuple[str, ...], looked: tuple[float, float]) -> Iterator[Defect]:
    """Channels that a window does without, in preprocessing's own words: `flat lead not used: V1 V2`."""
    begin, end = max(piece.start, looked[0]), min(piece.end, looked[1])
    names = [canonical_lead(name) for name in leads]
    for repair in piece.repairs if begin < end else ():
        what, _, named = repair.partition(": ")
        if what.endswith("not used"):
            for lead in named.split():
                if lead in names:
                    yield Defect(names.index(lead), begin, end, what, mended=False)
