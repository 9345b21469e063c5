"""The latent source V as loops in space: three planes, as vectorcardiograms are drawn, and its axes over the beat.

Axes: X to the patient's left, Y to the feet, Z to the back. V has no axes of its own (any invertible map of it can be
undone by the lead vectors), so that it stands in the true source's axes only where the one map to them is known.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.interpolate import PchipInterpolator

from ecggen.figures.style import (
    HIDDEN,
    INK,
    QUIET,
    SHOWN,
    SMALL,
    TITLE,
    blank,
    house_style,
    legend_below,
    place,
    plain_axes,
    short_r,
    write,
)
from ecggen.portrait import Portrait

# Plane -> (axis drawn to the right, axis drawn up, whether "up" is reversed, from where it is seen).
PLANES = {
    "Frontal plane": (0, 1, True, "seen from the front"),
    "Horizontal plane": (0, 2, False, "seen from above"),
    "Sagittal plane": (2, 1, True, "seen from the left"),
}
AXES = ("X", "Y", "Z")
ENDS = (("right", "left"), ("head", "foot"), ("front", "back"))  # of each axis, negative and positive
DOT_MS = 20.0  # between dots on a loop: where they lie apart the source moves fast
QRS_MS = 60.0  # to both sides of the R peak the loop is drawn bold; an adult QRS lasts 80 to 110 ms
ARROWS_MS = (-18.0, 22.0, 210.0, 290.0)  # about the R peak: into and out of QRS, and of T
STEP_MS = 2.0  # loops are drawn this fine
DOT: dict[str, Any] = {"marker": "o", "markersize": 3.6, "markeredgecolor": "white", "markeredgewidth": 0.7}
PANEL, GAP, SIDE, HEAD = 68.0, 20.0, 20.0, 24.0  # mm
CURVES_TOP, CURVES_HEIGHT, FOOT = 113.0, 30.0, 19.0  # mm
LEAST_SPAN, ROOM = 0.3, 1.22  # mV, so that a source that hardly moves is not blown up; room for words at the edges
DASHES = (3.5, 2.0)


@dataclass(frozen=True)
class Loops:
    """What is drawn, in planes and over time alike.

    Attributes:
        v: [C, 3, t] mV.
        truth: [3, t] mV of the last chunk's beats, None where it is not known.
        ms: [t] about the R peak, the samples' times among them.
        note: what the axes are.
    """

    v: np.ndarray
    truth: np.ndarray | None
    ms: np.ndarray
    note: str


def vcg_figure(portrait: Portrait) -> Figure:
    """Loops of V in three planes and its three axes over the beat, the last chunk's strong and the others faint.

    Where the true source of the record is known it is drawn dashed, if V can be mapped to its axes.
    """
    loops = _loops(portrait)
    with house_style():
        width = 2 * SIDE + 3 * PANEL + 2 * GAP
        describes = f"Vectorcardiogram of the latent source of record {portrait.id}. {loops.note}"
        figure = blank(width - 10, CURVES_TOP + CURVES_HEIGHT + FOOT, describes)
        limits = _limits(loops)
        for column, plane in enumerate(PLANES):
            axes = place(figure, SIDE + column * (PANEL + GAP), HEAD, PANEL, PANEL)
            _plane(axes, plane, loops, limits)
        for column in range(3):
            axes = place(figure, SIDE + column * (PANEL + GAP), CURVES_TOP, PANEL, CURVES_HEIGHT)
            _over_time(axes, column, loops, limits)
        _write_around(figure, portrait, loops)
    return figure


def _loops(portrait: Portrait) -> Loops:
    """V and the true source as curves: the samples, and between them what is drawn."""
    v, truth, ms, note = _sampled(portrait)
    times = fine(ms)
    return Loops(at_times(v, ms, times), None if truth is None else at_times(truth, ms, times), times, note)


def _sampled(portrait: Portrait) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, str]:
    """V in the best axes there are [C, 3, T'], the true source where both can be drawn in the same, ms and a note."""
    v = portrait.v.astype(float)
    beat_ms = 1000 * float(np.median(np.diff(portrait.beats[portrait.chunk == len(v) - 1], axis=1))) / portrait.fs
    beat_len = v.shape[-1]
    ms = (np.arange(beat_len) / beat_len - portrait.peak) * beat_ms
    if portrait.source_map is None:
        return v, None, ms, "Axes by the model's lead vectors, not calibrated."
    v = portrait.source_map @ v
    if portrait.source is None:
        return v, None, ms, "V taken to the axes of the simulated source by the run's one map."
    # The map is of deviations from the mean (see `eval.begin_source_agreement`), so the means are made equal here.
    beats, truth = v[portrait.chunk], portrait.source.astype(float)
    v = v + (truth.mean((0, 2)) - beats.mean((0, 2)))[:, None]
    r = [float(np.corrcoef(v[portrait.chunk][:, k].ravel(), truth[:, k].ravel())[0, 1]) for k in range(3)]
    note = "V taken to the true source's axes by the run's one map; r over all beats of this record: " + ", ".join(
        f"{axis} {short_r(value)}" for axis, value in zip(AXES, r, strict=True)
    )
    return v, truth[portrait.chunk == len(v) - 1].mean(0), ms, note


def _limits(loops: Loops) -> np.ndarray:
    """Lowest and highest mV of each axis, [3, 2]; the same span for all, so that all planes have one scale."""
    drawn = [*loops.v, np.zeros((3, 1))] if loops.truth is None else [*loops.v, loops.truth, np.zeros((3, 1))]
    every = np.concatenate(drawn, axis=1)
    low, high = every.min(1), every.max(1)
    span = max(float((high - low).max()), LEAST_SPAN) * ROOM
    middle = (low + high) / 2
    return np.stack([middle - span / 2, middle + span / 2], axis=1)


def _plane(axes: Axes, plane: str, loops: Loops, limits: np.ndarray) -> None:
    right, up, reversed_, seen = PLANES[plane]
    plain_axes(axes)
    axes.set_xlim(*limits[right])
    axes.set_ylim(*(limits[up][::-1] if reversed_ else limits[up]))
    axes.set_aspect("equal")
    for cross in (axes.axhline, axes.axvline):
        cross(0, color=QUIET, linewidth=0.5, zorder=1)
    axes.set_title(f"{plane}, {seen}", fontsize=9, pad=5)
    axes.set_xlabel(f"{AXES[right]} (mV)", fontsize=SMALL, labelpad=1)
    axes.set_ylabel(f"{AXES[up]} (mV)", fontsize=SMALL, labelpad=1)
    _name_ends(axes, right, up, reversed_)
    if loops.truth is not None:
        axes.plot(loops.truth[right], loops.truth[up], color=INK, linewidth=1.0, dashes=DASHES, zorder=3, gid="truth")
    for v in loops.v[:-1]:
        axes.plot(v[right], v[up], color=SHOWN, linewidth=0.5, alpha=0.35, zorder=2, gid="other")
    _loop(axes, loops.v[-1][[right, up]], loops.ms)


def _name_ends(axes: Axes, right: int, up: int, reversed_: bool) -> None:
    """Which way is which, in words, inside the four edges."""
    low, high = ENDS[up][::-1] if reversed_ else ENDS[up]
    places = {
        ENDS[right][0]: (0.03, 0.5, 90),
        ENDS[right][1]: (0.97, 0.5, 90),
        low: (0.5, 0.03, 0),
        high: (0.5, 0.97, 0),
    }
    for word, (x, y, turned) in places.items():
        axes.text(
            x,
            y,
            word,
            transform=axes.transAxes,
            rotation=turned,
            ha="center",
            va="center",
            fontsize=SMALL,
            fontweight="bold",
            zorder=7,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
        )


def _loop(axes: Axes, loop: np.ndarray, ms: np.ndarray) -> None:
    """One loop [2, t]: bold about QRS, a dot every DOT_MS, arrows in the direction of time, a ring at the R peak."""
    axes.plot(*loop, color=SHOWN, linewidth=0.9, zorder=4, gid="loop")
    axes.plot(*loop[:, np.abs(ms) <= QRS_MS], color=SHOWN, linewidth=1.9, zorder=4)
    dots = np.arange(math.ceil(ms[0] / DOT_MS), math.floor(ms[-1] / DOT_MS) + 1) * DOT_MS
    axes.plot(*at_times(loop, ms, dots), color=SHOWN, linestyle="", zorder=5, gid="dots", **DOT)
    look = {"arrowstyle": "-|>", "color": SHOWN, "linewidth": 0.8, "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
    for at in ARROWS_MS:
        if ms[0] < at < ms[-1] - STEP_MS:
            begin, end = at_times(loop, ms, np.array([at, at + STEP_MS])).T
            axes.annotate("", end, begin, arrowprops=look, zorder=5)
    axes.plot(*at_times(loop, ms, np.zeros(1)), "o", markersize=5, color="white", markeredgecolor=HIDDEN, zorder=6)


def fine(ms: np.ndarray) -> np.ndarray:
    """The times at which a curve is drawn: the samples', and others STEP_MS apart."""
    steps = np.arange(math.ceil(ms[0] / STEP_MS), math.floor(ms[-1] / STEP_MS) + 1) * STEP_MS
    return np.union1d(ms, steps)


def at_times(curves: np.ndarray, ms: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Curves [..., T'] sampled at `ms` [T'], read at `times` [t]: [..., t].

    Between two samples a curve stays between their values (Fritsch and Carlson, SIAM J Numer Anal 17:238, 1980): a
    cubic spline would go beyond all samples where they are few, to voltages that the source never had.
    """
    return np.asarray(PchipInterpolator(ms, curves, axis=-1)(times))


def _over_time(axes: Axes, axis: int, loops: Loops, limits: np.ndarray) -> None:
    """One axis of the source over the beat, in the same span of mV for all three, so that they compare."""
    plain_axes(axes)
    axes.axvline(0, color=HIDDEN, linewidth=0.7, zorder=1)
    if loops.truth is not None:
        axes.plot(loops.ms, loops.truth[axis], color=INK, linewidth=1.0, dashes=DASHES, zorder=3, gid="truth")
    for v in loops.v[:-1]:
        axes.plot(loops.ms, v[axis], color=SHOWN, linewidth=0.5, alpha=0.35, zorder=2, gid="other")
    axes.plot(loops.ms, loops.v[-1][axis], color=SHOWN, linewidth=1.2, zorder=4, gid="loop")
    axes.set_xlim(loops.ms[0], loops.ms[-1])
    axes.set_ylim(*limits[axis])
    axes.set_ylabel(f"{AXES[axis]} (mV)", fontsize=SMALL, labelpad=1)
    axes.set_xlabel("time from the R peak (ms)", fontsize=SMALL, labelpad=1)
    axes.set_title(f"{AXES[axis]}, positive to the {ENDS[axis][1]}", fontsize=SMALL, loc="left", pad=3)


def _write_around(figure: Figure, portrait: Portrait, loops: Loops) -> None:
    write(figure, SIDE - 12, 3.5, f"Record {portrait.id}: the latent source V", TITLE, bold=True)
    write(figure, SIDE - 12, 10.0, loops.note, color=QUIET)
    chunks = len(loops.v)
    last = "V" if chunks == 1 else f"V of the last of {chunks} chunks"
    last += f", dots {DOT_MS:g} ms apart"
    handles = [Line2D([], [], color=SHOWN, linewidth=1.9, label=last, **DOT)]
    if chunks > 1:
        handles.append(Line2D([], [], color=SHOWN, linewidth=0.8, alpha=0.6, label="earlier chunks"))
    if loops.truth is not None:
        handles.append(Line2D([], [], color=INK, linewidth=1.0, dashes=DASHES, label="true source"))
    ring: dict[str, Any] = {
        "marker": "o",
        "markerfacecolor": "white",
        "markeredgecolor": HIDDEN,
        "markersize": 5,
        "linestyle": "",
    }
    handles.append(Line2D([], [], label="R peak", **ring))
    legend_below(figure, handles, SIDE - 12)
