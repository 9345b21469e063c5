"""The path of W, on paths whose shape is known."""

import numpy as np
import pytest

from ecggen.figures.states import components, last_beats, moves, states_figure
from tests.portraits import portrait_of


def test_a_straight_path_has_one_component_that_rises_evenly():
    w = np.array([10.0, 0, 0]) + np.outer([-2, -1, 0, 1, 2], [0, 0.3, 0.4])
    scores, shares = components(w)
    np.testing.assert_allclose(shares, [1.0])
    np.testing.assert_allclose(scores[:, 0], [-10, -5, 0, 5, 10], atol=1e-9)  # 0.5 a step, of a mean of length 10


def test_distances_are_in_percent_of_the_mean_s_length():
    w = np.array([[10.0, 3.0], [10.0, -3.0], [10.0, 0.0]])
    distance, step = moves(w)
    np.testing.assert_allclose(distance, [30, 30, 0])
    np.testing.assert_allclose(step, [60, 30])


def test_a_state_stands_at_the_last_beat_of_its_chunk():
    assert last_beats(np.array([0, 0, 0, 1, 1, 1, 2])).tolist() == [3, 6, 7]


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_few_chunks_are_drawn_as_what_they_are(chunks):
    chunk = np.arange(12) // (12 // chunks)
    w, v = np.random.default_rng(0).normal(size=(chunks, 5)), np.zeros((chunks, 3, 80))
    figure = states_figure(portrait_of(chunk=chunk, w=w, v=v))
    upper = figure.axes[0]
    said = " ".join(text.get_text() for text in (*upper.texts, *figure.texts))
    assert ("there is no path" in said) == (chunks == 1)
    assert len([line for line in upper.lines if line.get_marker() in "os^"]) == chunks - 1


def test_a_path_that_does_not_move_is_a_line_at_zero():
    figure = states_figure(portrait_of(w=np.ones((6, 5))))
    assert all(abs(line.get_ydata()).max() < 1e-9 for line in figure.axes[1].lines)
    assert figure.axes[1].get_ylim()[1] > 0


def test_legends_lie_inside_the_figure():
    figure = states_figure(portrait_of())
    figure.canvas.draw()
    for axes in figure.axes:
        box = axes.get_legend().get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
