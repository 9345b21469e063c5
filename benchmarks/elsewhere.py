"""A trained model on recordings of other places, unchanged: CinC samples with twelve leads, MIT-BIH with two.

    python benchmarks/elsewhere.py results/m1s1k1_step6000                      # one folder or more
    python benchmarks/elsewhere.py results/m1s1k1_step6000 --skip-baseline      # where its training records are gone

What `main.py --mode eval --data wfdb` judges, and three things more: intervals over records and not over their windows
(half an hour of one heart is one heart), every two-lead record both ways, and MIT-BIH by kind of beat. The regression
beside it is fitted on the model's own training records. The row "at home" is the card of the run itself. Run it from
the repository with PYTHONPATH=. as `make bench` does; recordings are looked for in $ECGGEN_DATA, else ../shared/data.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wfdb

from ecggen import metrics
from ecggen.atomic import write_json
from ecggen.baselines import Baselines
from ecggen.card import read_card
from ecggen.config import DataConfig, RunConfig
from ecggen.data.pipeline import ALL, ECGDataset
from ecggen.errors import UserError
from ecggen.eval import batches, shown_batch, training_baselines
from ecggen.leads import LEADS, lead_indices, scored_leads
from ecggen.losses import rendered_beats
from ecggen.models.ecggen import ECGGenModel
from ecggen.runs import load_run
from ecggen.stepfolder import finished_runs

REPO = Path(__file__).resolve().parents[1]
CINC = {"CPSC2018": "CPSC 2018", "Georgia": "Georgia", "Chapman-Shaoxing_Ningbo": "Chapman, Ningbo"}
TWELVE = {"all twelve": LEADS, "I,II,V2": ("I", "II", "V2"), "I,II,V3": ("I", "II", "V3"), "I": ("I",)}
# Leads shown and judged; the first row shows what there is, both leads, and judges the same.
PAIRS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (LEADS, LEADS),
    *((("II",), (chest,)) for chest in ("V1", "V2", "V5")),
    *(((chest,), ("II",)) for chest in ("V1", "V2", "V5")),
)
OURS, LINEAR = "model", "linear"
# Reference annotations of MIT-BIH by what they mean for the shape of a beat.
KINDS = {"normal": "N", "bundle branch block": "LR", "atrial, nodal": "AaJSej", "ventricular, fusion": "VEF"}
KIND_OF = {symbol: kind for kind, symbols in KINDS.items() for symbol in symbols}
NO_BEAT = "no beat there"  # noise, flutter, or equal windows where none were found
TOLERANCE = 0.075  # s between an R peak and its annotation


@dataclass
class Beats:
    """Every judged beat: sums [n, L, 6] of each rival, its record, its R peak in seconds of the record."""

    sums: dict[str, np.ndarray]
    record: np.ndarray
    time: np.ndarray
    windows: int = 0
    fallback: int = 0


@torch.no_grad()
def judged_beats(
    model: ECGGenModel, dataset: ECGDataset, visible: tuple[str, ...], judged: tuple[str, ...], base: Baselines | None
) -> Beats | None:
    """Render every beat of the records that have all these leads; None where no record has them."""
    rows, found = lead_indices(judged), Beats({}, np.zeros(0), np.zeros(0))
    parts: dict[str, list[np.ndarray]] = {}
    usable = (shown_batch(dataset, visible, items) for items in batches(len(dataset), None))
    for batch, shown in filter(None, usable):
        out = model.forward_gen(batch["ecg"], shown)
        meta = out["meta"]
        beats, real = meta["beats"], meta["beat_mask"]
        present = batch["lead_mask"][:, :, None] & real[:, None]
        drawn = {OURS: rendered_beats(out, model.cfg.ttt.chunk_size)}
        if base is not None and visible != LEADS:
            drawn[LINEAR] = base.linear(torch.nan_to_num(beats), visible)
        kept = real & present[:, rows].any(1)
        for name, rendered in drawn.items():
            x, y, p = (part[:, rows].transpose(1, 2)[kept] for part in (rendered, beats, present))
            parts.setdefault(name, []).append(metrics.beat_sums(x[:, :, None], y[:, :, None], p[:, :, None]))
        window, beat = (part.numpy() for part in kept.nonzero(as_tuple=True))
        names = [name.rpartition("@") if "@" in name else (name, "", "0") for name in batch["id"]]
        spans = np.array([meta["beat_boundaries"][w][b] for w, b in zip(window, beat, strict=True)]).reshape(-1, 2)
        peak = spans[:, 0] + model.cfg.tokenizer.before * (spans[:, 1] - spans[:, 0])
        parts.setdefault("time", []).append(peak / model.cfg.signal.fs + [float(names[w][2]) for w in window])
        parts.setdefault("record", []).append(np.array([names[w][0] for w in window]))
        judged_windows = kept.any(1)
        found.windows += int(judged_windows.sum())
        found.fallback += int((meta["fallback"] & judged_windows).sum())
    whole = {name: np.concatenate(values) for name, values in parts.items()}
    if not len(whole.get("record", ())):
        return None
    found.record, found.time = whole.pop("record"), whole.pop("time")
    found.sums = whole
    return found


def by(key: np.ndarray, sums: np.ndarray) -> dict[str, np.ndarray]:
    """Sums [n, L, 6] of beats added up by key [n], [L, 6] each."""
    return {str(name): sums[key == name].sum(0) for name in np.unique(key)}


def figures(found: Beats, resamples: int, chosen: np.ndarray | None = None) -> dict[str, Any]:
    """r, R2 and the rest with intervals over records; of the chosen beats [n] only, where they are given."""
    chosen = np.ones(len(found.record), bool) if chosen is None else chosen
    record = found.record[chosen]
    sums = {who: np.stack(list(by(record, s[chosen]).values())) for who, s in found.sums.items()}
    result: dict[str, Any] = {"records": len(sums[OURS]), "beats": len(record)}
    drawn = {who: metrics.mean_r(metrics.resampled_sums(s, resamples)) for who, s in sums.items()}
    for who, s in sums.items():
        values = {name: float(metric(s.sum(0))) for name, metric in metrics.METRICS.items()}
        result[who] = {**values, "interval": metrics.interval(drawn[who])}
    if LINEAR in sums:
        result["difference"] = metrics.interval(drawn[OURS] - drawn[LINEAR])
    if len(sums[OURS]) == 1:  # one heart says nothing of others
        result[OURS]["interval"] = None
        result.pop("difference", None)
    result["each"] = {name: float(metrics.mean_r(s)) for name, s in by(record, found.sums[OURS][chosen]).items()}
    return result


def beat_kinds(found: Beats, annotation: Callable[[str], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """What the reference calls each beat, [n]: the kind of the nearest annotated beat within the tolerance."""
    kinds = np.full(len(found.record), NO_BEAT, dtype=object)
    for record in np.unique(found.record):
        own = np.flatnonzero(found.record == record)
        times, symbols = annotation(str(record))
        nearest = np.abs(found.time[own][:, None] - times).argmin(1)
        close = np.abs(found.time[own] - times[nearest]) <= TOLERANCE
        kinds[own[close]] = [KIND_OF[symbol] for symbol in symbols[nearest[close]]]
    return kinds.astype(str)


def annotated(folder: Path, record: str) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds and symbols of the reference's beats of the kinds that are told apart."""
    read = wfdb.rdann(str(folder / record), "atr")
    symbols = np.array(read.symbol)
    beats = np.isin(symbols, list(KIND_OF))
    return read.sample[beats] / read.fs, symbols[beats]


