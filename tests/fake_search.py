"""Trials of a search that nobody trained: their folders, rows and results, for the tests of what is made of them."""

import json
import math
import random
from pathlib import Path

import numpy as np

from ecggen.atomic import write_json
from ecggen.codetable import read_codes
from ecggen.leaderboard import FIGURES, LEADERBOARD_FILE, Standing, write_leaderboard
from ecggen.leads import LEADS, nominal_directions
from ecggen.portrait import Portrait, write_portrait
from ecggen.runid import run_hash
from search.ledger import Ledger
from search.order import Order, write_order
from search.space import parse_space
from search.study import RandomDraw
from search.trialfile import COMPLETED, FAILED, REUSED, STOPPED
from tests.tiny import tiny_run

REPO = Path(__file__).resolve().parents[1]
V1 = REPO / "configs" / "train" / "v1.yaml"
TABLE = read_codes(V1)
BASE = tiny_run()  # validates at steps 3 and 6, and 6 is its budget
METRIC = "val_hidden_r"
FOUR = {"train.lr": {"choice": [0.001, 0.002]}, "train.clip": {"choice": [1.0, 2.0]}}


def space_of(entries=FOUR, base=BASE):
    return parse_space("mine", {"about": "a question", "space": entries}, TABLE, base, "mine.yaml")


def order_of(entries=FOUR, **changes):
    given = {
        "name": "now",
        "space": "mine",
        "space_file": "mine.yaml",
        "content": {"about": "a question", "space": entries},
        "base": BASE,
        "config": str(V1),
        "trials": 10,
        "algorithm": "random",
        "metric": METRIC,
        "asha": True,
        "grace": 3,
        "reduction": 2,
        "finalists": 2,
        "seeds": 2,
        "data": "sim-1",
        "code": {"ecggen/a.py": "1", "ecggen/b.py": "2", "torch": "2.13"},
    }
    return Order(**{**given, **changes})


def row(step, value, **more):
    return {"step": step, "seconds": step / 10, "train_loss": 1.5, METRIC: value, "val_r": math.nan, **more}


def curve(*values):
    """One validation every third step."""
    return [row(3 * at, value) for at, value in enumerate(values, 1)]


def write_result(place, run, values, best=None):
    """As a trial leaves its folder when it is whole: model and result, of the best step unless another one is given."""
    history = curve(*values)
    kept = best or max(history, key=lambda each: -math.inf if math.isnan(each[METRIC]) else each[METRIC])
    (place / "model.safetensors").write_bytes(run_hash(run).encode())
    content = {"hash": run_hash(run), "step": run.train.steps, "seconds": 0.6, "best": kept, "history": history}
    write_json(place / "result.json", content)


def new_trial(ledger, lr, study=None, **params):
    """A trial that turns the learning rate, just begun."""
    run = tiny_run(train__lr=lr)
    return ledger.begin(run, "m1s1k1", {"train.lr": lr, **params}, study), run


def completed(ledger, lr, *values, study=None):
    trial, run = new_trial(ledger, lr, study)
    write_result(ledger.folder / trial.key, run, values)
    ledger.end(trial, COMPLETED)
    return trial


def stopped(ledger, lr, *values, study=None):
    trial, _ = new_trial(ledger, lr, study)
    for each in curve(*values):
        trial.add_row(each)
    ledger.end(trial, STOPPED, f"ASHA, at step {trial.step}")
    return trial


def failed(ledger, lr, *values, study=None):
    trial, _ = new_trial(ledger, lr, study)
    for each in curve(*values):
        trial.add_row(each)
    ledger.end(trial, FAILED, "loss is not finite")
    return trial


def as_text(trials):
    """Trials as text, so that NaN equals NaN."""
    return json.dumps([vars(trial) for trial in trials], sort_keys=True)


def reread(ledger):
    return Ledger(ledger.folder)


