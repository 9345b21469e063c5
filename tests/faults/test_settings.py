"""Settings, spaces, run ids and `--set` of strangers: settings or one line with exit code 2, and never code."""

import copy
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import main as entry
import run_search
from ecggen.config import RunConfig
from ecggen.configfile import apply_overrides, from_dict, load_run_config
from ecggen.errors import UserError
from ecggen.runid import parse_runid, read_codes
from ecggen.stepfolder import find_run
from ecggen.strictyaml import parse_yaml, read_yaml
from search.order import read_order
from search.space import load_space, parse_space
from tests.conftest import REPO
from tests.fake_search import BASE, TABLE, small_search
from tests.user_fault import fault_of

V1 = REPO / "configs" / "train" / "v1.yaml"
SPACES = sorted((REPO / "configs" / "spaces").glob("*.yaml"))
DRAWN = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}

# Each would do harm, or take for ever, where a loader is not strict.
TAGS = (
    "!!python/object/apply:os.mkdir [{mark}]",
    "!!python/object/new:os.mkdir [{mark}]",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object:ecggen.config.RunConfig {{}}",
    "!!python/object/apply:subprocess.Popen [[mkdir, {mark}]]",
    "!<tag:yaml.org,2002:python/object/apply:os.mkdir> [{mark}]",
    "!!binary aGVsbG8=",
    "!!set {{a}}",
    "!!omap [a: 1]",
    "!!timestamp 2001-01-01",
    "!mine x",
)
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghijklm", "bcdefghijklmn", strict=True)
)
BOMBS = {
    "a billion laughs": LAUGHS,
    "itself": "a: &a [*a]",
    "merged": "a: &a {x: 1}\nb: {<<: *a}",
    "deep flow": "[" * 50_000,
    "deep blocks": "".join("  " * depth + "a:\n" for depth in range(400)),
    "deep keys": "? " * 5000 + "a",
    "twice": "train: {steps: 1, steps: 2}",
    "twice above": "train: {}\ntrain: {}",
    "a huge number": "train: {steps: " + "9" * 400_000 + "}",
    "a huge exponent": "train: {lr: 1e999999999}",
    "sixties": "train: {lr: " + ":59" * 5000 + "}",
    "a list as a key": "? [a, b]\n: 1",
    "a null as a key": "~: 1",
    "two documents": "a: 1\n---\nb: 2",
    "not a number": "train: {lr: .nan}",
    "infinite": "train: {lr: .inf}",
    "a tab": "train:\n\tsteps: 1",
    "NUL": "train: {steps: 1}\0",
    "an escape": "train: {head: \x1b[2J}",
    "a very long word": "train: {head: " + "x" * 500_000 + "}",
    "very many keys": "".join(f"k{n}: 1\n" for n in range(5000)),
    "very many folds": "data: {val_folds: [" + "1, " * 20_000 + "1]}",
    "a directive": "%YAML 9.9\n---\na: 1",
    "a list": "- 1\n- 2",
    "a word": "hello",
}
BYTES = {
    "UTF-16": "train: {steps: 1}".encode("utf-16"),
    "Latin-1": b"about: caf\xe9",
    "surrogate": b"a: \xed\xa0\x80",
    "noise": bytes(range(256)) * 20,
}


def left_with(call, words):
    """The exit code, that of the option parser's own end included."""
    try:
        return call([str(word) for word in words])
    except SystemExit as end:
        return end.code


def refused(capsys, call, *words):
    """Exit code 2 and one printable line on stderr; nothing else. The line."""
    code = left_with(call, words)
    said = capsys.readouterr()
    assert code == 2, said
    assert said.err.count("\n") == 1 and said.err.startswith("error: ") and said.err[:-1].isprintable(), said.err[:500]
    assert "Traceback" not in said.err and len(said.err) < 1200
    return said.err


@pytest.fixture
def mark(tmp_path):
    path = tmp_path / "mark"
    yield path
    assert not path.exists(), "code of a settings file was run"


@pytest.mark.parametrize("tag", TAGS)
def test_tags_make_no_objects(tmp_path, mark, capsys, tag):
    text = tag.format(mark=mark)
    path = tmp_path / "a.yaml"
    for content in (text, f"train: {text}", f"train: {{lr: {text}}}", f"about: x\nspace: {{m: {text}}}"):
        path.write_text(content)
        refused(capsys, entry.main, "--config", path, "--dry-run", "--results", tmp_path / "out")
        refused(capsys, run_search.main, "--space", path, "--dry-run", "--results", tmp_path / "out")
    refused(capsys, entry.main, "--set", f"train.lr={text}", "--dry-run", "--results", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [*BOMBS, *BYTES])
