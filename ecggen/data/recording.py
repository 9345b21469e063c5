"""`Recording`: the one form in which every source hands a recording on, so that above it all sources look alike."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Recording:
    """One recording, or one window of a long one, as it lies on disk: not yet filtered, resampled or reordered.

    Attributes:
        id: unique within its source; a window of a long record is `<record>@<start in seconds>`.
        patient: patient id where known; patients never cross splits.
        fold: official fold where the source has one.
        fs: sampling rate in Hz.
        leads: lead names as the file spells them, one a row of `signal`.
        signal: [L, T] in mV, NaN where a sample is missing.
        labels: class names of the chosen task; None where the record has no label of the task or the source has none.
        extra: what else is known: `source` [3, T] mV, `r_peaks` [n] samples, `drift`; simulated records have all three.
    """

    id: str
    fs: float
    leads: tuple[str, ...]
    signal: np.ndarray
    patient: str | None = None
    fold: int | None = None
    labels: tuple[str, ...] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
