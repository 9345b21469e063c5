"""Searches in this process, as the user types them: Ray's part is left out, trials are trained one after the other."""

from contextlib import contextmanager

import pytest
import torch
from ray import tune

import run_search
from search import driver
from search.share import Resources
from tests.faults.deeds import rounds


@contextmanager
def no_ray(*_):
    """In the place of `run_search.ray_beside_imports`."""
    yield Resources(1, 0, 1, local=True)


def search_here(folder, *words):
    """run_search.py in a working folder; its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(run_search, "ray_beside_imports", no_ray)
        patch.setattr(driver, "run_round", rounds(tune))
        patch.setattr(tune, "report", tune.report)  # which `rounds` puts another one in the place of
        try:
            return run_search.main([str(word) for word in words])
        finally:
            torch.set_num_threads(1)
