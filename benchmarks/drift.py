"""Does W follow a slow drift of the ST level? Read-outs and renderings on held-out simulated hearts, with controls.

Trains a causal model on hearts in which a slowly moving ST level was planted (`ecggen.planted`), or takes a trained
one, fits one linear read-out of W_c on the training hearts (fold 9 chooses its penalty) and judges it on those of fold
10, which nothing has seen. Beside it: the same read-out of the measured beat itself (what one beat gives away
linearly), of the beat's number (what a clock knows), fitted on levels shuffled within records, and in still hearts.
Then beats are rendered with their own W_c, with the W of the beat before, and with their record's mean W.

    python benchmarks/drift.py                         # plants, trains, judges: five minutes on one core
    python benchmarks/drift.py --model results/m1s1k1_step2000 --seed 5

Run it from the repository with PYTHONPATH=. as `make bench` does.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ecggen import drift
from ecggen.atomic import write_json
from ecggen.checkpoint import MODEL_FILE, load_model, save_model
from ecggen.config import DataConfig, RunConfig, SimulatorConfig
from ecggen.configfile import apply_overrides, apply_settings
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError
from ecggen.leads import LEADS
from ecggen.models.ecggen import ECGGenModel
from ecggen.planted import LEVEL, Planting, Truth, phantom, plant, read_truth, simulator_truth
from ecggen.train import train

STEPS = 2000
STILL_RECORDS = 256  # hearts that stand still, all of them judged
SHOWN = {"all twelve": LEADS, "I,II,V2": ("I", "II", "V2")}
# What is set beside the defaults: no look at later beats, no pull towards the W before, and four steps a beat. With a
# pull and two steps a beat's own level reaches W only in part, and the first beats are still on their way from W0.
SETTINGS: dict[str, Any] = {
    "model.encoder.attention": "causal",
    "model.ttt.state_smoothness": 0.0,
    "model.ttt.inner_steps": 4,
    "data.source": "arrays",
    "train.head": "none",
}


def settings(args: argparse.Namespace, root: Path) -> RunConfig:
    """A run on the planted records below `root`."""
    run = apply_settings(RunConfig(), {**SETTINGS, "data.root": str(root), "data.cache": str(args.folder / "cache")})
    run = apply_settings(run, {"train.steps": args.steps, "train.threads": args.threads, "train.seed": args.seed})
    return apply_overrides(run, args.set)


def named(folder: Path) -> ECGGenModel:
    """A trained model. Raises UserError where it is none, or none whose path of W means something."""
    model = load_model(folder / MODEL_FILE)
    drift.check_causal(model)
    return model


def trained(args: argparse.Namespace, run: RunConfig) -> ECGGenModel:
    """A model trained on the planted records."""
    begin = time.perf_counter()
    model = train(run).model
    print(f"trained {run.train.steps} steps in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    save_model(args.folder / MODEL_FILE, model)
    return model


def datasets(model: ECGGenModel, run: RunConfig, *splits: str) -> list[ECGDataset]:
    """Splits of a run's records, preprocessed as the model wants them."""
    return [ECGDataset(RunConfig(run.data, model.cfg, run.train, run.eval), split) for split in splits]


def read_outs(
    model: ECGGenModel, run: RunConfig, truth: Truth, still: RunConfig, still_truth: Truth, args: argparse.Namespace
) -> dict[str, Any]:
    """r of every read-out, ours and the controls."""
    parts = [drift.follow(model, one, truth, LEADS) for one in datasets(model, run, "train", "val", "test")]
    known, choosing, judged = parts
    (quiet,) = (drift.follow(model, one, still_truth, LEADS) for one in datasets(model, still, "all"))
    few = [drift.follow(model, one, truth, SHOWN["I,II,V2"]) for one in datasets(model, run, "train", "val", "test")]
    own = simulator_paths(model, run, args)
    shuffled = drift.shuffled_levels(known, args.seed)
    ours = drift.choose_read_out(known, choosing, "w")
    rows = {
        "W_c": (ours, "w", judged),
        "W_c, I, II, V2 shown": (drift.choose_read_out(few[0], few[1], "w"), "w", few[2]),
        "the measured beat": (drift.choose_read_out(known, choosing, "beats"), "beats", judged),
        "the beat's number": (drift.choose_read_out(known, choosing, "number"), "number", judged),
        "W_c, fitted on shuffled levels": (drift.choose_read_out(known, choosing, "w", shuffled), "w", judged),
        "W_c in hearts that stand still": (ours, "w", quiet),
        "W_c, the simulator's own drift": (drift.choose_read_out(own[0], own[1], "w"), "w", own[2]),
    }
    found = {}
    for name, (read, features, path) in rows.items():
        values = read(getattr(path, features))
        found[name] = {
            "within": drift.correlation(values, path, args.resamples),
            "pooled": drift.correlation(values, path, args.resamples, pooled=True),
            "swing": drift.swing(values, path),
            "beats": len(values),
            "records": len(set(path.record.tolist())),
        }
    found["W_c"]["planted swing"] = drift.swing(judged.level, judged)
    return found


