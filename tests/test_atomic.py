"""Whole files: what a fault leaves of them, and what is said."""

import errno

import pytest

from ecggen.atomic import remove_leftovers, target_of, whole_file, write_text
from ecggen.errors import OutOfReach


@pytest.mark.parametrize(
    ("name", "target"),
    [
        (".codes.yaml.123", "codes.yaml"),
        ("..hash.7", ".hash"),
        (".hash", ""),
        ("notes.123", ""),
        (".notes.123a", ""),
    ],
)
def test_a_temporary_file_is_known_by_its_name(tmp_path, name, target):
    assert target_of(tmp_path / name) == target


def test_leftovers_go_and_nothing_else(tmp_path):
    (tmp_path / "below").mkdir()
    kept = {"table.csv", ".lock", ".hash", ".other.csv.5", "below", "below/.table.csv.9"}
    for name in (*kept - {"below"}, ".table.csv.5", ".table.csv.66"):
        (tmp_path / name).touch()

    def there():
        return {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}

    remove_leftovers(tmp_path, "table.csv")
    assert there() == kept
    remove_leftovers(tmp_path, below=True)
    assert there() == kept - {".other.csv.5", "below/.table.csv.9"}


@pytest.mark.parametrize(("number", "remedy"), [(errno.ENOSPC, "free space"), (errno.EROFS, "make it writable")])
def test_a_disk_that_cannot_be_written_is_one_line_and_the_old_file_stays(tmp_path, number, remedy):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(OutOfReach, match=f"file: expected to write it, got: .*; {remedy}"), whole_file(path) as new:
        new.write_text("half")
        raise OSError(number, "no")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