def dataset_of(model: ECGGenModel, root: Path) -> ECGDataset:
    """All WFDB records below a folder, preprocessed as the model wants them."""
    return ECGDataset(RunConfig(DataConfig(source="wfdb", root=str(root)), model.cfg), ALL)


def line(place: str, what: str, row: dict[str, Any]) -> None:
    """One row of a table."""
    ours = row[OURS]
    r = f"{ours['r']:.3f}"
    if ours["interval"] is not None:
        r += " [{:.3f}, {:.3f}]".format(*ours["interval"])
    linear = f"{row[LINEAR]['r']:.3f}" if LINEAR in row else "-"
    less = "[{:+.3f}, {:+.3f}]".format(*row["difference"]) if "difference" in row else "-"
    cells = (place, what, f"{row['records']}, {row['beats']}", r, f"{ours['r2']:.3f}", f"{ours['slope']:.2f}")
    print("| " + " | ".join((*cells, linear, less)) + " |")


def head() -> None:
    """Head of a table."""
    print("\n| records of | shown -> judged | records, beats | r [95 %] | R2 | slope | linear r | model - linear |")
    print("|---" * 8 + "|")


def left_out(dataset: ECGDataset) -> dict[str, int]:
    """What preprocessing left out or repaired, by reason."""
    return dict(Counter(f"{remark.action}: {remark.reason.split(':')[0]}" for remark in dataset.store.remarks))


