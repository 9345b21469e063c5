"""Figures that a cardiologist or an engineer can read."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from ecggen.atomic import whole_file
from ecggen.leads import LEADS, lead_indices
from ecggen.models.ecggen import ECGGenModel

# Okabe and Ito's palette: told apart with any kind of colour vision, and in grey by lightness.
MEASURED, SHOWN, HIDDEN, GRID = "#000000", "#0072B2", "#D55E00", "#F2C9C4"
# As on ECG paper: a small square is 0.04 s by 0.1 mV, a big one 0.2 s by 0.5 mV.
BIG_SECONDS, BIG_MV = 0.2, 0.5
MIN_SPAN_MV = 1.5
DPI = 130


@torch.no_grad()
def record_figure(
    model: ECGGenModel, item: dict[str, Any], visible: tuple[str, ...], path: Path, seconds: float = 5.0
) -> None:
    """Measured leads of one record and, over them, each beat as its own chunk's W renders it; written as PNG.

    Args:
        model: a trained model.
        item: one item of `ECGDataset`.
        visible: the leads shown to the model; the others are marked hidden.
        path: of the PNG; appears whole or not at all.
        seconds: how much of the record is drawn.
    """
    shown = torch.zeros(len(LEADS), dtype=torch.bool)
    shown[lead_indices(visible)] = True
    shown &= item["lead_mask"]
    device = model.projection.bias.device
    out = model.forward_gen(item["ecg"][None].to(device), shown[None].to(device))
    fs = model.cfg.signal.fs
    figure, axes = plt.subplots(6, 2, figsize=(15, 13), sharex=True, sharey=True)
    for lead, axis in enumerate(axes.T.flat):
        _draw_lead(axis, lead, item, out, fs, seconds, bool(shown[lead]), model.cfg.ttt.chunk_size)
    _limits(axes, item, fs, seconds)
    for axis in axes[-1]:
        axis.set_xlabel("time (s)")
    title = f"record {item['id']}: measured, and rendered from {', '.join(visible)}"
    figure.text(0.01, 0.985, title, fontsize=14, va="top")
    figure.legend(handles=_legend(), loc="upper right", ncols=3, frameon=False, fontsize=11)
    figure.tight_layout(rect=(0, 0, 1, 0.965))
    _save(figure, path)


def _draw_lead(
    axis: Axes, lead: int, item: dict[str, Any], out: dict[str, Any], fs: float, seconds: float, shown: bool, chunk: int
) -> None:
    ecg = item["ecg"][lead, : int(seconds * fs)].numpy()
    absent = not bool(item["lead_mask"][lead])
    if not absent:
        axis.plot(np.arange(len(ecg)) / fs, ecg, color=MEASURED, linewidth=0.9)
    for n, (start, end) in enumerate(out["meta"]["beat_boundaries"][0]):
        beat = out["E_hat_seq"][0, n // chunk, lead].cpu().numpy()
        at = (start + np.arange(len(beat)) * (end - start) / len(beat)) / fs
        axis.plot(at, beat, color=SHOWN if shown else HIDDEN, linewidth=1.3, alpha=0.9)
    state = "" if shown else ("  not recorded" if absent else "  hidden")
    axis.text(0.005, 0.93, LEADS[lead] + state, transform=axis.transAxes, fontweight="bold", va="top")
    axis.set_xlim(0, seconds)
    axis.set_ylabel("mV")


def _limits(axes: np.ndarray, item: dict[str, Any], fs: float, seconds: float) -> None:
    """One scale for all leads, whole big squares, so that amplitudes compare by eye."""
    drawn = item["ecg"][item["lead_mask"]][:, : int(seconds * fs)].numpy()
    low, high = (float(np.floor(drawn.min() / BIG_MV)), float(np.ceil(drawn.max() / BIG_MV))) if drawn.size else (-1, 1)
    low, high = low * BIG_MV, max(high * BIG_MV, low * BIG_MV + MIN_SPAN_MV)
    for axis in axes.flat:
        axis.set_ylim(low, high)
        axis.xaxis.set_minor_locator(MultipleLocator(BIG_SECONDS))
        axis.xaxis.set_major_locator(MultipleLocator(1.0))
        axis.yaxis.set_minor_locator(MultipleLocator(BIG_MV))
        axis.yaxis.set_major_locator(MultipleLocator(2 * BIG_MV))
        axis.grid(which="both", color=GRID, linewidth=0.6)
        axis.set_axisbelow(True)


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=MEASURED, label="measured"),
        Line2D([], [], color=SHOWN, label="rendered, lead was shown"),
        Line2D([], [], color=HIDDEN, label="rendered, lead was hidden"),
    ]


def _save(figure: Any, path: Path) -> None:
    try:
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=DPI, format="png")
    finally:
        plt.close(figure)
