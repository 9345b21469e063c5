"""Checkpoints, result folders and caches from strangers: nothing in them is ever run, and none takes all memory.

A planted pickle leaves a mark when anybody loads it; the first test shows that it does.
"""

import ast
import io
import json
import math
import os
import pickle
import sqlite3
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ecggen.card import print_card, read_card
from ecggen.checkpoint import load_model, load_training, save_model, save_training
from ecggen.config import DataConfig, SignalConfig
from ecggen.data.build import build
from ecggen.data.sources.arrays import ArraysSource
from ecggen.data.sources.catalog import make_source
from ecggen.data.store import open_store
from ecggen.errors import UserError
from ecggen.leaderboard import read_leaderboard
from ecggen.npy import load_arrays, map_array
from ecggen.plainfile import read_json, read_plain
from ecggen.planted import read_truth
from ecggen.portrait import read_portrait, write_portrait
from ecggen.runid import run_hash
from ecggen.runs import kept_folder
from ecggen.stepfolder import finished_runs
from search.finals import judged_sums
from search.folders import listed
from search.ledger import Ledger
from search.order import read_order, write_order
from search.report.facts import gather
from search.report.page import write_report
from search.study import Study
from search.trial import clear_of_others, refuse_failed
from search.trialfile import read_result
from tests.conftest import REPO
from tests.data.layouts import hearts, write_arrays
from tests.fake_search import METRIC, completed, fake_portrait, order_of, small_search
from tests.live_search import tiny_words
from tests.models.conftest import small_model
from tests.search.test_carry_on import begin, of, resume, under_way
from tests.tiny import tiny_run
from tests.user_fault import fault_of


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture
def mark(tmp_path):
    """A path that is not there, and after the test still is not."""
    path = tmp_path / "mark"
    yield path
    assert not path.exists(), "a planted pickle was run"


def bombs(mark):
    """The same pickle in every container that torch or numpy has ever taken: name -> bytes."""
    bomb = Bomb(mark)
    new, old, tar, objects, archive = (io.BytesIO() for _ in range(5))
    torch.save({"model": bomb}, new)
    torch.save({"model": bomb}, old, _use_new_zipfile_serialization=False)
    with tarfile.open(fileobj=tar, mode="w") as file:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            part = pickle.dumps(bomb)
            info = tarfile.TarInfo(name)
            info.size = len(part)
            file.addfile(info, io.BytesIO(part))
    np.save(objects, np.array([bomb], dtype=object))
    np.savez(archive, w=np.array([bomb], dtype=object))
    files = {"torch": new, "old torch": old, "tar": tar, "npy": objects, "npz": archive}
    return {"pickle": pickle.dumps(bomb), **{name: stream.getvalue() for name, stream in files.items()}}


KINDS = ("pickle", "torch", "old torch", "tar", "npy", "npz")