def twelve_leads(model: ECGGenModel, folder: Path, base: Baselines | None, resamples: int) -> dict[str, Any]:
    """The CinC samples, each collection and all together."""
    card: dict[str, Any] = {}
    datasets = {name: dataset_of(model, folder / sub) for sub, name in CINC.items()} | {
        "all": dataset_of(model, folder)
    }
    head()
    for place, dataset in datasets.items():
        card[place] = {"left out": left_out(dataset), "windows": len(dataset), "unlabelled": dataset.unlabelled}
        card[place]["classes in common"] = sorted(set(model.classes) & set(dataset.classes))
        for what, visible in TWELVE.items():
            found = judged_beats(model, dataset, visible, scored_leads(visible), base)
            if found is not None:
                card[place][what] = figures(found, resamples)
                line(place, what, card[place][what])
    return card


def two_leads(model: ECGGenModel, folder: Path, base: Baselines | None, resamples: int) -> dict[str, Any]:
    """MIT-BIH: one lead shown and the other judged, both ways, then by kind of beat."""
    dataset = dataset_of(model, folder)
    card: dict[str, Any] = {"left out": left_out(dataset), "windows": len(dataset)}
    head()
    for shown, judged in PAIRS:
        found = judged_beats(model, dataset, shown, judged, base)
        if found is None:
            continue
        what = "both -> both" if shown == LEADS else f"{shown[0]} -> {judged[0]}"
        row = card[what] = figures(found, resamples)
        row |= {"windows": found.windows, "no beats found": found.fallback}
        line("MIT-BIH", f"{what}, {found.fallback} of {found.windows} windows without beats", row)
        kinds = beat_kinds(found, lambda record: annotated(folder, record))
        for kind in sorted(set(kinds.tolist())):
            row[kind] = figures(found, resamples, kinds == kind)
            line("MIT-BIH", f"{what}, {kind}", row[kind])
    print("\n| r by record | " + " | ".join(what for what in card if "->" in what) + " |")
    print("|---" * (1 + sum("->" in what for what in card)) + "|")
    for record in sorted({record for what, row in card.items() if "->" in what for record in row["each"]}):
        each = (row["each"].get(record) for what, row in card.items() if "->" in what)
        print(f"| {record} | " + " | ".join("" if r is None else f"{r:.3f}" for r in each) + " |")
    return card


def at_home(folder: Path) -> dict[str, Any]:
    """The run's own card, in short."""
    sets = read_card(folder)["reconstruction"]
    print("\n| at home | " + " | ".join(sets) + " |\n" + "|---" * (1 + len(sets)) + "|")
    found = {name: entry["rivals"][OURS] for name, entry in sets.items() if entry["records"]}
    print("| r | " + " | ".join(f"{row['r']['value']:.3f}" for row in found.values()) + " |")
    return found


def main() -> None:
    p = argparse.ArgumentParser(description="A trained model on recordings of other places.")
    p.add_argument("runs", nargs="*", type=Path, help="folders of finished runs (default: those in results/)")
    p.add_argument("--resamples", type=int, default=1000)
    p.add_argument("--skip-baseline", action="store_true", help="no regression: the training records are not there")
    p.add_argument("--out", type=Path, help="JSON file for all figures")
    args = p.parse_args()
    data = Path(os.environ.get("ECGGEN_DATA") or REPO.parent / "shared" / "data")
    runs = args.runs or finished_runs(REPO / "results")
    if not runs:
        print(f"elsewhere: no finished run in {REPO / 'results'}; train one, or name a folder")
        return
    cards = {}
    for folder in runs:
        try:
            model, run = load_run(folder)
            base = None if args.skip_baseline else training_baselines(model, run)
            print(f"\n{folder}, trained on {run.data.source}; intervals are over records")
            cards[str(folder)] = {
                "at home": at_home(folder),
                "CinC": twelve_leads(model, data / "cinc", base, args.resamples),
                "MIT-BIH": two_leads(model, data / "mitdb", base, args.resamples),
            }
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
    if args.out:
        write_json(args.out, cards)


if __name__ == "__main__":
    main()
