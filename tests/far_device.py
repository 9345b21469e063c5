"""A GPU that is not there: tensors that say they lie elsewhere, and compute here.

Numbers are those of the CPU. As on a GPU, tensors of two devices do not mix, and what lies far has to be fetched before
numpy may see it. The program waits for each fetch, and for what is sent unless it comes from pinned memory and asks for
no answer; these are noted.
"""

from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

FAR = torch.device("meta")  # a device that every PyTorch knows and that holds no numbers by itself
PLACE = torch.device("meta:0")  # what a tensor says that was sent to FAR, and is not equal to it
aten = torch.ops.aten
CROSSINGS = (aten._to_copy, aten.copy_)
WAITS = (aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal)


class FarTensor(torch.Tensor):
    """A tensor on FAR; `near` holds its numbers."""

    near: Tensor

    @staticmethod
    def __new__(cls, near):
        return torch.Tensor._make_wrapper_subclass(
            cls, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype, device=PLACE
        )

    def __init__(self, near):
        self.near = near

    def __repr__(self):
        return f"far {self.near}"

    def __reduce_ex__(self, protocol):
        """A file is read back near, wherever what it holds was."""
        return self.near.__reduce_ex__(protocol)

    def tolist(self):
        """As of a GPU's tensor; PyTorch refuses it for those that are not its own."""
        return self.cpu().tolist()

    def __getitem__(self, index):
        """Lists in an index, which PyTorch would lay out on a device that holds no numbers."""
        parts = index if isinstance(index, tuple) else (index,)
        return super().__getitem__(tuple(torch.tensor(at) if isinstance(at, list | tuple) else at for at in parts))

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError("a far tensor is used outside of `far_device`")


class FarDevice(TorchDispatchMode):
    """Does what is asked of tensors on FAR; `waits` names what the program had to wait for."""

    def __init__(self):
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
        far = [value for value in tensors if isinstance(value, FarTensor)]
        crossing = func.overloadpacket in CROSSINGS
        if far and not crossing:
            self._check(func, args, [value for value in tensors if value.ndim and not isinstance(value, FarTensor)])
        asked = kwargs.get("device")
        arrives = asked is not None and torch.device(asked).type == FAR.type
        leaves = asked is not None and not arrives
        if far and (leaves or func.overloadpacket in WAITS or self._counts(func, args)):
            self.waits.append(str(func))
        if crossing and tensors and self._is_sent(func, tensors, arrives):
            on_its_way = kwargs.get("non_blocking", len(args) > 2 and args[2]) and getattr(tensors[-1], "pinned", False)
            self.waits += [] if on_its_way else [f"sent: {func}"]
        if arrives:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        found = func(*tree_map(_near, args), **tree_map(_near, kwargs))
        if func._schema.is_mutable:
            return tree_map(lambda value: args[0] if isinstance(value, Tensor) else value, found)
        return tree_map(_far, found) if arrives or (far and not leaves) else found

    @staticmethod
    def _is_sent(func: Any, tensors: list[Tensor], arrives: bool) -> bool:
        """From near to far: `_to_copy` names where to, `copy_` has it as its first tensor."""
        if func.overloadpacket is aten.copy_:
            return isinstance(tensors[0], FarTensor) and not isinstance(tensors[-1], FarTensor)
        return arrives and not isinstance(tensors[0], FarTensor)

    @staticmethod
    def _check(func: Any, args: Any, near: list[Tensor]) -> None:
        if func.overloadpacket in (aten.index, aten.index_put_) and isinstance(args[0], FarTensor):
            near = [value for value in near if value is not None and all(value is not at for at in args[1] or ())]
        assert not any(value.is_meta for value in near), f"{func}: made by PyTorch itself, without its numbers"
        if near:
            raise RuntimeError(f"{func}: expected all tensors to be on the same device, got far and near ones")

    @staticmethod
    def _counts(func: Any, args: Any) -> bool:
        """A mask as an index: how many are taken is not known beforehand."""
        masks = args[1] if func.overloadpacket in (aten.index, aten.index_put_) else ()
        return any(isinstance(at, Tensor) and at.dtype in (torch.bool, torch.uint8) for at in masks)


def _near(value: Any) -> Any:
    return value.near if isinstance(value, FarTensor) else value


def _far(value: Any) -> Any:
    return FarTensor(value) if isinstance(value, Tensor) else value


def _pinned(value: Tensor) -> Tensor:
    if isinstance(value, FarTensor):
        raise RuntimeError("pin_memory: expected a tensor that lies near, got a far one")
    copy = value.clone()
    copy.pinned = True  # type: ignore[attr-defined]
    return copy


@contextmanager
def far_device(monkeypatch):
    """The device as long as something is done; autocast, which knows GPUs by name, is told of the CPU."""
    autocast = torch.autocast
    monkeypatch.setattr(torch, "autocast", lambda kind, *args, **options: autocast("cpu", *args, **options))
    monkeypatch.setattr(torch.Tensor, "pin_memory", _pinned)
    with FarDevice() as device:
        yield device
