"""What mortal processes do: the entry points, called as a user calls them, in a process of their own."""

import sys


def train(*words):
    """main.py."""
    import main

    return main.main(list(words))


def starved(kind, *words):
    """main.py on a machine whose memory ends at the fifth step."""
    import torch

    from ecggen.train import Trainer

    step = Trainer.train_step

    def train_step(trainer):
        if trainer.step == 4:
            if kind == "gpu":
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has 8.00 GiB")
            if kind == "cpu":
                torch.empty(1 << 60, dtype=torch.uint8)
            raise MemoryError
        return step(trainer)

    Trainer.train_step = train_step
    return train(*words)


def search(*words):
    """run_search.py, its trials trained in this process: Ray's part is left out, every write is its own."""
    from tests.search_here import search_here

    return search_here(".", *words)


def rounds(tune, before=lambda config: None):
    """In the place of `run_round`: trains one trial after the other; `before` is called before each."""
    from search.searcher import Searcher
    from search.trial import run_trial

    def run_round(searcher, scheduler, setup, share, search_over, root, name):
        trials = 0
        while (config := searcher.suggest(f"{name}-{trials}")) != Searcher.FINISHED:
            before(config)
            at, reports = f"{name}-{trials}", []

            def report(row, at=at, reports=reports):
                if reports:
                    searcher.on_trial_result(at, reports[-1])
                reports.append(row)

            tune.report = report
            run_trial(config, setup)
            searcher.on_trial_complete(at, reports[-1])
            trials += 1

    return run_round


def cache(*words):
    """The preprocessed records of a tiny run with these settings, found or built."""
    from ecggen.configfile import apply_overrides
    from ecggen.data.cache import find_or_build
    from tests.tiny import tiny_run

    run = apply_overrides(tiny_run(), list(words))
    sys.stdout.write(f"{find_or_build(run.data, run.model.signal)}\n")


def codes(results, first, count):
    """Run ids for so many basis sizes, each with a row of its own in the results folder's table."""
    from pathlib import Path

    from ecggen.runid import ensure_runid
    from tests.faults.mortal import REPO
    from tests.tiny import tiny_run

    config = REPO / "configs" / "train" / "v1.yaml"
    for size in range(first, first + count):
        name = ensure_runid(tiny_run(model__vcg__basis_k=size), config, Path(results))
        sys.stdout.write(f"{size} {name}\n")
