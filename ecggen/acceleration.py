"""What a training makes of the machine it has: cores, a GPU, and what may be faster there.

On a CPU nothing of the latter is on by itself: half precision and compilation are asked for by settings, and only a GPU
with room for them keeps the signals.
"""

import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor

from ecggen.data.pipeline import ECGDataset
from ecggen.errors import UserError

ROOM = 0.5  # share of a GPU's free memory that the training signals may take
COMPILERS = ("c++", "g++", "clang++", "cl")


def resolve_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one. Raises UserError for cuda without a GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device: expected a CUDA GPU for cuda, got none; use --device auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def resolve_threads(threads: int) -> int:
    """0 = one thread a core this process may use."""
    return threads or len(os.sched_getaffinity(0))


def half_precision(device: torch.device, precision: str) -> torch.autocast:
    """The context of a forward pass under `train.precision`; what must not lose bits, the model itself keeps whole."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def compiled(function: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
    """The same function compiled as a whole, way back included; on a GPU replayed as CUDA graphs.

    Each shape of its inputs is compiled by itself.

    Raises UserError where no C++ compiler is found, which PyTorch needs for it.
    """
    named = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ((named,) if named else COMPILERS)):
        raise UserError(
            f"train.compile: expected a C++ compiler ({', '.join(COMPILERS)} or $CXX), got none; install one or set "
            "train.compile=false"
        )
    whole: Callable[..., Tensor] = torch.compile(
        function, dynamic=False, mode="reduce-overhead" if device.type == "cuda" else None
    )
    return whole


def keep_signals_near(dataset: ECGDataset, device: torch.device) -> bool:
    """Move the signals of a split to the GPU, if it is one and has room: then a step copies none. Whether it did."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return dataset.move_signals(device, int(ROOM * free))