def test_a_planted_pickle_is_one(tmp_path):
    for name, content in bombs(tmp_path / "mark").items():
        load = {"npy": np.load, "npz": lambda file, **how: np.load(file, **how)["w"]}.get(name)
        if name == "tar":  # torch reads no such file any more, with or without pickles
            continue
        if load is not None:
            load(io.BytesIO(content), allow_pickle=True)
        elif name == "pickle":
            pickle.loads(content)  # noqa: S301  our own bytes
        else:
            torch.load(io.BytesIO(content), weights_only=False)
        (tmp_path / "mark").rmdir()


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_a_run_or_a_cache_is_unpickled(tmp_path, mark, kind):
    content = bombs(mark)[kind]
    for name, read in {
        "model.safetensors": load_model,
        "training.pt": lambda path: load_training(path.parent),
        "record.npz": read_portrait,
        "metrics.json": lambda path: read_card(path.parent),
        "leaderboard.csv": read_leaderboard,
        "truth.npz": lambda path: read_truth(path.parent),
        "signals.npy": lambda path: ArraysSource(path.parent, 10.0).entries(),
        "result.json": lambda path: read_result(path.parent),
        "search.yaml": lambda path: read_order(path.parent),
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        fault_of(read, path)


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_a_finished_cache_is_unpickled(tmp_path, mark, kind):
    write_arrays(tmp_path / "root", hearts(2))
    data = DataConfig(source="arrays", root=str(tmp_path / "root"), workers=1)
    store = tmp_path / "store"
    store.mkdir()
    build(make_source(data, SignalConfig()), data, SignalConfig(), store)
    content = bombs(mark)[kind]
    names = sorted(path.name for path in store.iterdir() if path.suffix in (".npy", ".json"))
    assert len(names) == 5
    for name in names:
        path = store / name
        sound = path.read_bytes()
        path.write_bytes(content)
        assert "expected a complete cache" in fault_of(open_store, store)
        path.write_bytes(sound)
    assert len(open_store(store)) == 2


@pytest.mark.parametrize("kind", ["pickle", "npz"])
def test_no_file_of_a_search_is_unpickled(tmp_path, mark, kind):
    folder = small_search(tmp_path / "results", portrait=fake_portrait())
    content = bombs(mark)[kind]
    (folder / "tune" / "round1").mkdir(parents=True)
    for name in ("tuner.pkl", "trainable.pkl", "experiment_state-1.json", "searcher-state-1.pkl", "params.pkl"):
        for place in (folder, folder / "tune" / "round1", next(folder.glob("trials/*"))):
            (place / name).write_bytes(content)
    for name in ("DONE", "leaderboard.csv", "trials.csv", "steps.csv", "study.db", "trials/0001_m1s1k1/trial.json"):
        (folder / name).write_bytes(content)
    (run,) = finished_runs(tmp_path / "results")
    for path in run.iterdir():
        if path.name != "DONE":
            path.write_bytes(content)
    assert gather(folder).finished is None
    write_report(folder)
    Study(folder, "random", METRIC, 0)
    assert (folder / "study.db.damaged").read_bytes() == content


@pytest.mark.parametrize("kind", KINDS)
def test_sums_of_a_finalist_are_judged_anew_instead_of_unpickled(tmp_path, mark, kind):
    (tmp_path / "now").mkdir()
    ledger = Ledger(tmp_path / "now")
    trial = completed(ledger, 0.001, 0.5, 0.6)
    (ledger.folder / trial.key / "judged.npz").write_bytes(bombs(mark)[kind])
    (ledger.folder / trial.key / "model.safetensors").write_bytes(bombs(mark)[kind])
    assert "expected a whole model file" in fault_of(judged_sums, ledger, trial)


@pytest.mark.slow
def test_a_search_that_is_carried_on_reads_nothing_of_rays_own(tmp_path, mark):
    """A live one: killed under way, then a pickle is planted in each of Ray's files, and it is resumed."""
    live = begin(tmp_path, "--algorithm", "grid", "--trials", 3, "--no-asha", *tiny_words())
    live.until(lambda: under_way(of(tmp_path), 1))
    live.kill()
    content = pickle.dumps(Bomb(mark))
    theirs = [path for path in of(tmp_path).glob("tune/**/*") if path.is_file()]
    assert any(path.suffix == ".pkl" for path in theirs), (
        "expected Ray's pickles, got none: where does it put them now?"
    )
    for path in theirs:
        path.write_bytes(content)
    again = resume(tmp_path)
    assert again.end() == 0, again.err
    assert len(list(of(tmp_path).glob("trials/*/result.json"))) == 3


UNSAFE = {
    "eval", "exec", "compile", "loads", "Unpickler", "full_load", "unsafe_load", "load_all", "system", "popen",
}  # fmt: skip
LOADERS = {  # every call of a loader in the product -> the keyword that makes it safe, None where there is no choice
    "np.load": "allow_pickle",
    "torch.load": "weights_only",
}


def calls_in(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_the_source_has_no_loader_that_runs_code():
    files = [path for top in ("ecggen", "search") for path in (REPO / top).rglob("*.py")]
    files += [REPO / "main.py", REPO / "run_search.py"]
    loaders = 0
    for path in files:
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {
                "pickle",
                "cloudpickle",
                "joblib",
                "dill",
                "shelve",
                "marshal",
            }, path
        for name, node in calls_in(path):
            safe = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            if name in LOADERS:
                loaders += 1
                assert safe.get(LOADERS[name]) is (name == "torch.load"), f"{path}:{node.lineno}: {name}"
            last = name.rsplit(".", 1)[-1]
            method = last in {"eval", "compile"} and "." in name  # of a model, or of re
            if last in UNSAFE and name != "json.loads" and not method:
                raise AssertionError(f"{path}:{node.lineno}: {name}")
            assert not name.startswith(("Tuner.restore", "tune.Tuner.restore", "pd.read_pickle")), f"{path}: {name}"
            assert name != "yaml.load", f"{path}:{node.lineno}: use strictyaml"
    assert loaders >= 3


# Sizes, before anything is allocated


def head(shape, descr="'<f4'"):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


HUGE = "(1099511627776, 12, 1000)"


def test_an_array_that_promises_more_than_its_file_holds_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    for shape in (HUGE, "(4294967296, 4294967296)", "(-1, 4)", "(101,)"):
        path.write_bytes(head(shape) + bytes(400))
        with pytest.raises(ValueError, match="header of shape|negative"):
            map_array(path)
    path.write_bytes(head("(100,)") + bytes(400))
    assert map_array(path).shape == (100,)


def test_an_archive_is_measured_before_it_is_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("w.npy", "w", force_zip64=True) as part,
    ):
        part.write(head(f"({300 << 20},)", "'|i1'"))
        for _ in range(300):
            part.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match=r"3.15e\+08 bytes unpacked, more than 1e\+08"):
        load_arrays(path, 10**8)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", head(HUGE) + bytes(100))
    with pytest.raises(ValueError, match="header of shape"):
        load_arrays(path)


