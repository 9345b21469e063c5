"""One record looked at by a trained model: what it was shown, what it drew, and the state it drew it from.

`record.npz` and `record.png` of a finished run are made here, from one look.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecggen.data.pipeline import ECGDataset
from ecggen.eval import CHOOSING_SET, checked
from ecggen.leads import LEADS, lead_indices
from ecggen.losses import rendered_beats
from ecggen.models.ecggen import ECGGenModel
from ecggen.portrait import PORTRAIT_FILE, Portrait, write_portrait

FIGURE_FILE = "record.png"
LOOKED_THROUGH = 32  # records, for one that has the choosing set's leads


@torch.no_grad()
def observe(
    model: ECGGenModel,
    item: dict[str, Any],
    visible: Sequence[str],
    source_map: Sequence[Sequence[float]] | np.ndarray | None = None,
) -> Portrait:
    """Estimate W of one record from its visible leads, beats found on these alone, and render every beat.

    Args:
        model: a trained model; is put into evaluation mode.
        item: one item of `ECGDataset`: `ecg` [12, T] mV, `lead_mask` [12], `id`, and `source` [3, T] mV where known.
        visible: names of the leads that the model is shown, any spelling; absent ones are not shown.
        source_map: [3, 3], `card["source"]["map"]` of the model's run.

    Returns:
        the portrait.

    Raises:
        ValueError: a name that is no standard lead.
        AssertionError: none of the visible leads is present.
    """
    model.eval()
    wanted = torch.zeros(len(LEADS), dtype=torch.bool)
    wanted[lead_indices(tuple(visible))] = True
    present: Tensor = item["lead_mask"].cpu()
    shown = wanted & present
    assert shown.any(), f"visible: expected a lead that record {item['id']} has, got {list(visible)}; show others"
    device = model.projection.bias.device
    out = checked(model.forward_gen(item["ecg"][None].to(device), shown[None].to(device)))
    spans = out["meta"]["beat_boundaries"][0]
    chunk_size, n = model.cfg.ttt.chunk_size, len(spans)
    real = out["chunk_mask"][0]
    return Portrait(
        id=str(item["id"]),
        fs=float(model.cfg.signal.fs),
        ecg=item["ecg"].float().cpu().numpy(),
        present=present.numpy(),
        shown=shown.numpy(),
        beats=np.array(spans, np.int64).reshape(n, 2),
        chunk=np.arange(n, dtype=np.int64) // chunk_size,
        rendered=rendered_beats(out, chunk_size)[0].transpose(0, 1).float().cpu().numpy(),
        v=out["V_seq"][0, real].float().cpu().numpy(),
        w=out["W_seq"][0, real].float().cpu().numpy(),
        basis=out["basis"].detach().float().cpu().numpy(),
        peak=float(model.cfg.tokenizer.before) if model.cfg.tokenizer.segmentation == "rr" else 0.5,
        source=_true_beats(model, item.get("source"), spans),
        source_map=None if source_map is None else np.asarray(source_map, np.float64),
        band=(float(model.cfg.signal.band_low), float(model.cfg.signal.band_high)),
    )


def _true_beats(model: ECGGenModel, source: Tensor | None, spans: list[tuple[int, int]]) -> np.ndarray | None:
    """The true source [3, T] cut into the same beats, [N, 3, T'] mV; None where the record has none (NaN)."""
    if source is None or not bool(source.isfinite().all()):
        return None
    beats: Tensor = model.tokenizer.cut(source[None].float().cpu(), boundaries=[spans])["beats"]
    return beats[0].transpose(0, 1).numpy()


def keep_portrait(
    model: ECGGenModel, judged: ECGDataset, folder: Path, source_map: Sequence[Sequence[float]] | None = None
) -> None:
    """Write the portrait and the figure of the first judged record that has the choosing set's leads.

    Where none has them the first record is taken, with all the leads that it has. Hidden leads are marked.

    Args:
        model: trained.
        judged: the split to look in, with one record at least.
        folder: where both files go.
        source_map: [3, 3], `card["source"]["map"]`, where the true source is known.
    """
    from ecggen.figures.ecg import ecg_figure  # drawing takes a while to load, and a search loads this file for more
    from ecggen.figures.files import save

    item = judged[0]
    visible = tuple(lead for lead, has in zip(LEADS, item["lead_mask"], strict=True) if has)
    for other in (judged[at] for at in range(min(len(judged), LOOKED_THROUGH))):
        if other["lead_mask"][lead_indices(CHOOSING_SET)].all():
            item, visible = other, CHOOSING_SET
            break
    portrait = observe(model, item, visible, source_map)
    write_portrait(folder / PORTRAIT_FILE, portrait)
    save(ecg_figure(portrait), folder / Path(FIGURE_FILE).stem, kinds=("png",))
