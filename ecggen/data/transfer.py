"""Tensors on their way to a GPU, which nobody waits for.

A plain copy waits until the GPU has done all that it was asked for before. One from memory that is locked in its place
takes its turn instead, and the program goes on.
"""

import torch
from torch import Tensor


def sent(value: Tensor, device: torch.device) -> Tensor:
    """A tensor [...] on another device, or as it is where it is there already."""
    if value.device.type != "cpu" or device.type == "cpu":  # only what lies here can be locked
        return value.to(device)
    return value.pin_memory().to(device, non_blocking=True)