def test_bombs_are_one_line(tmp_path, capsys, name):
    content = BYTES[name] if name in BYTES else BOMBS[name].encode()
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    refused(capsys, entry.main, "--config", path, "--dry-run", "--results", tmp_path)
    refused(capsys, run_search.main, "--space", path, "--dry-run", "--results", tmp_path)
    (tmp_path / "codes.yaml").write_bytes(content)
    code = entry.main(["--runid", "m1s1k1", "--dry-run", "--results", str(tmp_path)])  # its `codes` alone are read
    said = capsys.readouterr().err
    assert (code == 0 and not said) or (code == 2 and said.count("\n") == 1 and said[:-1].isprintable())


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs_in_a_value_of_the_command_line_are_one_line(tmp_path, capsys, name):
    refused(capsys, entry.main, "--set", f"train.lr={BOMBS[name]}", "--dry-run", "--results", tmp_path)


def test_files_that_are_no_files_are_one_line(tmp_path, capsys):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    with (tmp_path / "sparse.yaml").open("wb") as file:
        file.truncate(1 << 40)
    for name in ("folder", "loop", "sparse", "none"):
        refused(capsys, entry.main, "--config", tmp_path / f"{name}.yaml", "--dry-run", "--results", tmp_path)
        refused(capsys, run_search.main, "--space", tmp_path / f"{name}.yaml", "--dry-run", "--results", tmp_path)
    for device in ("/dev/zero", "/dev/null"):
        code = entry.main(["--config", device, "--dry-run", "--results", str(tmp_path)])
        assert code in (0, 2) and "Traceback" not in capsys.readouterr().err


