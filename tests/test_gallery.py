"""Which record, which leads, which file: what a user's words are taken to mean, and what is said of what was seen."""

from dataclasses import replace

import numpy as np
import pytest

from ecggen.atomic import write_json, write_text
from ecggen.card import METRICS_FILE, PARTS
from ecggen.checkpoint import MODEL_FILE, save_model
from ecggen.configfile import apply_settings, dump_yaml
from ecggen.gallery import Choice, draw_judged, file_name, find_record, summary, visible_leads
from ecggen.leads import LEADS
from ecggen.models.ecggen import ECGGenModel
from ecggen.portrait import read_portrait
from ecggen.stepfolder import DONE
from tests.portraits import examination_of
from tests.tiny import tiny_run
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


@pytest.fixture
def older(tmp_path):
    """The folder of a run of a version that kept no portrait, and its settings."""
    run = tiny_run(data__simulator__records=20, eval__split="all")
    save_model(tmp_path / MODEL_FILE, ECGGenModel(run.model))
    write_text(tmp_path / "config.yaml", dump_yaml(run))
    write_text(tmp_path / DONE, "")
    write_json(tmp_path / METRICS_FILE, {**dict.fromkeys(PARTS), "source": {"map": (2 * np.eye(3)).tolist()}})
    return tmp_path, run


@pytest.mark.parametrize(("before", "said"), [(None, "was missing"), (b"PK cut off", "was damaged")])
def test_plot_makes_the_portrait_that_a_run_has_not(older, before, said):
    folder, run = older
    if before is not None:
        (folder / "record.npz").write_bytes(before)
    assert "make it with main.py --mode plot, on the run's own data" in fault_of(read_portrait, folder / "record.npz")
    _, lines = draw_judged(folder, run, Choice(index=3))
    assert f"record.npz {said}: made, with record.png, for figures and the report page" in lines
    made = read_portrait(folder / "record.npz")
    assert made.id == "sim0_000000" and made.source_map.tolist() == (2 * np.eye(3)).tolist()
    assert (folder / "record.png").read_bytes().startswith(b"\x89PNG")
    there = (folder / "record.npz").stat().st_mtime_ns
    assert "record.npz" not in " ".join(draw_judged(folder, run, Choice())[1])
    assert (folder / "record.npz").stat().st_mtime_ns == there


def test_figures_are_drawn_where_the_portrait_cannot_be_kept(older):
    folder, run = older
    (folder / "record.npz").mkdir()  # in the way
    paths, lines = draw_judged(folder, run, Choice())
    assert paths and all(path.is_file() for path in paths)
    assert any("record.npz was missing and still is" in line and "expected to write it" in line for line in lines)


def test_plot_makes_no_portrait_of_other_data_than_the_run_s_and_says_so(older):
    folder, run = older
    other = apply_settings(run, {"data.simulator.seed": 7})
    _, lines = draw_judged(folder, other, Choice())
    assert any("record.npz was missing and still is" in line and "own data" in line for line in lines)
    assert not (folder / "record.npz").exists()


def test_a_second_channel_of_a_lead_is_said_to_be_one_and_not_to_be_of_no_lead():
    seen = examination_of(leads=("II", "V1", "ii", "resp"), raw=np.tile(examination_of().raw, (2, 1)))
    line = summary(seen, 0)[1]
    assert line.startswith("leads: II, V1; not standard, not used: resp; second II, not used: ii; never recorded: ")


def test_a_record_that_fills_no_whole_windows_is_said_to_be_used_in_part():
    assert "used: its one window, 0-10 s of 15 s" in summary(examination_of(total=15.0), 0)
    assert "used: its one window" in summary(examination_of(), 0)
    one = examination_of().pieces[0]
    left_out = replace(one, reason="amplitude: 30 mV", start=10.0, end=20.0)
    assert "1 of 2 windows left out: amplitude: 30 mV; the last 5 s fill no window" in summary(
        examination_of(total=25.0, pieces=(one, left_out)), 0
    )


def test_one_is_singular():
    piece = replace(examination_of().pieces[0], peaks=np.array([5.0]), beats=np.array([[4.5, 5.5]]))
    assert "beats: 1 R peak in 10 s used, 6 a minute; 1 beat cut" in summary(examination_of(pieces=(piece,)), 0)