def test_a_portrait_with_a_huge_promise_is_one_line(tmp_path):
    path = tmp_path / "record.npz"
    write_portrait(path, fake_portrait())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", head(HUGE))
    assert "expected a portrait, got a damaged or other file" in fault_of(read_portrait, path)


def test_a_model_is_not_built_larger_than_its_tensors(tmp_path, monkeypatch):
    """Its header asks for a thousand million weights; the shapes are compared before any of them has memory."""
    path = tmp_path / "model.safetensors"
    save_model(path, small_model())
    with safe_open(path, "pt") as stream:
        header = stream.metadata()
    asked = json.loads(header["model"])
    asked["encoder"] |= {"d_model": 4096, "layers": 4, "feedforward": 16_384, "heads": 64}
    save_file(load_file(path), path, metadata={**header, "model": json.dumps(asked)})
    allocated = []
    monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", lambda tensor, **_: allocated.append(tensor.device.type))
    assert "as its settings say, got" in fault_of(load_model, path)
    assert set(allocated) == {"meta"}


@pytest.mark.parametrize(
    "length",
    [2**63, 2**40, 10**8 + 1, 7],
    ids=["beyond the file", "a terabyte", "too long a header", "too short a header"],
)
def test_a_model_whose_header_lies_about_its_length_is_refused(tmp_path, length):
    path = tmp_path / "model.safetensors"
    save_model(path, small_model())
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    assert "expected a whole model file" in fault_of(load_model, path)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "[" * 100_000},
        {"model": "[]"},
        {"model": "null", "head": "[]"},
        {"head": '{"kind": "os.system", "classes": ["a"], "multi_label": true}'},
        {"head": '{"kind": "linear", "classes": 7, "multi_label": true}'},
        {"head": '{"kind": ["linear"], "classes": ["a"], "multi_label": true}'},
    ],
    ids=range(6),
)
def test_a_header_of_another_kind_is_one_line(tmp_path, change):
    path = tmp_path / "model.safetensors"
    save_model(path, small_model())
    with safe_open(path, "pt") as stream:
        header = stream.metadata()
    save_file(load_file(path), path, metadata={**header, **change})
    fault_of(load_model, path)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300, 1])
def test_weights_that_are_no_finite_numbers_are_refused(tmp_path, value):
    path = tmp_path / "model.safetensors"
    save_model(path, small_model())
    with safe_open(path, "pt") as stream:
        header = stream.metadata()
    tensors = load_file(path)
    name = "projection.bias"
    tensors[name] = torch.full(tensors[name].shape, value, dtype=torch.int32 if value == 1 else torch.float64)
    save_file(tensors, path, metadata=header)
    assert f"expected finite numbers as {name}, got others" in fault_of(load_model, path)


STATE = {
    "step": 1,
    "seconds": 1.0,
    "model": {},
    "optimizer": {},
    "losses": [],
    "history": [],
    "best": {},
    "best_weights": {},
}