IDS = (
    "", " ", "m", "m0s1k1", "m1s1k1 ", "m-1s1k1", "m1s1k1_step", "m1s1k1_step0", "../m1s1k1_step6", "m1s1k1_step6/..",
    "/etc/passwd", "m1s1k1_step600_zzzzzz", "m" + "9" * 5000 + "s1k1", "m\u0661s1k1", "best/..", "m1s1k1\0",
    "m1s1k1_step\n6", "\x1b[2J", "m999s1k1", "$(mkdir x)", "`id`", "m1s1k1;id", "--", "%s%n", "M1S1K1", "_step",
    "m1s1k1_step1_", "a" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("runid", IDS, ids=range(len(IDS)))
@pytest.mark.parametrize("mode", [(), ("--mode", "eval"), ("--dry-run",)], ids=["show", "eval", "dry"])
def test_run_ids_that_are_none_are_one_line(tmp_path, capsys, runid, mode):
    refused(capsys, entry.main, f"--runid={runid}", *mode, "--results", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@settings(max_examples=200, **DRAWN)
@given(st.one_of(st.text(max_size=30), st.from_regex(r"m[0-9]{0,12}s[0-9]{0,12}k[0-9]{0,12}(_step[0-9]{0,9})?")))
@example("m1s1k1\n")
def test_any_word_is_a_run_id_or_one_line(word):
    try:
        assert str(parse_runid(word)) == word
    except UserError as fault:
        assert str(fault).isprintable()
    with pytest.raises(UserError):
        find_run(Path("/nowhere"), word)


SETS = (
    "", "=", "train.lr", "train.lr=", "=1", "train.lr==1", "train.lr=a=b", "train..lr=1", ".=1", "..=1", "train=1",
    "train.lr.x=1", "__class__=1", "train.__class__=1", "train.__init__.__globals__=1", "model.vcg.basis_k=1e3",
    "train.lr=\0", "\0=1", "train.lr=True", "train.steps=1.0", "train.steps=1_0", "train.steps=0o17",
    "train.steps=0x10000000000", "train.lr=1:30", "data.root=\n", "data.val_folds=[[1]]", "data.val_folds={1: 2}",
    "data.val_folds=9", "train.head=[linear]", "x" * 100_000 + "=1", "train.lr=" + "[" * 100_000,
    "train.lr={a: &b 1, c: *b}", "train.steps=" + "9" * 5000, "train.seed=-1", "data.source=__import__('os')",
)  # fmt: skip


@pytest.mark.parametrize("word", SETS, ids=range(len(SETS)))
def test_settings_of_the_command_line_are_taken_or_one_line(tmp_path, capsys, word):
    code = left_with(entry.main, [f"--set={word}", "--dry-run", "--results", tmp_path / "out"])
    said = capsys.readouterr()
    harmless = (
        "train.steps=1_0",
        "train.steps=0o17",
        "train.steps=0x10000000000",
        "train.lr=1:30",
        "data.root=\n",
        "train.lr=",
    )
    assert code == 2 or word in harmless, word[:80]
    if code:
        assert said.err.count("\n") == 1 and said.err[:-1].isprintable() and len(said.err) < 1200
    assert not (tmp_path / "out").exists()


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from([10**400, -1, 0, 1, "1", "", "m", "null"]),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def altered(draw, whole):
    """Sound data with one to three places changed for anything, removed, or joined by something unknown."""
    data = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        block = data
        while True:
            keys = list(block) if isinstance(block, dict) else list(range(len(block)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(block[key], dict | list) and block[key] and draw(st.integers(0, 3)):
                block = block[key]
                continue
            change = draw(st.integers(0, 3))
            if change == 0 and isinstance(block, dict):
                del block[key]
            elif change == 1 and isinstance(block, dict):
                block[
                    draw(
                        st.one_of(
                            st.text(max_size=8), st.integers(-3, 3), st.sampled_from(["when", "step", "m", "train.lr"])
                        )
                    )
                ] = draw(DATA)
            else:
                block[key] = draw(DATA)
            break
    return data


def either(call, *args):
    """A value, or one printable line."""
    try:
        return call(*args)
    except UserError as fault:
        assert str(fault).isprintable() and 0 < len(str(fault)) <= 1000
        return None


def check_settings(blocks):
    either(
        from_dict,
        {name: block for name, block in blocks.items() if name != "codes"} if isinstance(blocks, dict) else blocks,
    )


def check_space(content):
    space = either(parse_space, "mine", content, TABLE, BASE, "mine.yaml")
    if space is not None:
        either(lambda: [space.run(point, BASE, TABLE) for point in space.grid(BASE, TABLE)[:3]])


@settings(max_examples=150, **DRAWN)
@given(altered(yaml.safe_load(V1.read_text())))
def test_any_change_of_the_settings_is_taken_or_one_line(blocks):
    check_settings(blocks)


@settings(max_examples=150, **DRAWN)
@given(st.one_of(*[altered(read_yaml(path)) for path in SPACES]))
def test_any_change_of_a_space_is_taken_or_one_line(content):
    check_space(content)


@settings(max_examples=200, **DRAWN)
@given(st.one_of(st.text(max_size=60), st.text(alphabet="{}[]:-?&*!|>'\"%@`#, \n\tab01.~<", max_size=60)))
@example("%YAML 1.1\n%TAG ! !\n--- !x")
@example("\ufeff\ufeff")
@example("2001-99-99")
@example("- - - - - - - - - - - - - a")
@example("0b_")
@example("-0x_")
@example("1:_")
@example("+.e1")
def test_any_text_is_plain_data_or_one_line(text):
    value = either(parse_yaml, text, "a.yaml")
    assert isinstance(value, str | int | float | bool | list | dict | None) or hasattr(value, "isoformat")


@settings(max_examples=100, **DRAWN)
@given(st.text(max_size=30), st.text(alphabet="{}[]:-?&*!|>'\"%@`#, \n\tab01.~<", max_size=20))
def test_any_word_after_set_is_taken_or_one_line(path, text):
    either(apply_overrides, RunConfig(), [f"{path}={text}"])
    either(apply_overrides, RunConfig(), [f"train.lr={text}"])


def write_dumped(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "codes.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


@settings(max_examples=60, **DRAWN)
@given(altered({"codes": yaml.safe_load(V1.read_text())["codes"]}))
def test_any_change_of_the_run_id_table_is_taken_or_one_line(tmp_path_factory, data):
    path = write_dumped(tmp_path_factory, data)
    either(read_codes, V1, path.parent)
    either(read_codes, path)


def test_an_altered_order_of_a_search_is_taken_or_one_line(tmp_path):
    folder = small_search(tmp_path / "results")
    whole = yaml.safe_load((folder / "search.yaml").read_text())

    @settings(max_examples=60, **DRAWN)
    @given(altered(whole))
    def altered_order(data):
        (folder / "search.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        either(read_order, folder)

    altered_order()


@pytest.mark.slow
@settings(max_examples=3000, **DRAWN)
@given(st.data())
def test_very_many_changes_are_taken_or_one_line(data):
    check_settings(data.draw(altered(yaml.safe_load(V1.read_text()))))
    check_space(data.draw(altered(read_yaml(data.draw(st.sampled_from(SPACES))))))
    either(parse_yaml, data.draw(st.text(alphabet="{}[]:-?&*!|>'\"%@`#, \n\tab01.~<e+_", max_size=80)), "a.yaml")


def test_names_of_searches_and_spaces_lead_nowhere(tmp_path, capsys):
    for name in ("../x", "a/../../x", "/etc", ".", "..", "", "x" * 1000, "a\0b", "\x1b[2J", "-x"):
        for option in ("--resume", "--rebuild"):
            refused(capsys, run_search.main, f"{option}={name}", "--results", tmp_path / "out")
        refused(
            capsys,
            run_search.main,
            "--space",
            "ttt_mode",
            f"--name={name or '..'}",
            "--dry-run",
            "--results",
            tmp_path / "out",
        )
        refused(capsys, run_search.main, f"--space={name or '..'}", "--dry-run", "--results", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.iterdir())


def test_a_file_may_be_read_as_settings_and_not_as_anything_else(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("train: {steps: 5}\n")
    before = set(sys.modules)
    assert load_run_config(path).train.steps == 5
    assert not {name for name in set(sys.modules) - before if name.split(".")[0] in ("subprocess", "ray")}
    assert "nearest" not in fault_of(load_space, str(tmp_path / "none.yaml"), TABLE, BASE, tmp_path)
