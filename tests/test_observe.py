"""One look at a record: what is kept of it is what the model gave."""

import numpy as np
import pytest
import torch

from ecggen.leads import LEADS, lead_indices
from ecggen.losses import rendered_beats
from ecggen.metrics import beat_sums, pearson
from ecggen.observe import keep_portrait, observe
from ecggen.portrait import read_portrait
from tests.models.conftest import hearts, small_model


def item_of(absent=(), source=None):
    mask = torch.ones(12, dtype=torch.bool)
    mask[lead_indices(absent)] = False
    item = {"id": "r1", "ecg": hearts(1, 1000)[0] * mask[:, None], "lead_mask": mask}
    return item if source is None else {**item, "source": source}


def test_a_portrait_holds_what_the_model_gave_for_the_shown_leads_alone():
    model, item = small_model(), item_of()
    portrait = observe(model, item, ("i", "avr", "v2"))
    shown = torch.zeros(1, 12, dtype=torch.bool)
    shown[0, lead_indices(("I", "aVR", "V2"))] = True
    with torch.no_grad():
        out = model.forward_gen(item["ecg"][None], shown)
    assert [lead for lead, seen in zip(LEADS, portrait.shown, strict=True) if seen] == ["I", "aVR", "V2"]
    assert portrait.beats.tolist() == [list(span) for span in out["meta"]["beat_boundaries"][0]]
    assert portrait.chunk.tolist() == [n // 2 for n in range(len(portrait.beats))]
    np.testing.assert_array_equal(portrait.v, out["V_seq"][0])
    np.testing.assert_array_equal(portrait.w, out["W_seq"][0])
    np.testing.assert_array_equal(portrait.rendered, rendered_beats(out, 2)[0].transpose(0, 1))


def test_its_measured_beats_and_r_are_those_that_judging_uses():
    model, item = small_model(), item_of()
    portrait = observe(model, item, LEADS)
    with torch.no_grad():
        out = model.forward_gen(item["ecg"][None])
    np.testing.assert_allclose(portrait.measured(), out["meta"]["beats"][0].transpose(0, 1), atol=1e-5)
    present = torch.ones(1, 12, len(portrait.beats), dtype=torch.bool)
    judged = pearson(beat_sums(rendered_beats(out, 2), out["meta"]["beats"], present))[0]
    np.testing.assert_allclose(portrait.r(), judged, atol=1e-4)


def test_a_visible_lead_that_is_absent_is_not_shown_and_none_at_all_is_refused():
    portrait = observe(small_model(), item_of(absent=("V2",)), ("I", "II", "V2"))
    assert portrait.shown.sum() == 2 and not portrait.present[LEADS.index("V2")]
    with pytest.raises(AssertionError, match="expected a lead that record r1 has"):
        observe(small_model(), item_of(absent=("V2",)), ("V2",))


def test_the_true_source_is_cut_into_the_same_beats_and_unknown_where_it_is_nan():
    ramp = torch.arange(1000.0).expand(3, 1000).clone()
    portrait = observe(small_model(), item_of(source=ramp), LEADS, source_map=[[1, 0, 0], [0, 2, 0], [0, 0, 3]])
    np.testing.assert_array_equal(portrait.source[:, 1, 0], portrait.beats[:, 0])
    assert portrait.source_map.tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 3]]
    unknown = observe(small_model(), item_of(source=ramp * torch.nan), LEADS)
    assert unknown.source is None and unknown.source_map is None


@pytest.mark.parametrize(("absent", "shown"), [((), ["I", "II", "V2"]), (("V2",), [n for n in LEADS if n != "V2"])])
def test_what_a_run_keeps_is_the_first_record_with_the_choosing_set_else_all_that_the_first_one_has(
    tmp_path, absent, shown
):
    judged = [{**item_of(absent=("I",)), "id": "without"}, {**item_of(), "id": "with"}]
    if absent:
        judged = [{**item_of(absent=absent), "id": "without"}] * 2
    keep_portrait(small_model(), judged, tmp_path, None)
    portrait = read_portrait(tmp_path / "record.npz")
    assert portrait.id == ("without" if absent else "with")
    assert [lead for lead, seen in zip(LEADS, portrait.shown, strict=True) if seen] == shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["record.npz", "record.png"]