@pytest.mark.parametrize("change", [{"step": "1"}, {"history": 5}, {"model": None}, {"seconds": "x"}, "gone"])
def test_a_training_state_of_other_kinds_is_one_line(tmp_path, change):
    state = (
        {name: value for name, value in STATE.items() if name != "best"} if change == "gone" else {**STATE, **change}
    )
    save_training(tmp_path, state)
    assert "expected a training state, got a damaged file" in fault_of(load_training, tmp_path)
    save_training(tmp_path, STATE)
    assert load_training(tmp_path) == STATE


def test_a_training_state_whose_parts_are_packed_is_not_unpacked(tmp_path):
    save_training(tmp_path, {**STATE, "losses": [0.0] * 1000})
    path = tmp_path / "training.pt"
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert "its parts are packed" in fault_of(load_training, tmp_path)


def test_small_files_are_read_up_to_a_size_and_only_where_they_are_files(tmp_path):
    path = tmp_path / "trial.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="too large"):
        read_plain(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="no plain file"):
        read_plain(path)
    path.unlink()
    path.write_text("[" * 200_000)
    with pytest.raises(ValueError, match="without end"):
        read_json(path)


def test_a_number_without_end_in_a_file_is_no_number(tmp_path):
    """Python's whole numbers have no end, and reckoning with such a one as with a float raises OverflowError."""
    folder = small_search(tmp_path / "results")
    before = len(Ledger(folder).trials)
    for name in ("trial.json", "result.json"):
        path = folder / "trials/0001_m1s1k1" / name
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "step": 10**400, "seconds": 10**400}))
    assert len(Ledger(folder).trials) == before - 1
    assert "a number of 401 digits" in fault_of(read_result, path.parent)
    assert listed(tmp_path / "results")[0][1] == "finished"


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_beyond_the_calendar_is_none(tmp_path, when):
    folder = small_search(tmp_path / "results")
    (folder / "DONE").write_text(when)
    assert gather(folder).finished is None


def test_an_enormous_mark_of_a_finished_run_is_not_read(tmp_path):
    folder = tmp_path / "m1s1k1_step6"
    folder.mkdir()
    (folder / "DONE").write_text("ab" * 32)
    assert kept_folder(tmp_path, "m1s1k1", 6, "ab" * 32) == folder
    with (folder / "DONE").open("wb") as file:
        file.truncate(1 << 40)
    assert kept_folder(tmp_path, "m1s1k1", 6, "ab" * 32) is None


def test_searches_with_names_that_a_terminal_would_obey_are_listed_in_words(tmp_path):
    folder = small_search(tmp_path / "results")
    folder.rename(folder.with_name("a\x1b[2J\nb\u202e"))
    assert listed(tmp_path / "results")[0][0] == r"a\x1b[2J b\u202e"


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"x" * 100])
def test_a_trial_whose_mark_is_damaged_is_begun_anew(tmp_path, mark):
    run, place = tiny_run(), tmp_path / "run_hash"
    (tmp_path / "training.pt").write_bytes(b"of another")
    place.write_bytes(mark)
    clear_of_others(tmp_path, run)
    assert place.read_text().strip() == run_hash(run) and not (tmp_path / "training.pt").exists()


def test_a_damaged_note_of_why_a_trial_failed_keeps_nobody_from_trying(tmp_path):
    for content in (b"{", b"\xff", b"[]", b"{}"):
        (tmp_path / "failed.json").write_bytes(content)
        refuse_failed(tmp_path)
    (tmp_path / "failed.json").write_text(json.dumps({"reason": "a loss"}))
    assert "a loss" in fault_of(refuse_failed, tmp_path)


def test_a_search_of_enormous_files_is_read_without_them(tmp_path):
    folder = small_search(tmp_path / "results", portrait=fake_portrait())
    before = len(Ledger(folder).trials)
    (run,) = finished_runs(tmp_path / "results")
    for path in (
        folder / "trials/0001_m1s1k1/trial.json",
        folder / "leaderboard.csv",
        run / "metrics.json",
        run / "record.npz",
    ):
        with path.open("wb") as file:
            file.truncate(1 << 40)
    assert len(Ledger(folder).trials) == before - 1
    assert "the leaderboard cannot be read" in gather(folder).why["standings"]
    for read in (read_portrait, lambda path: read_card(path.parent)):
        fault_of(read, run / "record.npz")
    fault_of(read_leaderboard, folder / "leaderboard.csv")


