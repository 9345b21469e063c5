"""The fuzzer itself: whatever a reader raises is a fault that is noted, and only Ctrl-C ends it."""

from collections import Counter
from types import SimpleNamespace

import pytest

from tests.faults import fuzzing


class OwnError(BaseException):
    """Not an Exception, as a hang's is not."""


def exit_of_ctrl_c():
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def raised(error):
    raise error


def fuzz(tmp_path, monkeypatch, work):
    """(outcomes, fault) of one case whose reading is `work`."""
    monkeypatch.setattr(fuzzing, "read_all", lambda *_: work())
    return fuzzing.run_case(1, 0, tmp_path, SimpleNamespace(allowed=None, outside=[]))


def test_a_reader_that_reads_is_no_fault(tmp_path, monkeypatch):
    assert fuzz(tmp_path, monkeypatch, lambda: (Counter(Window=1), None)) == (Counter(Window=1), None)


@pytest.mark.parametrize("error", [fuzzing.TooLongError(), OwnError(), SystemExit(0), ValueError("x"), MemoryError()])
def test_whatever_a_reader_raises_is_noted(tmp_path, monkeypatch, error):
    outcomes, fault = fuzz(tmp_path, monkeypatch, lambda: raised(error))
    words = "too long" if isinstance(error, fuzzing.TooLongError) else type(error).__name__
    assert not outcomes and fault.startswith("case 1: ") and words in fault
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("work", "kind"), [(lambda: raised(KeyboardInterrupt()), KeyboardInterrupt), (exit_of_ctrl_c, SystemExit)]
)
def test_ctrl_c_ends_the_fuzzer(tmp_path, monkeypatch, work, kind):
    with pytest.raises(kind):
        fuzz(tmp_path, monkeypatch, work)
    assert not list(tmp_path.iterdir())
