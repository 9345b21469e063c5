"""Anyone's recordings -> heart states and rendered leads, as one npz with a CSV index beside it.

Letters: n records (windows of long ones), C chunks of the record with most beats, D state size, T' samples of a beat.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ecggen import metrics
from ecggen.atomic import whole_file
from ecggen.data.pipeline import ECGDataset
from ecggen.eval import checked
from ecggen.leads import LEADS
from ecggen.losses import rendered_beats
from ecggen.models.ecggen import ECGGenModel

BATCH = 64
COLUMNS = ("row", "id", "patient", "leads", "beats", "fallback", "coverage", "r_shown")


def encode_file(model: ECGGenModel, dataset: ECGDataset, out: Path) -> tuple[Path, Path]:
    """Encode every record of a dataset and write the result; both files appear whole or not at all.

    `out` (.npz): `id` [n], `W` [n, D], `W_seq` [n, C, D] (NaN after a record's last chunk), `V` [n, 3, T'] mV,
    `rendered` [n, 12, T'] mV (leads that were not recorded included), `leads` [12], `lead_mask` [n, 12]. The index
    beside it (.index.csv): row, id, patient, leads recorded or derived, beats, whether no beats were found and equal
    windows were taken, share of the record covered by beats, mean r over the recorded leads.

    Returns:
        the paths of the npz and of the index.
    """
    out = out if out.suffix == ".npz" else out.with_name(out.name + ".npz")
    arrays, rows = _encode(model, dataset)
    index = out.with_suffix(".index.csv")
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    with whole_file(index) as temporary, temporary.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return out, index


@torch.no_grad()
def _encode(model: ECGGenModel, dataset: ECGDataset) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    device = model.projection.bias.device
    parts: dict[str, list[np.ndarray]] = {"W": [], "V": [], "rendered": [], "lead_mask": []}
    paths: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    for at in range(0, len(dataset), BATCH):
        batch = dataset.batch(range(at, min(at + BATCH, len(dataset))))
        out = checked(model.forward_gen(batch["ecg"].to(device), batch["lead_mask"].to(device)))
        for name, key in (("W", "W"), ("V", "V"), ("rendered", "E_hat")):
            parts[name].append(out[key].cpu().numpy())
        parts["lead_mask"].append(batch["lead_mask"].numpy())
        for path, real in zip(out["W_seq"].cpu(), out["chunk_mask"].cpu(), strict=True):
            paths.append(path[real].numpy())
        rows += _index_rows(model, batch, out, at, dataset)
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    arrays |= {"id": np.array(dataset.ids), "leads": np.array(LEADS), "W_seq": _padded(paths)}
    return arrays, rows


def _padded(paths: list[np.ndarray]) -> np.ndarray:
    longest = max(len(path) for path in paths)
    table = np.full((len(paths), longest, paths[0].shape[1]), np.nan, np.float32)
    for row, path in zip(table, paths, strict=True):
        row[: len(path)] = path
    return table


def _index_rows(
    model: ECGGenModel, batch: dict[str, Any], out: dict[str, Any], first: int, dataset: ECGDataset
) -> list[dict[str, Any]]:
    meta = out["meta"]
    present = (batch["lead_mask"].to(meta["beat_mask"].device))[:, :, None] & meta["beat_mask"][:, None]
    r = metrics.mean_r(metrics.beat_sums(rendered_beats(out, model.cfg.ttt.chunk_size), meta["beats"], present))
    fallback = meta.get("fallback", torch.zeros(len(r), dtype=torch.bool))
    rows = []
    for i, name in enumerate(batch["id"]):
        recorded = [lead for lead, has in zip(LEADS, batch["lead_mask"][i], strict=True) if has]
        rows.append(
            {
                "row": first + i,
                "id": name,
                "patient": dataset.store.rows[int(dataset.index[first + i])].patient or "",
                "leads": " ".join(recorded),
                "beats": int(meta["beat_mask"][i].sum()),
                "fallback": int(fallback[i]),
                "coverage": round(float(meta["coverage"][i]), 3),
                "r_shown": round(float(r[i]), 4),
            }
        )
    return rows
