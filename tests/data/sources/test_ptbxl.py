from collections import Counter

import pytest

from ecggen.config import PTBXL_TASKS
from ecggen.data.sources.contract import UnreadableError
from ecggen.data.sources.ptbxl import PTBXLSource
from ecggen.errors import UserError
from tests.data.layouts import hearts, write_ptbxl


@pytest.fixture
def root(tmp_path):
    return write_ptbxl(tmp_path, hearts(3, fs=100.0), fs=100.0)


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("superdiagnostic", [("NORM",), ("MI", "STTC"), None]),
        ("subdiagnostic", [("NORM",), ("AMI", "IMI", "STTC"), None]),
        ("all", [("NORM", "SR"), ("ASMI", "IMI", "NDT"), ("ABQRS", "SR")]),
        ("form", [None, ("NDT",), ("ABQRS",)]),
        ("rhythm", [("SR",), None, ("SR",)]),
    ],
)
def test_labels_follow_the_rule_of_the_benchmark_whatever_the_likelihood(root, task, labels):
    assert [entry.labels for entry in PTBXLSource(root, task).entries()] == labels


def test_index_gives_ids_patients_and_official_folds(root):
    entries = PTBXLSource(root).entries()
    assert [(entry.id, entry.patient, entry.fold) for entry in entries] == [
        ("1", "7000", 1),
        ("2", "7001", 9),
        ("3", "7002", 10),
    ]


def test_a_missing_signal_is_unreadable_and_named(root):
    source = PTBXLSource(root)
    (root / "records100/00000/00002_lr.dat").unlink()
    with pytest.raises(UnreadableError, match=r"00002_lr\.dat"):
        list(source.read(source.entries()[1]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "scp_statements.csv").unlink(), "scp_statements"),
        (lambda root: (root / "ptbxl_database.csv").unlink(), "ptbxl_database"),
        (lambda root: (root / "ptbxl_database.csv").write_text("ecg_id,patient_id\n1,2\n"), "scp_codes"),
        (lambda root: (root / "ptbxl_database.csv").write_bytes(b"\xff\xfe\x00\x81"), "CSV"),
        (
            lambda root: (root / "ptbxl_database.csv").write_text(
                "ecg_id,patient_id,scp_codes,strat_fold,filename_lr\n1,2,__import__('os'),1,a\n"
            ),
            "expected a dict",
        ),
        (
            lambda root: (root / "ptbxl_database.csv").write_text(
                "ecg_id,patient_id,scp_codes,strat_fold,filename_lr\n1,2,{},first,a\n"
            ),
            "expected numbers",
        ),
    ],
)
def test_a_damaged_index_is_one_line(root, damage, message):
    damage(root)
    with pytest.raises(UserError, match=message) as error:
        PTBXLSource(root).entries()
    assert "\n" not in str(error.value)


def test_unknown_task_and_rate_list_what_is_allowed(root):
    with pytest.raises(UserError, match="superdiagnostic"):
        PTBXLSource(root, task="super").entries()
    with pytest.raises(UserError, match="100 or 500"):
        PTBXLSource(root, rate=250).entries()


@pytest.mark.real_data
def test_nine_real_folds_hold_nine_tenths_of_the_published_classes(real_data):
    published = {"NORM": 9514, "MI": 5469, "STTC": 5235, "CD": 4898, "HYP": 2649}  # Wagner et al. 2020, ten folds
    entries = PTBXLSource(real_data / "ptbxl").entries()
    counts = Counter(label for entry in entries for label in entry.labels or ())
    assert counts.keys() == published.keys()
    for name, count in published.items():
        assert counts[name] == pytest.approx(0.9 * count, rel=0.01)
    assert {entry.fold for entry in entries} == set(range(1, 10))
    folds_of = {}
    for entry in entries:
        folds_of.setdefault(entry.patient, set()).add(entry.fold)
    assert all(len(folds) == 1 for folds in folds_of.values())


@pytest.mark.real_data
def test_the_number_of_classes_of_each_task_is_the_published_one(real_data):
    published = {"superdiagnostic": 5, "subdiagnostic": 23, "all": 71, "form": 19, "rhythm": 12}
    for task in PTBXL_TASKS:
        entries = PTBXLSource(real_data / "ptbxl", task).entries()
        assert len({label for entry in entries for label in entry.labels or ()}) == published[task]
