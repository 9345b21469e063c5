"""Maps to Frank leads with known answers: dipoles, exact maps, whose beats a map is fitted on."""

import shutil

import numpy as np
import pytest
import torch

from ecggen import frank
from ecggen.config import DataConfig, RunConfig
from ecggen.data.pipeline import ECGDataset
from ecggen.data.store import Row
from ecggen.errors import UserError
from ecggen.leads import LEADS, lead_indices, nominal_directions
from tests.models.conftest import small_model

RNG = np.random.default_rng(0)


def dipoles(n=12, samples=40, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3, samples))


def test_the_inverse_dower_transform_undoes_dowers_lead_vectors():
    source = dipoles()
    leads = np.einsum("lx,nxt->nlt", nominal_directions(), source)
    np.testing.assert_allclose(frank.through(frank.INVERSE_DOWER, leads), source, atol=0.01)
    eight = nominal_directions()[lead_indices(frank.EIGHT)]
    np.testing.assert_allclose(frank.INVERSE_DOWER, np.linalg.pinv(eight), atol=0.001)


def test_kors_reads_a_pure_dipole_along_its_own_axis_but_is_not_dowers_inverse():
    product = frank.KORS @ nominal_directions()[lead_indices(frank.EIGHT)]
    assert (np.diag(product) > 0.7).all() and (np.abs(product).argmax(1) == np.arange(3)).all()
    assert product[2, 1] == pytest.approx(-0.38, abs=0.01), "from Y to Z, as in the design's geometry"


def test_a_map_is_found_exactly_with_its_offset():
    v, mapping, offset = dipoles(), RNG.normal(size=(3, 3)), np.array([0.3, -0.2, 0.1])
    measured = np.einsum("xc,nct->nxt", mapping, v) + offset[:, None]
    found, shift = frank.fit_map(v, measured)
    np.testing.assert_allclose(found, mapping, atol=1e-10)
    np.testing.assert_allclose(shift, offset, atol=1e-10)
    group = np.repeat(["a", "b"], 6)
    fitted = frank.mapped(v, measured, frank.folds(group)[0])
    card = frank.agreement(fitted, measured, group, resamples=20)
    assert (
        card["r"] == pytest.approx(1) and card["r2"] == pytest.approx(1) and card["rmse"] == pytest.approx(0, abs=1e-6)
    )
    assert card["axes"].keys() == {"X", "Y", "Z"}


def test_no_beat_is_judged_by_a_map_that_saw_it():
    v, measured = dipoles(9), dipoles(9, seed=1)
    fold, how = frank.folds(np.repeat(["p1", "p2", "p3"], 3))
    assert fold.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and how == "fitted on the other patients (3 in all)"
    changed = measured.copy()
    changed[:3] *= 100
    a, b = frank.mapped(v, measured, fold), frank.mapped(v, changed, fold)
    np.testing.assert_allclose(a[:3], b[:3])
    assert not np.allclose(a[3:], b[3:])


def test_one_record_is_judged_by_its_own_other_half_and_that_is_said():
    fold, how = frank.folds(np.repeat(["p1"], 5))
    assert fold.tolist() == [0, 0, 1, 1, 1]
    assert "same record's other half" in how and "no other record" in how
    with pytest.raises(AssertionError, match="two folds or more"):
        frank.mapped(dipoles(3), dipoles(3), np.zeros(3, int))


def test_with_several_patients_intervals_are_over_patients():
    v = dipoles(40)
    made = v + np.repeat([0.0, 2.0], 20)[:, None, None] * dipoles(40, seed=1)
    patients = frank.agreement(made, v, np.repeat(["good", "bad"], 20), 200)["interval"]
    beats = frank.agreement(made, v, np.repeat(["one"], 40), 200)["interval"]
    assert patients[1] - patients[0] > 2 * (beats[1] - beats[0])
    assert patients[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("record", "patient", "expected"),
    [
        ("patient001/s0010_re", None, "patient001"),
        ("ptb/patient001/s0014lre", None, "patient001"),
        ("s0010_re", None, "s0010_re"),
        ("patient001/s0010_re", "p7", "p7"),
    ],
)
def test_records_of_one_patient_go_together(record, patient, expected):
    assert frank.patient_of(Row(record, record, patient, None, None)) == expected


def test_a_shared_view_sees_v_itself_and_a_bent_one_does_not():
    model = small_model()
    v, w = torch.randn(4, 3, 40), torch.randn(4, model.state_size)
    with torch.no_grad():
        torch.testing.assert_close(frank.seen_source(model, v, w), v, atol=1e-4, rtol=1e-4)
        # A bend that doubles every lead vector draws what twice the source would.
        model.projection.bends = lambda states: model.projection.matrix().expand(len(states), -1, -1)
        torch.testing.assert_close(frank.seen_source(model, v, w), 2 * v, atol=1e-4, rtol=1e-4)


@pytest.mark.real_data
def test_a_real_record_stands_beside_kors_and_dower(real_data):
    model = small_model()
    run = RunConfig(DataConfig(source="wfdb", root=str(real_data / "ptb_frank"), workers=1), model.cfg)
    dataset = ECGDataset(run, "all")
    found, few = frank.frank_beats(model, dataset), frank.frank_beats(model, dataset, ("I", "II", "V2"))
    n = len(found.v)
    assert found.frank.shape == found.v.shape == (n, 3, 40) and found.leads.shape == (n, len(LEADS), 40)
    card = frank.frank_card(found, few, resamples=20)
    assert card["patients"] == 1 and card["beats"] == n and "no other record" in card["map"]
    rows = {name: row["r"] for name, row in card["rows"].items()}
    assert rows["Kors, as published"] > 0.8 and rows["Kors, mapped likewise"] > 0.97
    assert rows["eight leads, linear (ceiling of linear maps)"] == max(rows.values())


@pytest.mark.real_data
def test_where_there_are_several_patients_each_is_judged_by_a_map_of_the_others(real_data, tmp_path):
    for patient in ("patient001", "patient002"):
        (tmp_path / patient).mkdir()
        for suffix in ("hea", "dat", "xyz"):
            shutil.copy(real_data / "ptb_frank" / f"s0010_re.{suffix}", tmp_path / patient)
    model = small_model()
    run = RunConfig(DataConfig(source="wfdb", root=str(tmp_path), workers=1), model.cfg)
    found = frank.frank_beats(model, ECGDataset(run, "all"))
    card = frank.frank_card(found, found, resamples=20)
    assert card["patients"] == 2 and card["map"] == "fitted on the other patients (2 in all)"
    rows = card["rows"]
    assert rows["V"]["interval"] == pytest.approx([rows["V"]["r"]] * 2), "the two are the same record, so no spread"


@pytest.mark.real_data
def test_records_without_frank_leads_are_the_users_error(real_data):
    model = small_model()
    run = RunConfig(DataConfig(source="wfdb", root=str(real_data / "cinc" / "Georgia"), workers=1), model.cfg)
    with pytest.raises(UserError, match="expected records with twelve leads and vx, vy, vz, got none"):
        frank.frank_beats(model, ECGDataset(run, "all"))
