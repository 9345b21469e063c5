"""`Examination`: one recording as it lies on disk, and what preprocessing makes of it, ready to be drawn.

Letters: L channels of the file, T samples of the stretch that is looked at, n beats.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from ecggen.leads import LEADS, canonical_lead

DERIVED = "limb lead derived"  # as preprocessing says it, names behind it
ORDINALS = {2: "second", 3: "third"}


@dataclass(frozen=True)
class Defect:
    """A stretch of one channel that is not as it should be. row: of the channel; start, end: s of the record."""

    row: int
    start: float
    end: float
    what: str
    mended: bool  # True = repaired and used, False = not used


@dataclass(frozen=True, eq=False)
class Piece:
    """One window of the record, as it was judged.

    Attributes:
        id: of the window, as `rejected.csv` has it.
        start, end: s of the record.
        reason: why it is left out, None where it is used.
        repairs: what was repaired, in words.
        ecg: [12, T'] mV, preprocessed, at `Examination.target_fs`; None where nothing could be made of it, and outside
            the stretch that is looked at.
        lead_mask: [12] bool, the leads that are used.
        peaks: [n] s of the record, R peaks found.
        beats: [n', 2] s of the record, the windows around them that lie inside the piece.
    """

    id: str
    start: float
    end: float
    reason: str | None
    repairs: tuple[str, ...] = ()
    ecg: np.ndarray | None = None
    lead_mask: np.ndarray = field(default_factory=lambda: np.zeros(len(LEADS), bool))
    peaks: np.ndarray = field(default_factory=lambda: np.zeros(0))
    beats: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    @property
    def derived(self) -> tuple[str, ...]:
        """The limb leads that were computed from the others."""
        said = (repair.partition(": ") for repair in self.repairs)
        return tuple(lead for what, _, named in said if what == DERIVED for lead in named.split())


@dataclass(frozen=True, eq=False)
class Examination:
    """A record and a stretch of it.

    Attributes:
        id: of the record.
        fs: sampling rate of the file, Hz.
        leads: names of the channels as the file spells them.
        total: length of the whole record, s.
        start: where the stretch begins, s.
        raw: [L, T] mV, the stretch as it lies on disk, NaN where a sample is missing.
        reason: why the record is left out as a whole, None where it is not.
        absent: leads that the record never had and that could not be derived.
        pieces: all windows of the record, in order.
        defects: of the channels within the stretch.
        target_fs, band: of the preprocessed signal, Hz.
    """

    id: str
    fs: float
    leads: tuple[str, ...]
    total: float
    start: float
    raw: np.ndarray
    reason: str | None
    absent: str
    pieces: tuple[Piece, ...]
    defects: tuple[Defect, ...]
    target_fs: float
    band: tuple[float, float]

    def __post_init__(self) -> None:
        assert self.raw.ndim == 2 and self.raw.shape[1] > 0, (
            f"raw: expected [L, T] with samples, got {list(self.raw.shape)}; begin inside the record"
        )
        assert len(self.leads) == len(self.raw), (
            f"leads: expected {len(self.raw)} names, one a channel, got {len(self.leads)}; name every channel"
        )
        assert self.fs > 0, f"fs: expected Hz above 0, got {self.fs}; correct the header"

    @property
    def end(self) -> float:
        """Where the stretch ends, s."""
        return self.start + self.raw.shape[1] / self.fs

    def used_as(self) -> list[str | None]:
        """The standard lead that each channel is read as; None for others, and for the second of two of one name."""
        names: list[str | None] = []
        for name in self.leads:
            lead = canonical_lead(name)
            names.append(None if lead in names else lead)
        return names

    def doubles(self) -> list[str | None]:
        """Of each channel that is not used because an earlier one has its lead: `second II`; None for the others."""
        names = [canonical_lead(name) for name in self.leads]
        before = [names[:row].count(lead) for row, lead in enumerate(names)]
        return [
            f"{ORDINALS.get(count + 1, f'{count + 1}th')} {lead}" if lead is not None and count else None
            for lead, count in zip(names, before, strict=True)
        ]

    @property
    def covered(self) -> float:
        """Where the last window ends, s: what follows is too short for another one. Else the record's length."""
        last = max((piece.end for piece in self.pieces), default=0.0)
        return last if last < self.total - 0.5 / self.fs else self.total

    def verdict(self) -> str:
        """What becomes of the record, in one line."""
        if self.reason is not None:
            return f"left out: {self.reason}"
        refused = [piece for piece in self.pieces if piece.reason is not None]
        if not refused:
            used = "its one window" if len(self.pieces) == 1 else f"all {len(self.pieces)} windows"
            part = f", 0-{seconds(self.covered)} s of {seconds(self.total)} s" if self.covered < self.total else ""
            return f"used: {used}{part}"
        reasons = [reason for reason, _ in Counter(str(piece.reason) for piece in refused).most_common()]
        rest = ", and for other reasons" if len(reasons) > 1 else ""
        if self.covered < self.total:
            rest += f"; the last {seconds(self.total - self.covered)} s fill no window"
        return f"{len(refused)} of {len(self.pieces)} windows left out: {reasons[0]}{rest}"


def counted(number: int, thing: str) -> str:
    """`1 beat`, `2 beats`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def seconds(value: float) -> str:
    """To a hundredth, without zeros at the end."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
