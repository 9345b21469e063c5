import time

import pytest

from ecggen.errors import UserError
from ecggen.strictyaml import MAX_BYTES, parse_yaml, read_yaml, to_yaml


def refused(text):
    with pytest.raises(UserError) as fault:
        parse_yaml(text, "here")
    message = str(fault.value)
    assert message.startswith("here: ")
    assert "\n" not in message
    return message


def test_plain_data_is_read():
    assert parse_yaml("a: {b: [1, 2.5, x], c: null}\n1: true", "here") == {
        "a": {"b": [1, 2.5, "x"], "c": None},
        1: True,
    }
    assert parse_yaml("", "here") is None


@pytest.mark.parametrize(("text", "value"), [("2e-3", 0.002), ("-1E5", -1e5), ("1.5e+2", 150.0), (".5e1", 5.0)])
def test_exponents_are_numbers(text, value):
    assert parse_yaml(text, "here") == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: expected plain YAML, got 'a' twice in one block"),
        ("x: {k: 1, k: 1}", "'k' twice"),
        ("a: &anchor 1\nb: *anchor", "anchor or alias"),
        ("a: !!python/object/apply:os.system ['true']", "python/object"),
        ("a: !!python/name:os.system", "python/name"),
        ("[" * 50 + "]" * 50, "nested more than"),
        ("a: [1", "line "),
        ("a: 2024-13-45", "month"),
        ("? [a, b]\n: 1", "neither a word nor a whole number"),
        ("1.5: 1", "neither a word nor a whole number"),
        ("<<: {a: 1}\nb: 2", "line 1"),
        ("a: 1\n---\nb: 2", "line 2"),
        ("a: \x00", "here: "),
        ("9" * 5000, "digits"),
    ],
)
def test_anything_else_is_refused_in_one_line(text, says):
    assert says in refused(text)


def test_bombs_are_refused_at_once():
    start = time.perf_counter()
    laughs = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "anchor or alias" in refused(laughs)
    assert "nested" in refused("[" * 400_000)
    assert "nested" in refused("{a: " * 200_000)
    assert time.perf_counter() - start < 5.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"- 1\n- 2\n", "expected blocks"),
        (b"7: {a: 1}\n", "expected blocks"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"a: " + b"x" * MAX_BYTES, "at most"),
    ],
)
def test_files_that_are_no_settings(tmp_path, content, says):
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_yaml(file)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="directory"):
        read_yaml(tmp_path)


def test_an_empty_file_is_an_empty_block(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml") == {}


@pytest.mark.parametrize("word", ["4839201e4432", "1e3", "-.5E7", "0123456789", "1:30", "null", "on", "~", "", "ä: b"])
def test_a_word_that_looks_like_something_else_is_written_as_a_word(word):
    data = {"word": word, "list": [word, 2e-5, 1, True, None], "again": {"list": [word]}}
    assert parse_yaml(to_yaml(data), "here") == data


def test_equal_parts_are_written_out_and_not_as_aliases():
    part = [1, 2]
    assert parse_yaml(to_yaml({"a": part, "b": part}), "here") == {"a": [1, 2], "b": [1, 2]}