def simulator_paths(model: ECGGenModel, run: RunConfig, args: argparse.Namespace) -> list[drift.StatePath]:
    """W beside the simulator's own drift, whose direction is drawn anew in every record: train, val, test."""
    hearts = SimulatorConfig(records=args.records, seed=args.seed, lost_leads=0.0)
    data = DataConfig(simulator=hearts, cache=str(args.folder / "cache"))
    splits = datasets(model, replace(run, data=data), "train", "val", "test")
    return [drift.follow(model, one, simulator_truth(one, model.cfg.signal.fs), LEADS) for one in splits]


def renderings(
    model: ECGGenModel, run: RunConfig, truth: Truth, still: RunConfig, still_truth: Truth, resamples: int
) -> dict[str, Any]:
    """W_c and W_c-1 against the mean W: hearts -> shown -> where -> R2 and RMSE."""
    hearts = {"drift": (*datasets(model, run, "test"), truth), "still": (*datasets(model, still, "all"), still_truth)}
    return {
        name: {
            shown: {
                where: drift.gain(sums, resamples)
                for where, sums in drift.rendering_sums(model, dataset, planted, visible).items()
            }
            for shown, visible in SHOWN.items()
        }
        for name, (dataset, planted) in hearts.items()
    }


def bracket(interval: list[float], form: str = ".3f") -> str:
    """An interval in brackets."""
    return f"[{interval[0]:{form}}, {interval[1]:{form}}]"


def show(card: dict[str, Any]) -> None:
    """Both tables as Markdown."""
    print("| read-out of the planted level from | r within records | r pooled | swing, mV | beats of records |")
    print("|---|---|---|---|---|")
    for name, row in card["read_outs"].items():
        r, pooled = (f"{row[k]['r']:.3f} {bracket(row[k]['interval'])}" for k in ("within", "pooled"))
        print(f"| {name} | {r} | {pooled} | {row['swing']:.4f} | {row['beats']} of {row['records']} |")
    print(f"\nPlanted: a swing of {card['read_outs']['W_c']['planted swing']:.4f} mV within records.\n")
    print("| hearts, shown, where | R2 with W_c | W_c-1 | mean W | W_c - mean W | W_c-1 - mean W | same, RMSE mV |")
    print("|---" * 7 + "|")
    for hearts, sets in card["renderings"].items():
        for shown, places in sets.items():
            for where, found in places.items():
                r2 = " | ".join(f"{found['r2'][what]:.4f}" for what in (drift.OWN, drift.BEFORE, drift.MEAN))
                own, before = (found["r2"]["less mean W"][what] for what in (drift.OWN, drift.BEFORE))
                cells = [signed(one) for one in (own, before, found["rmse"]["less mean W"][drift.BEFORE])]
                print(f"| {hearts}, {shown}, {where} | {r2} | {' | '.join(cells)} |")


def signed(difference: dict[str, Any]) -> str:
    """A difference and its interval."""
    return f"{difference['value']:+.4f} {bracket(difference['interval'], '+.4f')}"


def judged(args: argparse.Namespace) -> dict[str, Any]:
    """Everything, as it goes into the file."""
    model = None if args.model is None else named(args.model)
    moving, standing = args.folder / "drift", args.folder / "still"
    plant(Planting(args.records, args.seed, args.level), moving)
    plant(Planting(STILL_RECORDS, args.seed + 1, level=0.0), standing)
    run, still = settings(args, moving), settings(args, standing)
    model = model or trained(args, run)
    drift.check_causal(model)
    torch.set_num_threads(args.threads or 1)
    truth, still_truth = read_truth(moving), phantom(read_truth(standing), args.seed)
    return {
        "planting": asdict(Planting(args.records, args.seed, args.level)),
        "steps": None if args.model else run.train.steps,
        "model": asdict(model.cfg),
        "read_outs": read_outs(model, run, truth, still, still_truth, args),
        "renderings": renderings(model, run, truth, still, still_truth, args.resamples),
    }


def main() -> None:
    p = argparse.ArgumentParser(description="Does W follow a slow drift of the ST level?")
    p.add_argument("--model", type=Path, help="folder of a trained causal model (default: train one)")
    p.add_argument("--folder", type=Path, help="where records, model and drift.json go (default: a temporary one)")
    p.add_argument("--records", type=int, default=Planting.records)
    p.add_argument("--seed", type=int, default=0, help="of the hearts and of the training")
    p.add_argument("--steps", type=int, default=STEPS)
    p.add_argument("--level", type=float, default=LEVEL, help="mV, sd over records of the planted level")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--resamples", type=int, default=1000)
    p.add_argument("--set", action="append", default=[], metavar="a.b=c", help="any setting of the training")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        keep = args.folder is not None
        args.folder = args.folder if keep else Path(temporary)
        args.folder.mkdir(parents=True, exist_ok=True)
        try:
            card = judged(args)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        if keep:
            write_json(args.folder / "drift.json", card)
    show(json.loads(json.dumps(card)))


if __name__ == "__main__":
    main()
