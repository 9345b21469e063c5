"""The preprocessed records of a search: built once by the driver, memory-mapped once a node, never sent with a trial.

On the driver's machine workers open the driver's cache folder. On another node they build their own from the source if
its files are there; else the driver's folder, which it has put into Ray's object store, is unpacked once for that node.
"""

import socket
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecggen.config import DataConfig, RunConfig, SignalConfig
from ecggen.data.cache import cache_root, find_or_build, make_once, use_prepared
from ecggen.errors import UserError

BLOCK = 1 << 20  # bytes read from a packed folder at once


@dataclass
class SharedData:
    """What a worker needs to reach the records.

    Attributes:
        data, signal: the settings that the records were made by.
        name: of the cache folder; it stands for source files, settings and code.
        folder: where it lies on the driver's machine.
        packed: reference to the folder as a tar in Ray's object store, [bytes] uint8; None = nobody needs it.
    """

    data: DataConfig
    signal: SignalConfig
    name: str
    folder: str
    packed: Any = None


def offer(run: RunConfig, several_nodes: bool) -> SharedData:
    """Builds the cache where it is missing, and says where it is; to be called by the driver, after Ray was started.

    Raises UserError as `open_cache` does, and where Ray's object store has no room.
    """
    data, signal = run.data, run.model.signal
    folder = find_or_build(data, signal).resolve()
    shared = SharedData(data, signal, folder.name, str(folder))
    if several_nodes and data.source != "simulator":  # simulated records are made anew faster than sent
        shared = replace(shared, packed=_pack(folder))
    return shared


def take(shared: SharedData) -> None:
    """Makes `open_cache` find the records in this process; to be called by a worker before each trial.

    Raises UserError where this node can reach neither the driver's folder nor the source.
    """
    own = cache_root(shared.data) / shared.name
    for folder in (Path(shared.folder), own):
        if folder.is_dir():
            use_prepared(shared.data, shared.signal, folder)
            return
    if _source_is_here(shared.data):
        return  # `open_cache` builds the folder, once for all workers of the node
    if shared.packed is None:
        raise UserError(
            f"node {socket.gethostname()}: expected recordings at {shared.data.root} or prepared ones at "
            f"{shared.folder}, got neither; give --data-root a folder that every node has, or share the cache's folder"
        )
    try:
        make_once(own, lambda temporary: _unpack(shared.packed, temporary))
    except (OSError, tarfile.TarError) as error:
        raise UserError(
            f"node {socket.gethostname()}: expected to write to {own.parent}, got {error}; set data.cache to a folder "
            "with room on every node"
        ) from error
    use_prepared(shared.data, shared.signal, own)


def _source_is_here(data: DataConfig) -> bool:
    if data.source == "simulator":
        return True
    return data.root is not None and Path(data.root).expanduser().exists()


def _pack(folder: Path) -> Any:
    """Reference to the folder as one tar. It grows on disk: only the object store holds it in memory."""
    import ray

    try:
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                for path in sorted(folder.iterdir()):
                    tar.add(path, arcname=path.name)
            file.flush()
            return ray.put(np.asarray(np.memmap(file, np.uint8, mode="r")))
    except (OSError, ray.exceptions.RayError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"records of {folder}: expected room for them in {tempfile.gettempdir()} and in Ray's object store, got "
            f"{reason}; put the recordings where every node sees them (--data-root), or share the cache's folder"
        ) from error


class _Reader:
    """Bytes of an array, one after the other, as `tarfile` wants them."""

    def __init__(self, array: Any) -> None:
        self.bytes, self.at = memoryview(array), 0

    def read(self, count: int) -> bytes:
        """At most so many of the bytes that follow."""
        start, self.at = self.at, min(self.at + count, len(self.bytes))
        return self.bytes[start : self.at].tobytes()


def _unpack(packed: Any, folder: Path) -> None:
    import ray

    reader: Any = _Reader(ray.get(packed))
    with tarfile.open(fileobj=reader, mode="r|", bufsize=BLOCK) as tar:
        tar.extractall(folder, filter="data")
