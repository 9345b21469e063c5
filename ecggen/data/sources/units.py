"""Units of voltage as they are found in headers and tables."""

# Millivolts in one unit. Written in lower case, so mega and milli are one word: nobody records an ECG in megavolts.
MILLIVOLTS = {"mv": 1.0, "millivolt": 1.0, "millivolts": 1.0, "v": 1e3, "volt": 1e3, "nv": 1e-6}
MILLIVOLTS |= dict.fromkeys(("uv", "\N{MICRO SIGN}v", "\N{GREEK SMALL LETTER MU}v", "microvolt", "microvolts"), 1e-3)


def in_millivolts(unit: str) -> float | None:
    """Scale from `unit` to mV, None for a unit that is not known."""
    return MILLIVOLTS.get(unit.strip().lower())
