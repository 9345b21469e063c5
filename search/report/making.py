"""How a search was made: question, settings, data, what run ids stand for, versions."""

import hashlib
import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ecggen.codetable import MODULES
from ecggen.configfile import get_setting, setting_types
from ecggen.errors import UserError
from ecggen.runid import parse_runid
from ecggen.strictyaml import to_yaml
from search.report.facts import Facts
from search.report.wording import count, listed, value_text
from search.rungs import rungs

MODULE_WORDS = {"m": "what W is", "s": "how W is estimated", "k": "the source and its regularisers"}
SOURCES = {
    "simulator": "simulated hearts with a known source",
    "ptbxl": "PTB-XL",
    "mimic": "MIMIC-IV-ECG",
    "wfdb": "WFDB records",
    "arrays": "recordings as arrays",
}


@dataclass(frozen=True)
class Code:
    """One code of a run id and what it sets."""

    code: str
    about: str
    settings: str
    best: bool


def searched(facts: Facts) -> str:
    """What was searched, and on which data, in a sentence or two."""
    text = " ".join(str(facts.order.content.get("about", "")).split()).rstrip(".")
    data = facts.order.base.data
    source = SOURCES.get(data.source, data.source)
    if data.source == "simulator":
        source = f"{data.simulator.records:,} {source}"
    question = f"{text[:1].upper()}{text[1:]}. " if text else ""
    return f"{question}Searched on {source}, {count(facts.order.base.train.steps, 'step')} a trial."


def asked_rows(facts: Facts) -> list[tuple[str, str]]:
    """What was asked for, as term and description."""
    order, train = facts.order, facts.order.base.train
    looks = [f"{step:,}" for step in rungs(order)]
    early = f"ASHA, at steps {listed(looks)}; 1 trial in {order.reduction} goes on"
    ways = {"optuna": "Optuna's TPE", "grid": "all points of the grid", "random": "points at random"}
    return [
        ("Space", f"{order.space}, {count(len(facts.entries), 'entry', 'entries')}"),
        ("Trials", f"{order.trials}, by {ways.get(order.algorithm, order.algorithm)}"),
        ("Budget of a trial", count(train.steps, "optimizer step")),
        ("Early stopping", early if looks else "off, every trial runs to its end"),
        ("Ranked by", order.metric),
        ("Proof", f"the best {order.finalists} trained again with {count(order.seeds, 'fresh seed')} each"),
        ("Seed", str(train.seed)),
        *([("Warm start", ", ".join(order.warm_start))] if order.warm_start else []),
    ]


def data_rows(facts: Facts) -> list[tuple[str, str]]:
    """The data, as term and description. Paths are left out: a page may be sent to somebody."""
    data, signal = facts.order.base.data, facts.order.base.model.signal
    rows = [("Source", SOURCES.get(data.source, data.source))]
    if data.source == "simulator":
        made = data.simulator
        rows.append(("Population", f"{made.records:,} records, seed {made.seed}, noise {made.noise:g}"))
        rows.append(
            ("Ectopic beats, lost leads", f"{100 * made.ectopic:g} % of beats, {100 * made.lost_leads:g} % of leads")
        )
    elif data.root:
        rows.append(("Folder", Path(data.root).name))
    split = [("train", data.train_folds), ("validation", data.val_folds), ("test", data.test_folds)]
    rows.append(("Folds", "; ".join(f"{name} {_folds(folds)}" for name, folds in split)))
    band = f"{signal.band_low:g} to {signal.band_high:g} Hz"
    rows.append(("Signal", f"windows of {data.seconds:g} s at {signal.fs:g} Hz, {band}"))
    if data.limit is not None:
        rows.append(("Limit", count(data.limit, "record")))
    if facts.card is not None:
        left = facts.card["rejected"]
        most = f" (most: {left['most']})" if left.get("count") and left.get("most") else ""
        rows.append(("Judged", f"{facts.card['records']:,} records, split {facts.card['split']}"))
        rows.append(("Checked", f"{left.get('count', 0)} left out{most}, {left.get('repaired', 0)} repaired"))
    rows.append(("Cache", facts.order.data or "not known"))
    return rows


def _folds(folds: tuple[int, ...]) -> str:
    whole = list(range(folds[0], folds[-1] + 1)) if folds else []
    if len(folds) > 2 and list(folds) == whole:
        return f"{folds[0]} to {folds[-1]}"
    return ", ".join(map(str, folds)) or "none"


def codes(facts: Facts) -> list[Code]:
    """Every code that a trial of this search has, with its settings; empty where the table cannot be read."""
    if facts.table is None:
        return []
    best = _codes_of(facts.standings[0].runid) if facts.standings else {}
    used = {module: set[int]() for module in MODULES}
    for trial in facts.ledger:
        for module, code in _codes_of(trial.runid).items():
            used[module].add(code)
    return [
        Code(f"{module}{code}", MODULE_WORDS[module], _settings(facts, module, code), best.get(module) == code)
        for module in MODULES
        for code in sorted(used[module])
    ]


def _codes_of(runid: str) -> dict[str, int]:
    try:
        return parse_runid(runid)._asdict()
    except UserError:
        return {}


def _settings(facts: Facts, module: str, code: int) -> str:
    rows = facts.table.rows[module] if facts.table is not None else {}
    row = rows.get(code)
    if row is None:
        return "not in the table of run ids any more"
    return ", ".join(f"{path.split('.')[-1]} {value_text(value)}" for path, value in row.items())


def best_settings(facts: Facts) -> list[tuple[str, str, str]]:
    """What the search turned beside codes, with the best run's value and that of the base run: entry, value, base."""
    if not facts.standings:
        return []
    own = next((trial for trial in facts.ledger.trials if trial.hash == facts.standings[0].hash), None)
    named = {} if own is None else {name: value for name, value in own.params.items() if name not in MODULES}
    return [(name, value_text(value), _base(facts, name)) for name, value in named.items()]


def _base(facts: Facts, name: str) -> str:
    """The value of a setting before the search; empty for one that there is not any more."""
    return value_text(get_setting(facts.order.base, name)) if name in setting_types() else ""


def version_rows(facts: Facts) -> list[tuple[str, str]]:
    """What made the figures, and what made this page."""
    code = facts.order.code
    files = {name: digest for name, digest in code.items() if name != "torch"}
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]
    rows = [("Code of the trainings", f"{digest}, over {count(len(files), 'file')}" if files else "not known")]
    rows.append(("torch", str(code.get("torch", "not known"))))
    parts = ("ecggen", "python", "machine", "device", "threads")
    known = [f"{name} {facts.info[name]}" for name in parts if name in facts.info]
    if known:
        rows.append(("Best run", ", ".join(known)))
    used = ", ".join(f"{name} {version(name)}" for name in ("optuna", "plotly"))
    rows.append(("This page", f"{used}, Python {platform.python_version()}"))
    return rows


def settings_text(facts: Facts) -> tuple[str, str]:
    """The space and the order as YAML, as they were asked for, without paths of the machine."""
    order = facts.order
    given = {
        "trials": order.trials, "algorithm": order.algorithm, "metric": order.metric, "asha": order.asha,
        "grace": order.grace, "reduction": order.reduction, "finalists": order.finalists, "seeds": order.seeds,
    }  # fmt: skip
    return to_yaml(dict(order.content)), to_yaml(given)
