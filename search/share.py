"""How the cores and GPUs that Ray has are cut into trials that run at once."""

import math
from dataclasses import dataclass

from ecggen.errors import UserError

SHARED_GPU = 4  # trials on one GPU at most, where the user does not say: the models are small
SMALLEST_SHARE = 0.01  # of a core or GPU


@dataclass(frozen=True)
class Resources:
    """What Ray has. local: it is a Ray of our own on this machine."""

    cpus: float
    gpus: float
    nodes: int
    local: bool


@dataclass(frozen=True)
class Share:
    """What one trial gets, and how many of them run at once."""

    cpus: float
    gpus: float
    concurrency: int


def plan(
    resources: Resources, cpus_per_trial: float | None, gpus_per_trial: float | None, concurrency: int | None
) -> Share:
    """How the machine is cut into trials.

    Without wishes a trial gets one core, and where there are GPUs such a part of one that all cores find work. A Ray
    of our own never runs more trials than fit; a cluster may grow, so there the asked number holds.

    Raises UserError for a share that is none, or is more than there is.
    """
    if concurrency is not None and concurrency < 1:
        raise UserError(f"--concurrency: expected at least 1 trial at once, got {concurrency}; correct it")
    cpus = 1.0 if cpus_per_trial is None else float(cpus_per_trial)
    _check_share("--cpus-per-trial", cpus, resources.cpus, "cores", zero=False)
    fits = _fitting(resources.cpus, cpus)
    if gpus_per_trial is None:
        gpus = _part_of_gpu(resources.gpus, min(fits, concurrency or fits))
    else:
        gpus = float(gpus_per_trial)
        _check_share("--gpus-per-trial", gpus, resources.gpus, "GPUs", zero=True)
    if gpus:
        fits = min(fits, _fitting_gpus(resources.gpus, gpus))
    if concurrency is not None:
        fits = min(concurrency, fits) if resources.local else concurrency
    return Share(cpus, gpus, fits)


def _check_share(option: str, share: float, there: float, unit: str, zero: bool) -> None:
    whole = math.isfinite(share) and share >= 1 and share == int(share)
    if not (whole or SMALLEST_SHARE <= share < 1 or (zero and share == 0)):
        none = "0, " if zero else ""
        raise UserError(
            f"{option}: expected {none}a part from {SMALLEST_SHARE} to 1, or a whole number, got {share:g}; correct it"
        )
    if share > there:
        raise UserError(
            f"{option}: expected at most the {there:g} {unit} that Ray has, got {share:g}; ask for less, or join a "
            "cluster that has more (--address)"
        )


def _fitting(there: float, share: float) -> int:
    return math.floor(there / share + 1e-9)  # 0.7 / 0.1 is a little below 7


def _fitting_gpus(there: float, share: float) -> int:
    """A part is of one GPU, never of two."""
    return _fitting(there, share) if share >= 1 else int(there) * _fitting(1, share)


def _part_of_gpu(gpus: float, trials: int) -> float:
    if gpus < 1:
        return 0.0
    together = min(SHARED_GPU, math.ceil(trials / gpus))
    return math.floor(1e4 / together) / 1e4  # Ray counts in ten-thousandths
