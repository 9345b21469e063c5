"""V of trained models beside measured Frank leads, Kors' regression and the inverse Dower transform, on the same beats.

    python benchmarks/frank.py results/m1s1k1_step6000                          # one folder or more
    python benchmarks/frank.py results/m1s1k1_step6000 --data-root PTB          # PTB's records as published

V is compared up to one fixed 3x3 map (with an offset), fitted on other patients where the folder has several, else on
the other half of the one record. Run it from the repository with PYTHONPATH=. as `make bench` does; without folders
it takes the finished runs in results/. Recordings are looked for in $ECGGEN_DATA, else ../shared/data.
"""

import argparse
import os
import sys
from pathlib import Path

from ecggen.atomic import write_json
from ecggen.checkpoint import MODEL_FILE, load_model
from ecggen.config import DataConfig, RunConfig
from ecggen.data.pipeline import ALL, ECGDataset
from ecggen.errors import UserError
from ecggen.frank import AXES, frank_beats, frank_card
from ecggen.stepfolder import finished_runs, require_finished

REPO = Path(__file__).resolve().parents[1]
FEW = ("I", "II", "V2")


def main() -> None:
    p = argparse.ArgumentParser(description="V of trained models beside measured Frank leads.")
    p.add_argument("runs", nargs="*", type=Path, help="folders of finished runs (default: those in results/)")
    p.add_argument("--data-root", type=Path, help="WFDB records with vx, vy, vz (default: ptb_frank)")
    p.add_argument("--resamples", type=int, default=1000)
    p.add_argument("--out", type=Path, help="JSON file for all figures")
    args = p.parse_args()
    root = args.data_root or Path(os.environ.get("ECGGEN_DATA") or REPO.parent / "shared" / "data") / "ptb_frank"
    runs = args.runs or finished_runs(REPO / "results")
    if not runs:
        print(f"Frank leads: no finished run in {REPO / 'results'}; train one, or name a folder")
        return
    cards = {}
    for folder in runs:
        try:
            require_finished(folder)
            model = load_model(folder / MODEL_FILE)
            data = ECGDataset(RunConfig(DataConfig(source="wfdb", root=str(root)), model.cfg), ALL)
            card = frank_card(frank_beats(model, data), frank_beats(model, data, FEW), args.resamples)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        cards[str(folder)] = card
        view = model.cfg.projection.view
        print(f"\n{folder}, view {view}: {card['beats']} beats of {card['patients']} patient(s); map {card['map']};")
        print(f"few leads: {', '.join(FEW)}. Intervals are over {'patients' if card['patients'] > 1 else 'beats'}.\n")
        print(f"| Frank leads from | r [95 %] | {' | '.join(f'r {axis}' for axis in AXES)} | R2 | RMSE mV |")
        print("|---" * 7 + "|")
        for name, row in card["rows"].items():
            r = f"{row['r']:.3f} [{row['interval'][0]:.3f}, {row['interval'][1]:.3f}]"
            axes = " | ".join(f"{value:.3f}" for value in row["axes"].values())
            print(f"| {name} | {r} | {axes} | {row['r2']:.3f} | {row['rmse']:.4f} |")
    if args.out:
        write_json(args.out, cards)


if __name__ == "__main__":
    main()