@pytest.mark.parametrize(
    "statement",
    [
        "create table other(a); drop table studies",
        "update alembic_version set version_num = 'v99.z'",
        "update study_directions set direction = 'MINIMIZE'",
    ],
)
def test_a_study_of_another_kind_is_put_aside(tmp_path, statement):
    Study(tmp_path, "random", METRIC, 0)
    with sqlite3.connect(tmp_path / "study.db") as file:
        file.executescript(statement)
    file.close()
    assert not Study(tmp_path, "random", METRIC, 0)._trials()
    assert (tmp_path / "study.db.damaged").is_file()


# Names are shown, never obeyed

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
MARKUP = "[/bold]\x1b[2J[link=http://x]y"


def card_of(name, classes):
    value = {"value": 0.5, "interval": [0.4, 0.6]}
    figures = dict.fromkeys(("r", "r2", "rmse", "snr", "sd_ratio", "slope"), value)
    twelve = {
        **{
            "records": 1,
            "scored": ["I"],
            "rivals": {name: figures},
            "beats": 1,
            "left_out": 0,
            "fallback": 0,
            "coverage": 1.0,
        },
        **{"residual_share": 0.1},
    }
    return {
        **{"runid": name, "data": name, "own_data": False, "split": "val", "records": 1, "source": None},
        "rejected": {"count": 1, "most": name, "repaired": 0},
        "reconstruction": {"I, II, V2": twelve, "all twelve": twelve},
        "state": {"rank": 1, "size": 1, "records": 1},
        "probe": {
            **{"kind": "linear", "penalty": name, "auroc": 0.5, "interval": [0.4, 0.6], "accuracy": 0.5},
            **{"per_class": dict.fromkeys(classes, 0.5), "records": 1, "unlabelled": 0},
        },
    }


def test_a_card_prints_names_as_they_are(tmp_path):
    said = io.StringIO()
    print_card(card_of(MARKUP, (MARKUP, "[red]MI")), Console(file=said, width=400, markup=False, emoji=False))
    assert "[/bold]" in said.getvalue() and "[red]MI" in said.getvalue() and "\x1b" not in said.getvalue()


@pytest.mark.parametrize("part", ["split", "state", "reconstruction", "probe", "rejected"])
@pytest.mark.parametrize("value", [None, 7, "x", [1], {"a": {}}])
def test_an_altered_card_is_one_line_or_shown(part, value):
    card = card_of("m1s1k1", ("MI",)) | {part: value}
    try:
        print_card(card, Console(file=io.StringIO(), width=200))
    except UserError as fault:
        assert "evaluation card: expected" in str(fault)


def test_the_page_escapes_what_strangers_named(tmp_path):
    """Beside the names that the report's own tests plant: classes, rivals, the data folder, verdicts, versions."""
    folder = small_search(tmp_path / "results", portrait=fake_portrait(id=EVIL))
    (run,) = finished_runs(tmp_path / "results")
    card = json.loads((run / "metrics.json").read_text())
    card["probe"] = card_of(EVIL, (EVIL, "b"))["probe"]
    card["rejected"]["most"] = card["data"] = EVIL
    for entry in card["reconstruction"].values():
        if "rivals" in entry:
            entry["rivals"][EVIL] = next(iter(entry["rivals"].values()))
        entry["reason"] = EVIL
    (run / "metrics.json").write_text(json.dumps(card))
    (run / "run_info.json").write_text(
        json.dumps(dict.fromkeys(("ecggen", "python", "machine", "device", "threads"), EVIL))
    )
    order = read_order(folder)
    write_order(
        folder, order_of(base=order.base, data=EVIL, code={EVIL: EVIL, "torch": EVIL}, space=EVIL, algorithm=EVIL)
    )
    board = (folder / "leaderboard.csv").read_text().replace("tie", EVIL).replace("wins", EVIL)
    (folder / "leaderboard.csv").write_text(board)
    text = write_report(folder).read_text(encoding="utf-8")
    assert "alert(1)" in text and "<script>alert" not in text and "<img" not in text
    assert text.count("</script>") == text.count("<script")


def test_the_notebook_leaves_escaping_to_pandas():
    cells = json.loads((REPO / "results" / "analysis.ipynb").read_text())["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for word in ("HTML(", "Markdown(", "escape=False", "IPython", "Javascript", "read_pickle", "allow_pickle"):
        assert word not in text
