"""Trials of a search that nobody trained: their folders, rows and results, for the tests of what is made of them."""

import json
import math
from pathlib import Path

from ecggen.atomic import write_json
from ecggen.runid import read_codes, run_hash
from search.ledger import COMPLETED, FAILED, STOPPED, Ledger
from search.order import Order
from search.space import parse_space
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