EIGHT = {
    "model.fast_state.mode": {"choice": ["vector", "mlp"]},
    "model.fast_state.size": {"choice": [64, 128, 256], "when": {"model.fast_state.mode": "vector"}},
    "model.ttt.chunk_size": {"choice": [1, 2, 4]},
    "model.ttt.inner_steps": {"choice": [1, 2, 4]},
    "model.ttt.state_smoothness": {"loguniform": [0.01, 1.0]},
    "model.vcg.basis_k": {"int": [8, 32], "step": 8},
    "train.lr": {"loguniform": [5.0e-4, 5.0e-3]},
    "train.loss.smoothness": {"choice": [0.0, 0.001, 0.01]},
}


def standing(rank, trial, mean, low, high, against, verdict, **changes):
    """A row of a leaderboard, proved by three fresh seeds unless said otherwise."""
    given = {
        "rank": rank, "runid": trial.runid, "hash": trial.hash, "step": trial.steps, "metric": METRIC, "mean": mean,
        "sd": 0.002, "n": 3, "low": low, "high": high, "against": against, "verdict": verdict, "seeds": [1, 2, 3],
        "metrics": dict.fromkeys(FIGURES, mean), "proved": True, "repeats": 3,
    }  # fmt: skip
    return Standing(**{**given, **changes})


def fake_card(runid="m1s1k1", records=100):
    """An evaluation card of a run that nobody judged."""

    def figures(r):
        values = {"r": r, "r2": r**2, "rmse": 0.1, "snr": 5.0, "sd_ratio": 0.9, "slope": 1.0}
        return {name: {"value": value, "interval": [value - 0.01, value + 0.01]} for name, value in values.items()}

    common = {"records": records, "beats": 12 * records, "left_out": 7, "fallback": 1, "coverage": 0.9}
    rivals = {"model": figures(0.9), "mean beat": figures(0.5), "linear regression": figures(0.8)}
    hidden = {"scored": ["V1", "V3", "V4", "V5", "V6"], **common, "residual_share": 0.01, "rivals": rivals}
    return {
        "runid": runid,
        "data": "simulator",
        "own_data": True,
        "split": "val",
        "records": records,
        "rejected": {"count": 3, "most": "flat line", "repaired": 1},
        "reconstruction": {
            "all twelve": {**hidden, "scored": list(LEADS)},
            "I,II,V2": {**hidden, "r_over_linear_regression": [0.05, 0.15]},
            "I": {"records": 0, "reason": "no record has these leads", "scored": []},
        },
        "state": {"rank": 20, "size": 24, "records": records},
        "source": None,
    }


def fake_portrait(beats=8, fs=100.0, **changes):
    """A heart whose source is a tilted ellipse once a beat; V is half of it, and the map gives the other half back."""
    samples, beat_len, lead_vectors = round(max(10, beats + 2) * fs), 40, nominal_directions()
    phase = np.linspace(0, 2 * np.pi, beat_len, endpoint=False)
    pulse = np.exp(-((phase - np.pi) ** 2) / 0.5)
    source = np.stack([1.2 * pulse * np.cos(phase - np.pi), 0.8 * pulse, 0.6 * pulse * np.sin(phase - np.pi)])
    spans = np.array([[round((0.5 + at) * fs), round((1.4 + at) * fs)] for at in range(beats)])
    ecg = np.zeros((12, samples), np.float32)
    for start, end in spans:
        at = np.linspace(0, beat_len - 1, end - start)
        wave = np.stack([np.interp(at, np.arange(beat_len), axis) for axis in source])
        ecg[:, start:end] = lead_vectors @ wave
    shown = np.isin(np.array(LEADS), ["I", "II", "V2"])
    rng = np.random.default_rng(0)
    given = {
        "id": "fake_7", "fs": fs, "ecg": ecg, "present": np.ones(12, bool), "shown": shown, "beats": spans,
        "chunk": np.arange(beats), "rendered": np.repeat((lead_vectors @ source)[None], beats, 0).astype(np.float32),
        "v": np.repeat(source[None] / 2, beats, 0).astype(np.float32),
        "w": (1 + 0.1 * rng.standard_normal((beats, 24))).astype(np.float32),
        "basis": np.stack([pulse, pulse * np.sin(phase)]).astype(np.float32), "peak": 0.5,
        "source": np.repeat(source[None], beats, 0).astype(np.float32), "source_map": 2 * np.eye(3),
    }  # fmt: skip
    return Portrait(**{**given, **changes})


