"""A machine is cut into trials as the user wants, or in one line not at all."""

import pytest

from search.share import Resources, Share, plan
from tests.user_fault import fault_of


def own_machine(cpus, gpus=0.0):
    return Resources(cpus, gpus, 1, local=True)


@pytest.mark.parametrize(
    ("resources", "asked", "share"),
    [
        (own_machine(4), (None, None, None), Share(1, 0, 4)),
        (own_machine(4), (2, None, None), Share(2, 0, 2)),
        (own_machine(4), (3, None, None), Share(3, 0, 1)),
        (own_machine(2), (0.5, 0, None), Share(0.5, 0, 4)),
        (own_machine(4), (None, None, 3), Share(1, 0, 3)),
        (own_machine(4), (None, None, 9), Share(1, 0, 4)),
        (Resources(4, 0, 2, local=False), (None, None, 9), Share(1, 0, 9)),  # a cluster may grow
        (own_machine(16, 1), (None, None, None), Share(1, 0.25, 4)),
        (own_machine(2, 1), (None, None, None), Share(1, 0.5, 2)),
        (own_machine(16, 1), (None, None, 2), Share(1, 0.5, 2)),
        (own_machine(4, 4), (None, None, None), Share(1, 1, 4)),  # not all four on one GPU
        (own_machine(6, 4), (None, None, None), Share(1, 0.5, 6)),
        (own_machine(64, 2), (None, None, None), Share(1, 0.25, 8)),
        (own_machine(8, 1), (None, 0, None), Share(1, 0, 8)),
        (own_machine(8, 1), (None, 0.1, None), Share(1, 0.1, 8)),
        (own_machine(8, 2), (None, 0.4, None), Share(1, 0.4, 4)),  # two a GPU: a part is never of two
        (own_machine(8, 4), (None, 2, None), Share(1, 2, 2)),
    ],
)
def test_a_machine_is_cut_into_trials(resources, asked, share):
    assert plan(resources, *asked) == share


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((8, None, None), "--cpus-per-trial: expected at most the 4 cores that Ray has, got 8"),
        ((1.5, None, None), "got 1.5"),
        ((0, None, None), "got 0"),
        ((-1, None, None), "got -1"),
        ((float("nan"), None, None), "got nan"),
        ((float("inf"), None, None), "got inf"),
        ((None, 2, None), "--gpus-per-trial: expected at most the 1 GPUs that Ray has, got 2"),
        ((None, 1.5, None), "got 1.5"),
        ((None, -0.5, None), "got -0.5"),
        ((None, 0.0001, None), "got 0.0001"),
        ((None, None, 0), "--concurrency: expected at least 1"),
    ],
)
def test_a_share_that_is_none_is_one_line(asked, said):
    assert said in fault_of(plan, own_machine(4, 1), *asked)
