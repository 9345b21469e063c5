"""What a search was asked for: kept, read again, and held against what is there now."""

import dataclasses
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import ecggen
from ecggen.configfile import apply_settings
from ecggen.strictyaml import read_yaml
from search.order import SHOWING, alike, code_digests, read_order, refuse_changes, write_order
from tests.fake_search import BASE, REPO, order_of
from tests.user_fault import fault_of


def changed(order, **now):
    """The fault of carrying a search on with something else than it was begun with."""
    given = {"space": order.content, "data": order.data, "code": order.code, **now}
    return fault_of(refuse_changes, order, given["space"], given["data"], given["code"])


def test_an_order_comes_back_as_it_was(tmp_path):
    order = order_of(
        base=apply_settings(BASE, {"data.source": "wfdb", "data.root": "/records/of a ward: 1", "train.lr": 2e-5}),
        warm_start=("an-old-one", "another"),
        asha=False,
        code=code_digests(),
        space_file="/räume von käthe/mine.yaml",
    )
    write_order(tmp_path / "a" / "now", order)
    assert read_order(tmp_path / "a" / "now") == order
    assert read_yaml(tmp_path / "a" / "now" / "space.yaml") == order.content
    assert "content" not in read_yaml(tmp_path / "a" / "now" / "search.yaml")


def test_an_order_that_is_written_again_replaces_the_first(tmp_path):
    order = order_of()
    write_order(tmp_path, order)
    write_order(tmp_path, dataclasses.replace(order, trials=17))
    again = read_order(tmp_path)
    assert again.trials == 17 and again == dataclasses.replace(order, trials=17)


@pytest.mark.parametrize("text", ["4839201e4432", "12e5", "1e3", "0123456789", "0x12", "1_000", "null", "on", "1:30"])
def test_words_that_look_like_numbers_stay_words(tmp_path, text):
    """Digests have hexadecimal digits: one in some hundred is a number to a reader of YAML."""
    order = order_of(name=text, data=text, code={"ecggen/a.py": text}, warm_start=(text,))
    write_order(tmp_path, order)
    again = read_order(tmp_path)
    assert (again.name, again.data, again.warm_start) == (text, text, (text,))
    refuse_changes(again, order.content, order.data, order.code)


def test_any_digest_comes_back(tmp_path):
    rng = random.Random(0)
    code = {f"ecggen/{at}.py": "".join(rng.choices("0123456789e", k=12)) for at in range(2000)}
    write_order(tmp_path, order_of(code=code))
    assert read_order(tmp_path).code == code


def test_the_code_that_counts_is_the_package_and_torch():
    code = code_digests()
    root = Path(ecggen.__file__).parent
    assert {"ecggen/train.py", "ecggen/models/ttt.py", "ecggen/data/simulator.py", "torch"} <= set(code)
    assert not [file for file in code if set(file.split("/")) & set(SHOWING)]
    showing = [file for file in root.rglob("*.py") if {file.name, file.parent.name} & set(SHOWING)]
    assert len(code) == 1 + len(list(root.rglob("*.py"))) - len(showing)
    assert code == code_digests()


