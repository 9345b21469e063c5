"""Figures, durations and names as text."""

import math
from collections.abc import Sequence

METRICS = {
    "val_hidden_r": "mean correlation r over the hidden precordial leads V1 and V3 to V6, with I, II and V2 shown",
    "val_hidden_r2": "R² over the hidden precordial leads V1 and V3 to V6, with I, II and V2 shown",
    "val_r": "mean correlation r over all twelve leads, all shown",
    "val_r2": "R² over all twelve leads, all shown",
}
NONE = "–"  # where there is no figure


def number(value: float | None, digits: int = 4, sign: bool = False) -> str:
    """A figure with a true minus sign, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None, *, digits: int = 4, sign: bool = False) -> str:
    """Both ends of an interval, a dash where there is none."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return NONE
    return f"{number(low, digits, sign)} to {number(high, digits, sign)}"


def duration(seconds: float) -> str:
    """`48 s`, `4 min 10 s`, `3 h 05 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def count(amount: int, one: str, many: str = "") -> str:
    """`1 trial`, `12,400 steps`."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def value_text(value: object) -> str:
    """A setting's value as a space file says it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Dotted path -> the shortest end of it that no other path has: `model.vcg.basis_k` -> `basis_k`."""
    found = {}
    for name in names:
        parts = name.split(".")
        ends = [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        others = [f".{other}" for other in names if other != name]
        found[name] = next((end for end in ends if not any(other.endswith(f".{end}") for other in others)), name)
    return found
