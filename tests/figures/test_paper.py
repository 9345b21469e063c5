"""ECG paper is a measuring instrument: its millimetres are checked on what is drawn, not on what was meant."""

import numpy as np
import pytest

from ecggen.figures.ecg import ecg_figure
from ecggen.figures.paper import rows_of, sheet, words_at
from ecggen.figures.recording import recording_figure
from tests.portraits import examination_of, portrait_of

MM_PER_INCH = 25.4


def line(axes, name):
    """The drawn line of this gid, as x and y in mm of the figure."""
    (found,) = [each for each in axes.lines if each.get_gid() == name]
    return to_mm(axes, found.get_xydata())


def to_mm(axes, points):
    return axes.transData.transform(points) / axes.figure.dpi * MM_PER_INCH


def one_impulse(lead, millivolts):
    """A record that is zero but for one sample at 1 s."""
    ecg = np.zeros((12, 1000), np.float32)
    ecg[lead, 100] = millivolts
    return portrait_of(ecg=ecg, rendered=np.zeros((12, 12, 80), np.float32))


@pytest.mark.parametrize("millivolts", [0.4, 3.0, 15.0])
def test_a_millivolt_is_ten_millimetres_and_a_second_twenty_five_however_tall_the_trace(millivolts):
    (axes,) = ecg_figure(one_impulse(0, millivolts)).axes
    drawn = line(axes, "measured-I")
    height = drawn[100, 1] - drawn[0, 1]
    assert height == pytest.approx(10 * millivolts, rel=1e-6)
    assert drawn[100, 0] - drawn[0, 0] == pytest.approx(25.0, rel=1e-6)


def test_a_raw_recording_is_drawn_in_the_same_scale():
    (axes,) = recording_figure(examination_of()).axes
    drawn = line(axes, "raw-MLII")
    assert np.ptp(drawn[:, 1]) == pytest.approx(10.0, rel=1e-3)
    assert drawn[500, 0] - drawn[0, 0] == pytest.approx(125.0, rel=1e-6)


def test_the_calibration_pulse_is_a_millivolt_high_and_a_fifth_of_a_second_long():
    (axes,) = ecg_figure(portrait_of()).axes
    pulses = [to_mm(axes, each.get_xydata()) for each in axes.lines if each.get_gid() == "calibration"]
    assert len(pulses) == 4
    for pulse in pulses:
        assert np.ptp(pulse[:, 1]) == pytest.approx(10.0)
        top = pulse[pulse[:, 1] > pulse[:, 1].min() + 5]
        assert np.ptp(top[:, 0]) == pytest.approx(5.0)


def test_squares_are_one_and_five_millimetres():
    axes = sheet([(-0.5, 1.0)], (-0.6, 2.0), 10, 10, "empty").axes
    for each, side in zip([line for line in axes.lines if line.get_gid() == "squares"], (1.0, 5.0), strict=True):
        drawn = to_mm(axes, each.get_xydata()).reshape(-1, 3, 2)
        upright = drawn[np.isclose(drawn[:, 0, 0], drawn[:, 1, 0])]
        flat = drawn[np.isclose(drawn[:, 0, 1], drawn[:, 1, 1])]
        np.testing.assert_allclose(np.diff(upright[:, 0, 0]), side, rtol=1e-6)
        np.testing.assert_allclose(np.diff(flat[:, 0, 1]), side, rtol=1e-6)
        assert len(upright) == 65 / side + 1 and len(flat) == 15 / side + 1


def test_rows_are_whole_big_squares_and_do_not_meet():
    extents = [(-0.1, 0.9), (-3.2, 1.1), (0.0, 0.0)]
    baselines, height = rows_of(extents)
    assert height == 1.0 + 0.5 + 1.5 + 3.5 + 0.5 + 0.5
    assert baselines == [height - 1.0, height - 3.0, 0.5]
    for (low, _), (_, high), upper, lower in zip(extents, extents[1:], baselines, baselines[1:], strict=False):
        assert upper + low >= lower + high


def test_words_stand_above_what_is_drawn_beneath_them_and_nowhere_else():
    x = np.arange(0, 10, 0.01)
    early, late = np.where(x < 0.2, 2.0, 0.0), np.where(x > 5, 2.0, 0.0)
    assert words_at([(x, early)], 0.0, 0.3, "hidden") > 2.0
    assert words_at([(x, late)], 0.0, 0.3, "hidden") < 0.5