def test_one_changed_letter_changes_one_digest(tmp_path):
    for package in ("ecggen", "search"):
        shutil.copytree(REPO / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    tell = "import json, search.order; print(json.dumps(search.order.code_digests()))"

    def digests():
        done = subprocess.run([sys.executable, "-c", tell], cwd=tmp_path, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    before = digests()
    with (tmp_path / "ecggen" / "models" / "ttt.py").open("a") as file:
        file.write("\n")
    (tmp_path / "search" / "screen.py").write_text("changed = True\n")  # how a search is shown is not what it finds
    after = digests()
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == ["ecggen/models/ttt.py"]


# What must not change


def test_what_did_not_change_passes():
    order = order_of()
    refuse_changes(order, order.content, order.data, order.code)
    refuse_changes(order, None, order.data, dict(order.code))  # the space's own file is gone, its copy is not


def test_a_changed_space_names_the_entry():
    order = order_of()
    entries = order.content["space"]
    other = {**order.content, "space": {**entries, "train.lr": {"choice": [0.001, 0.003]}}}
    message = changed(order, space=other)
    assert "the space (space.train.lr.choice)" in message
    assert order.name in message and "data" not in message and "code" not in message.split("--resume")[0]
    assert "(space.m, space.train.clip)" in changed(
        order, space={**order.content, "space": {"train.lr": entries["train.lr"], "m": [1]}}
    )
    assert "(about)" in changed(order, space={**order.content, "about": "another question"})


def test_changed_data_are_named():
    message = changed(order_of(), data="sim-2")
    assert "changed: the data" in message and "the space (" not in message and "the code (" not in message


def test_a_changed_file_is_named():
    order = order_of()
    assert "changed: the code (ecggen/b.py);" in changed(order, code={**order.code, "ecggen/b.py": "3"})
    assert "changed: the code (ecggen/c.py);" in changed(order, code={**order.code, "ecggen/c.py": "3"})
    gone = {name: digest for name, digest in order.code.items() if name != "ecggen/a.py"}
    assert "changed: the code (ecggen/a.py);" in changed(order, code=gone)


def test_another_torch_is_named():
    order = order_of()
    assert "changed: the code (torch);" in changed(order, code={**order.code, "torch": "2.14"})


def test_everything_that_changed_is_named_and_a_long_list_is_cut():
    order = order_of(code={f"ecggen/{letter}.py": "1" for letter in "abcdefg"})
    message = changed(order, space={}, data="sim-2", code=dict.fromkeys(order.code, "2"))
    assert "the space (about, space)" in message and "the data" in message
    assert "the code (ecggen/a.py, ecggen/b.py, ecggen/c.py, ecggen/d.py, ...)" in message
    assert "begin a new search" in message


# Damage


def test_a_folder_without_a_search_is_one_line(tmp_path):
    assert str(tmp_path / "gone") in fault_of(read_order, tmp_path / "gone")


@pytest.mark.parametrize(
    "changes",
    [
        {"trials": "many"},
        {"trials": None},
        {"finalists": "two"},
        {"seeds": None},
        {"steps": 1, "grace": 2.5},
        {"metric": 5},
        {"asha": "yes"},
        {"code": ["a"]},
        {"warm_start": 5},
        {"base": 7},
        {"base": {"train": {"lrr": 1}}},
        {"config": 5},
    ],
)
def test_a_damaged_order_is_one_line(tmp_path, changes):
    write_order(tmp_path, order_of())
    content = read_yaml(tmp_path / "search.yaml") | changes
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(content))
    fault_of(read_order, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "name: x\n", "\x00", "a: b: c"])
def test_no_order_at_all_is_one_line(tmp_path, text):
    write_order(tmp_path, order_of())
    (tmp_path / "search.yaml").write_text(text)
    fault_of(read_order, tmp_path)


def test_an_order_without_its_space_is_one_line(tmp_path):
    write_order(tmp_path, order_of())
    (tmp_path / "space.yaml").unlink()
    assert "space.yaml" in fault_of(read_order, tmp_path)
    for name in ("base", "trials", "algorithm"):
        write_order(tmp_path, order_of())
        content = read_yaml(tmp_path / "search.yaml")
        del content[name]
        (tmp_path / "search.yaml").write_text(yaml.safe_dump(content))
        assert name in fault_of(read_order, tmp_path)


def test_an_order_of_a_newer_version_is_read(tmp_path):
    order = order_of()
    write_order(tmp_path, order)
    with (tmp_path / "search.yaml").open("a") as file:
        file.write("colour: blue\n")
    assert read_order(tmp_path) == order


def test_only_searches_of_the_same_data_and_code_are_alike(tmp_path):
    kept = {"a": {}, "b": {"data": "other"}, "c": {"code": {"torch": "1"}}, "now": {}}
    for name, changes in kept.items():
        write_order(tmp_path / name, order_of(name=name, **changes))
    (tmp_path / "none").mkdir()
    assert alike(tmp_path / "now", order_of(name="now")) == [tmp_path / "a"]


def test_files_that_only_show_may_change_under_a_search():
    names = code_digests()
    assert "ecggen/train.py" in names and "ecggen/models/ttt.py" in names and "ecggen/plots.py" not in names
