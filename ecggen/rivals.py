"""What the model is judged beside on the same beats: classical renderings, and its own without its own W.

Letters: B records, L leads, N beats, T' samples of a beat, D state size.
"""

from typing import Any

import torch
from torch import Tensor

from ecggen.baselines import Baselines, dower_round_trip
from ecggen.leads import LEADS
from ecggen.models.ecggen import ECGGenModel

MODEL, LINEAR, PCA = "model", "linear regression", "PCA, 3 components (ceiling of rank 3)"
MEAN_BEAT, PRIOR, OTHER = "mean beat", "W0 (no estimation)", "W of another record"
ZERO, BEST_LEAD, DOWER = "zero", "best visible lead, scaled", "Dower round trip"


def rival_renderings(
    model: ECGGenModel,
    out: dict[str, Any],
    visible: tuple[str, ...],
    baselines: Baselines,
    every: bool = False,
) -> dict[str, Tensor]:
    """What the model has to beat on the same beats, and what it must lose when W is taken from it.

    Args:
        model: for its rendering of other states.
        out: what its `forward_gen` gave.
        visible: the leads shown.
        baselines: fitted on training beats.
        every: those of the full card too.

    Returns:
        name -> [B, L, N, T'] mV.
    """
    beats = out["meta"]["beats"]
    clean = torch.nan_to_num(beats).cpu()
    frozen = model.render(model.ttt.state.initial(1))["E_hat"]
    rivals = {MEAN_BEAT: baselines.average(clean), PRIOR: frozen[:, :, None].expand_as(beats)}
    if len(beats) > 1:
        other = model.render(out["W"].roll(1, dims=0))["E_hat"]
        rivals[OTHER] = other[:, :, None].expand_as(beats)
    if visible == LEADS:
        rivals[PCA] = baselines.principal(clean)
    else:
        rivals[LINEAR] = baselines.linear(clean, visible)
    if every:
        rivals[ZERO] = torch.zeros_like(clean)
        if visible == LEADS:
            rivals[DOWER] = dower_round_trip(clean)
        else:
            rivals[BEST_LEAD] = baselines.best_lead(clean, visible)
    return {name: value.to(beats.device) for name, value in rivals.items()}
