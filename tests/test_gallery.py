"""Which record, which leads, which file: what a user's words are taken to mean."""

import pytest

from ecggen.gallery import Choice, file_name, find_record, visible_leads
from ecggen.leads import LEADS
from tests.user_fault import fault_of


@pytest.mark.parametrize(
    ("asked", "leads"),
    [("I,II,V2", ["I", "II", "V2"]), ("v2 AVR;lead i", None), ("avl, AVR,aVr", ["aVR", "aVL"]), ("MLII", ["II"])],
)
def test_leads_are_read_in_any_case_and_order_and_given_in_the_standard_one(asked, leads):
    if leads is None:
        assert "'lead'" in fault_of(visible_leads, asked, LEADS)
    else:
        assert visible_leads(asked, LEADS) == (leads, [])


def test_the_default_is_the_choosing_set_else_all_that_the_record_has_and_it_is_said():
    assert visible_leads(None, LEADS) == (["I", "II", "V2"], [])
    leads, (line,) = visible_leads(None, ["II", "V5"])
    assert leads == ["II", "V5"] and "this record has II, V5 only" in line


def test_absent_leads_are_not_shown_and_it_is_said_and_none_at_all_is_a_fault():
    leads, (line,) = visible_leads("II,V2", ["II", "V5"])
    assert leads == ["II"] and line.endswith("V2")
    assert "this record has II, V5 only" in fault_of(visible_leads, "V2,V3", ["II", "V5"])


def test_a_record_is_found_by_place_or_id_and_the_nearest_ids_are_named():
    ids = ["a/100", "a/101", "b/200"]
    assert find_record(ids, Choice(), "here") == 0
    assert find_record(ids, Choice(index=2), "here") == 2
    assert find_record(ids, Choice(record="a/101"), "here") == 1
    assert "such as a/10" in fault_of(find_record, ids, Choice(record="a/102"), "here")
    assert "such as a/100, a/101, b/200" in fault_of(find_record, ids, Choice(record="?"), "here")
    assert "expected 0 to 2, the records of here, got 3" in fault_of(find_record, ids, Choice(index=3), "here")
    assert "expected records, got none" in fault_of(find_record, [], Choice(), "here")


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ("100@20", "100_20"),
        ("files/p10/../../etc/passwd", "files_p10_.._.._etc_passwd"),
        ("../x", "x"),
        ("a b:c*?", "a_b_c"),
        ("心", "record"),
        ("x" * 300, "x" * 80),
    ],
)
def test_any_id_becomes_a_file_s_name_in_the_folder(record, name):
    assert file_name(record) == name
