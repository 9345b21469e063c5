"""The basis: the few curves over a beat that every heart's source is mixed of.

A curve has no unit, for its coefficient takes any scale out of it. So each is drawn to its own height, one above the
other, sorted by where in the beat it has its weight: what belongs to P, to QRS and to T then lies together.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecggen.figures.style import (
    HIDDEN,
    HIDDEN_WORDS,
    QUIET,
    RULE,
    SHOWN,
    SMALL,
    TITLE,
    blank,
    house_style,
    place,
    write,
)
from ecggen.portrait import Portrait

PER_COLUMN = 16  # curves below each other
WIDTH, GAP, SIDE, HEAD, FOOT = 78.0, 12.0, 12.0, 22.0, 14.0  # mm
PITCH = 7.0  # mm from curve to curve
HEIGHT = 0.62  # of a curve, in units of the pitch: neighbours that point at each other do not meet
ROOM = HEIGHT - 0.5  # what the uppermost curve needs above its row, in the same unit
LEAST = 1e-9  # a curve that is nowhere larger is drawn as the zero line


def basis_figure(portrait: Portrait) -> Figure:
    """All K curves of the basis over a beat of the record's own length."""
    order = by_place(portrait.basis)
    columns = np.array_split(order, -(-len(order) // PER_COLUMN))
    rows = max(map(len, columns))
    with house_style():
        width = 2 * SIDE + len(columns) * WIDTH + (len(columns) - 1) * GAP
        title = f"The basis: {len(order)} curves over a beat"
        figure = blank(width, HEAD + (rows + ROOM) * PITCH + FOOT, title)
        for at, members in enumerate(columns):
            axes = place(figure, SIDE + at * (WIDTH + GAP), HEAD, WIDTH, (rows + ROOM) * PITCH)
            _curves(axes, portrait, members, rows)
        write(figure, SIDE - 6, 3.5, title, TITLE, bold=True)
        said = "Each to its own height, sorted by place;\nnumbers are those of the model. R peak marked."
        write(figure, SIDE - 6, 9.5, said, color=QUIET)
    return figure


def by_place(basis: np.ndarray) -> np.ndarray:
    """Rows of the basis [K, T'] in the order in which the beat reaches them: by the centre of their energy."""
    energy = basis.astype(float) ** 2
    total = np.maximum(energy.sum(1), LEAST)
    return np.argsort((energy * np.arange(basis.shape[1])).sum(1) / total, kind="stable")


def _curves(axes: Axes, portrait: Portrait, members: np.ndarray, rows: int) -> None:
    share = np.arange(portrait.basis.shape[1]) / portrait.basis.shape[1]
    for row, number in enumerate(members):
        curve = portrait.basis[number].astype(float)
        curve = curve / max(float(np.abs(curve).max()), LEAST) * HEIGHT
        zero = rows - row - 0.5
        axes.axhline(zero, color=RULE, linewidth=0.4, zorder=1)
        axes.fill_between(share, zero, zero + curve, color=SHOWN, alpha=0.18, linewidth=0, zorder=2)
        axes.plot(share, zero + curve, color=SHOWN, linewidth=0.9, zorder=3, gid=f"basis-{number}")
        axes.text(-0.015, zero, str(number), ha="right", va="center", fontsize=SMALL, color=QUIET)
    axes.axvline(portrait.peak, color=HIDDEN, linewidth=0.7, zorder=1.5)
    axes.text(portrait.peak, rows + ROOM + 0.05, "R", ha="center", va="bottom", fontsize=SMALL, color=HIDDEN_WORDS)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, rows + ROOM)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_yticks([])
    axes.tick_params(length=2.5, width=0.6, labelsize=SMALL)
    beat_ms = 1000 * float(np.median(np.diff(portrait.beats, axis=1))) / portrait.fs
    axes.set_xlabel(f"share of the beat (of {beat_ms:.0f} ms in this record)", fontsize=SMALL)
