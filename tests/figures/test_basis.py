"""The basis stays readable from a few curves to many."""

from itertools import pairwise

import numpy as np
import pytest

from ecggen.figures.basis import basis_figure, by_place
from tests.portraits import portrait_of


def bumps(centres):
    return np.stack([np.exp(-0.5 * ((np.arange(80) - centre) / 2) ** 2) for centre in centres]).astype(np.float32)


def test_curves_are_sorted_by_where_in_the_beat_they_lie_whatever_their_size_and_sign():
    basis = bumps([60, 10, 40, 25]) * np.array([5, -0.1, 1, 100])[:, None]
    assert by_place(basis).tolist() == [1, 3, 2, 0]
    assert by_place(np.zeros((2, 80))).tolist() == [0, 1]


@pytest.mark.parametrize("count", [1, 8, 24, 64])
def test_every_curve_is_drawn_once_to_the_same_height_and_meets_no_other(count):
    centres = np.linspace(5, 75, count)
    basis = bumps(centres) * np.random.default_rng(0).uniform(0.01, 100, count)[:, None]
    figure = basis_figure(portrait_of(basis=basis, rendered=portrait_of().rendered))
    drawn = {}
    for axes in figure.axes:
        curves = [line for line in axes.lines if (line.get_gid() or "").startswith("basis-")]
        heights = [np.sort((line.get_ydata().min(), line.get_ydata().max())) for line in curves]
        assert all(upper[0] >= lower[1] for upper, lower in pairwise(heights))
        assert heights[0][1] <= axes.get_ylim()[1]
        drawn |= {line.get_gid(): np.ptp(line.get_ydata()) for line in curves}
    assert set(drawn) == {f"basis-{number}" for number in range(count)}
    np.testing.assert_allclose(list(drawn.values()), next(iter(drawn.values())), rtol=0.02)
    width, height = figure.get_size_inches() * 25.4
    assert width < 400 and height < 160
