"""The twelve standard leads: names, order, and where each one looks from.

A lead is a direction from which the same heart is seen. Everything in the project orders leads by *name*, never by
their position in a file, because databases disagree on the order.
"""

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LIMB_LEADS = LEADS[:6]
PRECORDIALS = LEADS[6:]

# Forward Dower matrix, lead = D . (X, Y, Z) in mV per mV (Dower 1968). X to the patient's left, Y to the feet, Z to the
# back. The four derived limb leads are not in the table: they follow from I and II (see `LIMB_IDENTITIES`).
DOWER = {
    "I": (0.632, -0.235, 0.059),
    "II": (0.235, 1.066, -0.132),
    "V1": (-0.515, 0.157, -0.917),
    "V2": (0.044, 0.164, -1.387),
    "V3": (0.882, 0.098, -1.277),
    "V4": (1.213, 0.127, -0.601),
    "V5": (1.125, 0.127, -0.086),
    "V6": (0.831, 0.076, 0.230),
}

# Derived lead = a * I + b * II, exact by the definition of the limb leads (Einthoven, Goldberger).
LIMB_IDENTITIES = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}

_ALIASES = {"MLI": "I", "MLII": "II", "MLIII": "III"}
_BY_UPPER = {name.upper(): name for name in LEADS}


def canonical_lead(name: str) -> str | None:
    """The standard name of a lead (`avr`, `AVR` and `aVR` are the same lead), or None for a lead that is not standard.

    The modified limb lead MLII of MIT-BIH is read as II: the electrodes sit on the chest, the direction is II's.
    """
    upper = name.strip().upper().removeprefix("LEAD ").strip()
    upper = _ALIASES.get(upper, upper)
    return _BY_UPPER.get(upper)


def nominal_directions() -> np.ndarray:
    """Dower's lead vectors with the derived limb rows filled in by the identities, [12, 3]; row norm = nominal gain."""
    rows = {name: np.array(row) for name, row in DOWER.items()}
    for name, (of_i, of_ii) in LIMB_IDENTITIES.items():
        rows[name] = of_i * rows["I"] + of_ii * rows["II"]
    return np.stack([rows[name] for name in LEADS])


def lead_indices(names: list[str] | tuple[str, ...]) -> list[int]:
    """Positions of standard leads by name. Raises ValueError for a name that is not one of the twelve."""
    indices = []
    for name in names:
        lead = canonical_lead(name)
        if lead is None:
            raise ValueError(f"lead: expected one of {', '.join(LEADS)}, got {name!r}; check the spelling")
        indices.append(LEADS.index(lead))
    return indices


def follows_from(visible: tuple[str, ...]) -> set[str]:
    """The leads that are known once `visible` ones are: they themselves, and all limb leads from any two of them."""
    known = set(visible)
    if len(known & set(LIMB_LEADS)) > 1:
        known |= set(LIMB_LEADS)
    return known


def scored_leads(visible: tuple[str, ...]) -> tuple[str, ...]:
    """The leads on which a rendering from `visible` is judged: the hidden ones that do not follow; all if none is."""
    return tuple(name for name in LEADS if name not in follows_from(visible)) or LEADS
