"""What a cardiologist can read off the sheet of twelve leads."""

import numpy as np
import pytest

from ecggen.figures import style
from ecggen.figures.ecg import ecg_figure
from ecggen.figures.recording import recording_figure
from ecggen.leads import LEADS
from tests.portraits import examination_of, portrait_of


def texts_of(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in (*axes.texts, *figure.texts)]


def state_of(figure, lead):
    """The words beside the first label of a lead."""
    words = [text.get_text() for text in figure.axes[0].texts]
    return words[words.index(lead) + 1]


def drawn_of(figure, name):
    return [line for line in figure.axes[0].lines if line.get_gid() == name]


def test_every_lead_says_in_words_whether_the_model_saw_it():
    portrait = portrait_of()
    present = portrait.present.copy()
    present[LEADS.index("V6")] = False
    figure = ecg_figure(portrait_of(present=present))
    for lead in LEADS:
        expected = "shown" if lead in ("I", "II", "V2") else "not recorded" if lead == "V6" else "hidden"
        assert state_of(figure, lead).startswith(expected)
        assert len(drawn_of(figure, f"measured-{lead}")[0].get_xdata()) == (0 if lead == "V6" else 250)
        assert drawn_of(figure, f"rendered-{lead}")


def test_leads_stand_where_a_reader_of_paper_looks_for_them():
    figure = ecg_figure(portrait_of())
    begins = {lead: drawn_of(figure, f"measured-{lead}")[0].get_xdata()[0] for lead in LEADS}
    assert [begins[lead] for lead in ("III", "aVF", "V3", "V6")] == [0.0, 2.5, 5.0, 7.5]
    rows = {lead: drawn_of(figure, f"measured-{lead}")[0].get_ydata().mean() for lead in LEADS}
    assert max(rows[lead] for lead in ("II", "aVL", "V2", "V5")) < min(rows[lead] for lead in ("I", "aVR", "V1", "V4"))
    assert max(rows[lead] for lead in ("III", "aVF", "V3", "V6")) < min(
        rows[lead] for lead in ("II", "aVL", "V2", "V5")
    )
    rhythm = drawn_of(figure, "measured-II")[1]
    assert np.ptp(rhythm.get_xdata()) == pytest.approx(9.99) and rhythm.get_ydata().mean() < min(rows.values())


def test_without_lead_two_the_rhythm_is_the_first_lead_there_is():
    portrait = portrait_of(visible=("V1",))
    present = np.zeros(12, bool)
    present[[LEADS.index("V1"), LEADS.index("V5")]] = True
    assert len(drawn_of(ecg_figure(portrait_of(visible=("V1",), present=present)), "measured-V1")) == 2
    assert len(drawn_of(ecg_figure(portrait), "measured-II")) == 2


def test_each_beat_is_drawn_at_its_own_place_in_time():
    figure = ecg_figure(portrait_of())
    strip = [line for line in drawn_of(figure, "rendered-II") if line.get_ydata().mean() < 2][-12:]
    measured = drawn_of(figure, "measured-II")[1].get_xydata()
    for number, line in enumerate(strip):
        at = 20 + 80 * number
        np.testing.assert_allclose(line.get_xydata(), measured[at : at + 80], atol=1e-5)


def test_start_moves_the_paper_and_a_short_record_leaves_it_empty():
    figure = ecg_figure(portrait_of(), start=6.0)
    assert "6 s" in texts_of(figure) and "16" in texts_of(figure)
    assert drawn_of(figure, "measured-II")[1].get_xdata().max() == pytest.approx(3.99)
    assert len(drawn_of(figure, "measured-V1")[0].get_xdata()) == 0
    with pytest.raises(AssertionError, match="start: expected 0 to below 10 s, got 10"):
        ecg_figure(portrait_of(), start=10.0)


def test_the_sheet_says_speed_gain_band_and_how_well_hidden_leads_are_drawn():
    said = " ".join(texts_of(ecg_figure(portrait_of(band=(0.5, 35.0)))))
    assert "25 mm/s, 10 mm/mV, 0.5-35 Hz; no coloured trace: outside a whole beat" in said
    assert "Leads shown to the model: I, II, V2. Mean r over V1, V3, V4, V5, V6: 1.00" in said
    assert "(III, aVR, aVL, aVF follow from the shown ones)" in said
    everything = " ".join(texts_of(ecg_figure(portrait_of(visible=LEADS))))
    assert "all twelve. Mean r over all twelve: 1.00" in everything and "follow" not in everything


def test_a_trace_beyond_all_paper_is_cut_and_says_so():
    rendered = portrait_of().rendered * 100
    figure = ecg_figure(portrait_of(rendered=rendered))
    assert "cut at 20 mV" in state_of(figure, "I") and figure.get_size_inches()[1] * 25.4 < 1700


def overlapping(figure):
    """Pairs of things that lie on each other: words on words, words on traces; and words outside of the figure."""
    figure.canvas.draw()
    (axes,) = figure.axes
    texts = [text for text in (*axes.texts, *figure.texts) if text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    boxes += [(text.get_text(), text.get_window_extent()) for text in figure.legends[0].get_texts()]
    traces = [
        line for line in axes.lines if (line.get_gid() or "").startswith(("measured", "rendered", "raw", "clean"))
    ]
    points = np.concatenate([axes.transData.transform(line.get_xydata()) for line in traces if len(line.get_xdata())])
    for number, (text, box) in enumerate(boxes):
        inside = (points > (box.x0, box.y0)).all(1) & (points < (box.x1, box.y1)).all(1)
        if inside.any():
            yield text, "a trace"
        if box.x0 < 0 or box.y0 < 0 or box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1:
            yield text, "the edge"
        yield from ((text, other) for other, there in boxes[number + 1 :] if box.overlaps(there))


def tall_and_crowded(seed):
    rng = np.random.default_rng(seed)
    ecg = portrait_of().ecg * rng.uniform(-6, 6, (12, 1)) + rng.normal(0, 0.3, (12, 1000))
    return portrait_of(ecg=ecg.astype(np.float32), rendered=portrait_of().rendered * rng.uniform(-4, 4, (1, 12, 1)))


@pytest.mark.parametrize("seed", range(6))
def test_no_words_lie_on_words_or_traces_whatever_the_amplitudes(seed):
    assert not list(overlapping(ecg_figure(tall_and_crowded(seed))))


def test_no_words_lie_on_words_or_traces_of_a_raw_recording():
    figure = recording_figure(
        examination_of(raw=examination_of().raw * [[4], [-3]] + [[1], [0]]), "arrays /some/folder"
    )
    assert not list(overlapping(figure))


def luminance(color):
    """Relative luminance of WCAG 2.1."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("color", [style.INK, style.SHOWN_WORDS, style.HIDDEN_WORDS, style.QUIET])
def test_words_have_contrast_enough_to_be_read(color):
    assert 1.05 / (luminance(color) + 0.05) >= 4.5


def test_all_words_of_the_sheet_have_one_of_these_colours():
    figure = ecg_figure(portrait_of())
    words = {text.get_color() for text in (*figure.axes[0].texts, *figure.texts)}
    assert words == {style.INK, style.SHOWN_WORDS, style.HIDDEN_WORDS, style.QUIET}
