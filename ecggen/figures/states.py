"""The path of W from chunk to chunk: how far the estimate moves, and in which directions.

The heart is quasi-static, so that a short path is expected; a jump is another kind of beat (an ectopic one), a slow way
is drift. All is in percent of the length of the mean W, for W has no unit.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ecggen.figures.style import HIDDEN, INK, QUIET, SHOWN, SMALL, TITLE, blank, house_style, place, plain_axes, write
from ecggen.portrait import Portrait

COMPONENTS = 3
LOOKS = ((SHOWN, "o", "-"), (HIDDEN, "s", "--"), (INK, "^", ":"))
WIDTH, SIDE, HEAD, PANEL, GAP, FOOT = 150.0, 20.0, 25.0, 48.0, 12.0, 13.0  # mm
FLOOR, NOTHING = 1e-6, 1e-12  # of the longest direction, and of anything: what is below is rounding


def states_figure(portrait: Portrait) -> Figure:
    """First principal components of the record's own states, and the distance of each state from their mean."""
    beats = last_beats(portrait.chunk)
    scores, shares = components(portrait.w)
    distance, step = moves(portrait.w)
    with house_style():
        title = f"Record {portrait.id}: the path of W"
        figure = blank(
            WIDTH + SIDE + 8, HEAD + 2 * PANEL + GAP + FOOT, f"{title} over {len(portrait.w)} chunks of beats"
        )
        upper = place(figure, SIDE, HEAD, WIDTH, PANEL)
        lower = place(figure, SIDE, HEAD + PANEL + GAP, WIDTH, PANEL)
        write(figure, SIDE - 12, 3.5, title, TITLE, bold=True)
        write(figure, SIDE - 12, 10.0, _said(portrait), color=QUIET)
        if len(portrait.w) > 1:
            _draw_components(upper, beats, scores, shares)
        else:
            _say_there_is_no_path(upper)
        _draw_moves(lower, beats, distance, step)
        for axes in (upper, lower):
            plain_axes(axes)
            axes.set_xlim(0.5, len(portrait.beats) + 0.5)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        upper.set_ylabel("principal components,\n% of the length of mean W", fontsize=SMALL)
        lower.set_ylabel("distance,\n% of the length of mean W", fontsize=SMALL)
        lower.set_xlabel("beat (a state stands at the last beat of its chunk)", fontsize=SMALL)
    return figure


def last_beats(chunk: np.ndarray) -> np.ndarray:
    """Number of the last beat of each chunk, from 1; chunk [N] -> [C]."""
    return np.array([int(np.flatnonzero(chunk == c).max()) + 1 for c in np.unique(chunk)])


def _length(w: np.ndarray) -> float:
    return max(float(np.linalg.norm(w.astype(float).mean(0))), NOTHING)


def components(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of the centred path of W.

    Args:
        w: [C, D].

    Returns:
        scores [C, P] in percent of the length of the mean W and shares [P] of the variance; P is 3, or fewer where
        the path has fewer directions. Of the two signs of a direction the one that ends above its beginning.
    """
    centred = w.astype(float) - w.astype(float).mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    count = min(COMPONENTS, len(w) - 1, int((values > max(FLOOR * values[0], NOTHING)).sum()))
    scores = left[:, :count] * values[:count]
    scores = scores * np.where(scores[-1:] < scores[:1], -1.0, 1.0)
    return 100 * scores / _length(w), values[:count] ** 2 / max(float((values**2).sum()), NOTHING)


def moves(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each state from the mean [C] and from the state before it [C - 1], in % of the mean's length."""
    states = w.astype(float)
    distance = np.linalg.norm(states - states.mean(0), axis=1)
    step = np.linalg.norm(np.diff(states, axis=0), axis=1)
    return 100 * distance / _length(w), 100 * step / _length(w)


def _said(portrait: Portrait) -> str:
    chunks, beats, size = len(portrait.w), len(portrait.beats), portrait.w.shape[1]
    if chunks == 1:
        return f"W, {size} numbers, estimated once from {beats} beats."
    path = f"W, {size} numbers, estimated in {chunks} chunks over {beats} beats, each starting at the one before."
    return path + "\nBeside each component its share of the variance of the path."


def _draw_components(axes: Axes, beats: np.ndarray, scores: np.ndarray, shares: np.ndarray) -> None:
    axes.axhline(0, color=QUIET, linewidth=0.5)
    for at, (color, marker, line) in enumerate(LOOKS[: len(shares)]):
        label = f"component {at + 1}: {100 * shares[at]:.0f} %"
        axes.plot(beats, scores[:, at], line, color=color, marker=marker, markersize=3.5, linewidth=1.1, label=label)
    if len(shares):
        axes.legend(fontsize=SMALL, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)


def _say_there_is_no_path(axes: Axes) -> None:
    said = "one chunk: W was estimated once, so there is no path to show"
    axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center", color=QUIET)
    axes.set_yticks([])


def _draw_moves(axes: Axes, beats: np.ndarray, distance: np.ndarray, step: np.ndarray) -> None:
    axes.plot(beats, distance, "-", color=SHOWN, marker="o", markersize=3.5, linewidth=1.1, label="from the mean W")
    if len(step):
        look: dict[str, Any] = {"color": HIDDEN, "marker": "s", "markersize": 3.5, "linewidth": 1.1}
        axes.plot(beats[1:], step, "--", label="from the state before", **look)
    axes.set_ylim(0, max(1.0, 1.15 * max(distance.max(), step.max(initial=0))))
    axes.legend(fontsize=SMALL, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
