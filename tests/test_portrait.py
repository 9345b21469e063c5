"""What a portrait says of a record, and that it comes back from disk as it was."""

import subprocess
import sys

import numpy as np
import pytest

from ecggen.leads import LEADS
from ecggen.portrait import Portrait, read_portrait, write_portrait
from tests.conftest import REPO
from tests.portraits import portrait_of
from tests.user_fault import fault_of


def test_measured_beats_are_the_record_at_the_rendering_s_times():
    portrait = portrait_of()
    first = portrait.measured()[0, LEADS.index("V6")]
    np.testing.assert_allclose(first, portrait.ecg[LEADS.index("V6"), 20:100], atol=1e-6)
    halved = portrait_of(beats=np.array([(20, 60)] * 12))  # 40 samples at 80 times: every second lies between two
    np.testing.assert_allclose(
        halved.measured()[0, 3, 1:80:2][:39], (portrait.ecg[3, 20:59] + portrait.ecg[3, 21:60]) / 2, atol=1e-6
    )


def test_r_is_one_for_a_perfect_rendering_minus_one_for_its_mirror_and_none_for_a_flat_or_absent_lead():
    portrait = portrait_of()
    rendered, ecg = portrait.rendered.copy(), portrait.ecg.copy()
    present = portrait.present.copy()
    rendered[:, 8] *= -2  # scale and offset do not matter to r, sign does
    rendered[:, 9] += 1
    ecg[10], present[11] = 0, False
    r = portrait_of(rendered=rendered, ecg=ecg, present=present).r()
    np.testing.assert_allclose(r[[7, 8, 9]], [1, -1, 1], atol=1e-5)
    assert np.isnan(r[[10, 11]]).all()


def test_hidden_is_recorded_and_not_shown():
    portrait = portrait_of()
    present = portrait.present.copy()
    present[LEADS.index("V6")] = False
    hidden = portrait_of(present=present).hidden
    assert [lead for lead, is_hidden in zip(LEADS, hidden, strict=True) if is_hidden] == [
        "III", "aVR", "aVL", "aVF", "V1", "V3", "V4", "V5",
    ]  # fmt: skip


def same(one: Portrait, other: Portrait) -> bool:
    return all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(one))


@pytest.mark.parametrize("known", [True, False])
def test_a_portrait_comes_back_from_disk_as_it_was(tmp_path, known):
    true = {"source": np.ones((12, 3, 80), np.float32), "source_map": np.eye(3) * 2} if known else {}
    portrait = portrait_of(id="ä/1 $x$", band=(0.5, 35.0), **true)
    write_portrait(tmp_path / "record.npz", portrait)
    back = read_portrait(tmp_path / "record.npz")
    assert same(portrait, back) and (back.source is None) == (not known)
    assert [type(back.id), type(back.fs), type(back.peak), type(back.band)] == [str, float, float, tuple]
    assert [path.name for path in tmp_path.iterdir()] == ["record.npz"]


@pytest.mark.parametrize("damage", ["missing", "cut", "garbage", "other", "pickle", "shape", "empty", "nan", "field"])
def test_a_file_that_is_no_portrait_is_one_line(tmp_path, damage):
    path = tmp_path / "record.npz"
    portrait = portrait_of()
    write_portrait(path, portrait)
    with np.load(path) as file:
        arrays = dict(file)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        path.write_bytes(content[:200] + bytes(len(content) - 400) + content[-200:])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        arrays |= {
            "other": {"format": np.array("another-1")},
            "pickle": {"w": np.array([{"a": 1}], dtype=object)},
            "shape": {"rendered": arrays["rendered"][:, :3]},
            "nan": {"v": arrays["v"] * np.nan},
            "field": {},
        }[damage]
        if damage == "field":
            del arrays["beats"]
        np.savez(path, **arrays)
    assert "expected a portrait, got" in fault_of(read_portrait, path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ecg": np.zeros((11, 1000), np.float32)}, "ecg: expected [12, 1000], got [11, 1000]"),
        ({"w": np.zeros((5, 5), np.float32)}, "v: expected [5, 3, 80], got [6, 3, 80]"),
        ({"beats": np.array([(990, 1080)] * 12)}, "beats: expected 0 <= start < end <= 1000"),
        ({"chunk": np.full(12, 6)}, "chunk: expected 0..5, got 6..6"),
        ({"present": np.zeros(12, bool)}, "shown: expected present leads only"),
        ({"source_map": np.eye(2)}, "source_map: expected [3, 3], got [2, 2]"),
        ({"w": np.full((6, 5), np.inf)}, "w: expected finite numbers"),
        ({"peak": 1.5}, "a share 0..1"),
    ],
)
def test_what_does_not_fit_is_named_with_expected_and_got(change, says):
    with pytest.raises(AssertionError) as fault:
        portrait_of(**change)
    assert says in str(fault.value)


def test_a_page_can_read_portraits_and_draw_them_without_torch():
    code = (
        "import sys\nimport ecggen.portrait\nassert not {'torch', 'matplotlib'} & set(sys.modules)\n"
        "for name in ('basis', 'ecg', 'files', 'paper', 'recording', 'states', 'style', 'vcg'):\n"
        "    __import__(f'ecggen.figures.{name}')\n"
        "assert 'torch' not in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
