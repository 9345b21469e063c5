"""Loops lie where a reader of vectorcardiograms expects them."""

import numpy as np
import pytest

from ecggen.figures.vcg import at_times, vcg_figure
from tests.portraits import CHUNKS, beat_wave, portrait_of


def spike(axis):
    """A source that points along one axis at the R peak, 1 mV."""
    v = np.zeros((CHUNKS, 3, 80), np.float32)
    v[:, axis] = beat_wave()
    return v


def drawn(figure, panel, name="loop"):
    (line,) = [line for line in figure.axes[panel].lines if line.get_gid() == name]
    return line


@pytest.mark.parametrize(
    ("axis", "towards", "panels"),
    [
        (0, "left", {0: (1, 0), 1: (1, 0)}),  # X to the patient's left: to the right of the picture
        (1, "foot", {0: (0, -1), 2: (0, -1)}),  # Y to the feet: down
        (2, "back", {1: (0, 1), 2: (1, 0)}),  # Z to the back: up as seen from above, right as seen from the left
    ],
)
def test_a_source_points_on_the_paper_where_it_points_in_the_body(axis, towards, panels):
    figure = vcg_figure(portrait_of(v=spike(axis)))
    figure.canvas.draw()
    for panel, (right, up) in panels.items():
        axes = figure.axes[panel]
        xy = drawn(figure, panel).get_xydata()
        farthest = xy[np.argmax(np.abs(xy).sum(1))]
        step = axes.transData.transform(farthest) - axes.transData.transform((0, 0))
        assert np.sign(np.round(step, 3)).tolist() == [right, up]
        (word,) = [text for text in axes.texts if text.get_text() == towards]
        place = word.get_window_extent()
        middle = axes.bbox.x0 + axes.bbox.width / 2, axes.bbox.y0 + axes.bbox.height / 2
        toward = np.array([place.x0 + place.width / 2 - middle[0], place.y0 + place.height / 2 - middle[1]])
        assert np.sign(np.where(np.abs(toward) < 5, 0, toward)).tolist() == [right, up]


def test_a_millivolt_is_as_long_in_all_planes_and_directions():
    figure = vcg_figure(portrait_of())
    figure.canvas.draw()
    lengths = []
    for axes in figure.axes[:3]:
        corner, right, up = axes.transData.transform([(0, 0), (1, 0), (0, 1)])
        lengths += [abs(right - corner).sum(), abs(up - corner).sum()]
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-6)


def test_all_of_every_loop_lies_inside_its_panel():
    figure = vcg_figure(portrait_of(v=np.random.default_rng(0).normal(0, 3, (CHUNKS, 3, 80)).astype(np.float32)))
    for axes in figure.axes[:3]:
        points = np.concatenate([line.get_xydata() for line in axes.lines if line.get_gid() in ("loop", "other")])
        low, high = np.sort(np.array([axes.get_xlim(), axes.get_ylim()]), axis=1).T
        assert (points > low).all() and (points < high).all()


def said(figure):
    return " ".join(text.get_text() for text in figure.texts)


def test_without_a_map_the_axes_are_said_to_be_the_model_s():
    known = portrait_of(source=np.ones((12, 3, 80), np.float32))
    for portrait in (portrait_of(), known):  # V and the true source have no axes in common without the map
        figure = vcg_figure(portrait)
        assert "not calibrated" in said(figure)
        assert not [line for line in figure.axes[0].lines if line.get_gid() == "truth"]


def test_with_the_map_v_lies_on_the_true_source():
    fixed = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.5], [0.0, -1.0, 3.0]])
    v = portrait_of().v
    truth = np.repeat(fixed @ v, 2, axis=0) + np.array([0.1, -0.2, 0.3])[:, None]
    figure = vcg_figure(portrait_of(source=truth.astype(np.float32), source_map=fixed))
    assert "X 1.00, Y 1.00, Z 1.00" in said(figure)
    for panel in range(3):
        ours, theirs = (drawn(figure, panel, name).get_xydata() for name in ("loop", "truth"))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_one_chunk_has_no_earlier_ones():
    figure = vcg_figure(portrait_of(chunk=np.zeros(12, int), v=spike(0)[:1], w=np.zeros((1, 5), np.float32)))
    assert not [line for line in figure.axes[0].lines if line.get_gid() == "other"]
    assert "chunk" not in " ".join(text.get_text() for text in figure.legends[0].get_texts())


def test_between_two_samples_a_curve_stays_between_their_values():
    ms = np.arange(0, 800, 20.0)
    curve = np.random.default_rng(1).normal(size=(3, 40))
    between = at_times(curve, ms, np.arange(0, 780, 0.5)).reshape(3, 39, 40)
    pairs = np.stack([curve[:, :-1], curve[:, 1:]])
    assert (between >= pairs.min(0)[..., None] - 1e-12).all() and (between <= pairs.max(0)[..., None] + 1e-12).all()
    np.testing.assert_allclose(at_times(curve, ms, ms), curve, atol=1e-12)


def few(beat_len, seed=0):
    """A portrait of few samples a beat, in which every sample is another voltage, with its true source."""
    rng = np.random.default_rng(seed)
    given = portrait_of()
    return portrait_of(
        v=rng.normal(size=(CHUNKS, 3, beat_len)).astype(np.float32),
        source=rng.normal(size=(12, 3, beat_len)).astype(np.float32),
        source_map=np.eye(3),
        rendered=given.rendered[..., :beat_len],
        basis=given.basis[:, :beat_len],
    )


@pytest.mark.parametrize("beat_len", [5, 12, 80])
def test_nothing_drawn_leaves_its_axes_and_no_curve_goes_beyond_the_samples(beat_len):
    portrait = few(beat_len)
    figure = vcg_figure(portrait)
    # V is moved to the true source's mean, as a whole.
    v = portrait.v.astype(float)
    v = v + (portrait.source.mean((0, 2)) - v[portrait.chunk].mean((0, 2)))[:, None]
    truth = portrait.source[portrait.chunk == CHUNKS - 1].mean(0)
    for panel, axes in enumerate(figure.axes):
        low, high = np.sort(np.array([axes.get_xlim(), axes.get_ylim()]), axis=1).T
        lines = [line for line in axes.lines if line.get_gid() in ("loop", "other", "truth", "dots")]
        points = np.concatenate([line.get_xydata() for line in lines])
        assert (points >= low).all() and (points <= high).all()
        axis = panel - 3 if panel >= 3 else {0: 1, 1: 2, 2: 1}[panel]  # what is drawn upwards
        for name, samples in (("loop", v[-1]), ("truth", truth)):
            y = drawn(figure, panel, name).get_ydata()
            np.testing.assert_allclose([y.min(), y.max()], [samples[axis].min(), samples[axis].max()], atol=1e-6)


def test_planes_and_traces_over_time_are_the_same_curve():
    figure = vcg_figure(few(12))
    across, up = drawn(figure, 0).get_xydata().T
    np.testing.assert_array_equal(across, drawn(figure, 3).get_ydata())
    np.testing.assert_array_equal(up, drawn(figure, 4).get_ydata())


def test_dots_stand_out_of_the_bold_line():
    dots = drawn(vcg_figure(portrait_of()), 0, "dots")
    assert dots.get_markeredgecolor() == "white" and dots.get_markersize() > 1.9
    bold = [line for line in vcg_figure(portrait_of()).axes[0].lines if line.get_linewidth() == 1.9]
    assert bold and all(line.get_zorder() < dots.get_zorder() for line in bold)