def keep_best(results, trial, portrait=None, card=None):
    """The result folder of a trial's run, as a promotion leaves it; its name."""
    folder = results / f"{trial.runid}_step{trial.steps}"
    folder.mkdir(parents=True)
    write_json(folder / "metrics.json", card or fake_card(trial.runid))
    info = {"runid": trial.runid, "ecggen": "0.1.0", "torch": "2.13", "python": "3.11.7", "threads": 1}
    write_json(folder / "run_info.json", info)
    if portrait is not None:
        write_portrait(folder / "record.npz", portrait)
    (folder / "DONE").write_text(f"{trial.hash}\n")
    return folder.name


def finish(folder, standings=()):
    """The end of a search: its leaderboard and its mark."""
    write_leaderboard(folder / LEADERBOARD_FILE, standings)
    (folder / "DONE").write_text("2026-05-01T13:00:00+0000\n")


RATES = {"train.lr": {"loguniform": [0.0005, 0.01]}, "train.clip": {"choice": [1.0, 2.0]}}


def small_search(results, name="now", entries=RATES, portrait=None, **changes):
    """A finished search: three trials to their end, one stopped, one failed; the best kept and beaten by nobody."""
    folder = results / "searches" / name
    write_order(folder, order_of(entries, name=name, began="2026-05-01T12:00:00+0000", **changes))
    ledger = Ledger(folder)
    best, second = completed(ledger, 0.001, 0.5, 0.9), completed(ledger, 0.002, 0.5, 0.8)
    completed(ledger, 0.003, 0.4, 0.7)
    stopped(ledger, 0.004, 0.3)
    failed(ledger, 0.005)
    kept = keep_best(results, best, portrait)
    names = [f"{trial.runid}_{trial.hash[:6]}" for trial in (best, second)]
    first = standing(1, best, 0.91, 0.01, 0.03, names[1], "wins", folder=kept)
    finish(folder, [first, standing(2, second, 0.89, -0.03, -0.01, names[0], "loses")])
    return folder


def large_search(results, trials=200, rows=27, name="large"):
    """A finished search of eight entries, most of it stopped by ASHA at its three rungs, some failed, some reused."""
    steps, every = 50 * rows, 50
    base = tiny_run(train__steps=steps, train__validate_every=every)
    folder = results / "searches" / name
    order = order_of(EIGHT, name=name, base=base, trials=trials, grace=150, reduction=3, finalists=3, seeds=3)
    write_order(folder, order)
    ledger, rng, table = Ledger(folder), random.Random(0), TABLE
    space, whole = space_of(EIGHT, base), []
    for number in range(trials):
        params = space.suggest(RandomDraw(rng), base, table)
        run = space.run(params, base, table)
        trial = ledger.begin(run, f"m{1 + number % 9}s{1 + number % 7}k{1 + number % 5}", params)
        top = rng.uniform(0.5, 0.9)
        ending = number % 10
        last = rows if ending < 2 else rng.choice([3, 9]) if ending < 9 else rng.randint(0, 3)
        for at in range(1, last + 1):
            value = top * (1 - 0.6 * math.exp(-at / 5)) + rng.gauss(0, 0.005)
            trial.add_row({"step": at * every, "seconds": 2.0 * at, "train_loss": 1.0, METRIC: value})
        trial.status = (COMPLETED, REUSED)[number % 20 == 1] if last == rows else STOPPED if ending < 9 else FAILED
        reasons = {STOPPED: f"ASHA, at step {trial.step}", FAILED: "loss is not finite", REUSED: "result of old/0003"}
        trial.reason = reasons.get(trial.status, "")
        ledger.write(trial)
        whole += [trial] if last == rows else []
    best, second, third = sorted(whole, key=lambda trial: -trial.metrics[METRIC])[:3]
    kept = keep_best(results, best, fake_portrait(9), fake_card(best.runid))
    rows_of_board = [
        standing(1, best, 0.88, 0.002, 0.011, second.runid, "wins", folder=kept),
        standing(2, second, 0.87, -0.011, -0.002, best.runid, "loses"),
        standing(3, third, 0.86, -0.02, -0.01, best.runid, "loses"),
    ]
    finish(folder, rows_of_board)
    return folder
