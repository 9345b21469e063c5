"""Whole files: what a fault leaves of them, and what is said."""

import errno

import pytest

from ecggen.atomic import UNFINISHED, remove_leftovers, target_of, whole_file, write_text
from ecggen.errors import OutOfReach


@pytest.mark.parametrize(
    ("name", "target"),
    [
        (f".codes.yaml.123{UNFINISHED}", "codes.yaml"),
        (f"..hash.7{UNFINISHED}", ".hash"),
        (".hash", ""),
        (".notes.123", ""),  # somebody's own
        (".notes.2026.bak", ""),
        (f"notes.123{UNFINISHED}", ""),
        (f".notes.123a{UNFINISHED}", ""),
        (f".notes{UNFINISHED}", ""),
        (f".notes.123{UNFINISHED}~", ""),
    ],
)
def test_a_temporary_file_is_known_by_its_name(tmp_path, name, target):
    assert target_of(tmp_path / name) == target


def test_leftovers_go_and_nothing_else(tmp_path):
    (tmp_path / "below").mkdir()
    others = {f".other.csv.5{UNFINISHED}", f"below/.table.csv.9{UNFINISHED}"}
    kept = {"table.csv", ".lock", ".hash", ".table.csv.5", ".name.123", "below", "below/.name.123", *others}
    for name in (*kept - {"below"}, f".table.csv.5{UNFINISHED}", f".table.csv.66{UNFINISHED}"):
        (tmp_path / name).touch()

    def there():
        return {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}

    remove_leftovers(tmp_path, "table.csv")
    assert there() == kept
    remove_leftovers(tmp_path, below=True)
    assert there() == kept - others


def test_what_is_being_written_is_known_by_its_name(tmp_path):
    with whole_file(tmp_path / "table.csv") as temporary:
        temporary.write_text("half")
        assert target_of(temporary) == "table.csv"
        remove_leftovers(tmp_path)  # as if its process had been killed here
        assert not list(tmp_path.iterdir())
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize(("number", "remedy"), [(errno.ENOSPC, "free space"), (errno.EROFS, "make it writable")])
def test_a_disk_that_cannot_be_written_is_one_line_and_the_old_file_stays(tmp_path, number, remedy):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(OutOfReach, match=f"file: expected to write it, got: .*; {remedy}"), whole_file(path) as new:
        new.write_text("half")
        raise OSError(number, "no")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
