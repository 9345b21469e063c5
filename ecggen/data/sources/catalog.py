"""The table of sources: which class reads which `data.source`. A new layout is one more line here."""

from collections.abc import Callable
from pathlib import Path

from ecggen.config import DataConfig, SignalConfig
from ecggen.data.simulator import SimulatorSource
from ecggen.data.sources.arrays import ArraysSource
from ecggen.data.sources.contract import Source
from ecggen.data.sources.mimic import MIMICSource
from ecggen.data.sources.ptbxl import PTBXLSource
from ecggen.data.sources.wfdb_folder import WFDBFolderSource
from ecggen.errors import UserError

SOURCES: dict[str, Callable[[DataConfig, SignalConfig], Source]] = {
    "simulator": lambda data, signal: SimulatorSource(data.simulator, data.seconds, signal.fs),
    "ptbxl": lambda data, signal: PTBXLSource(root_of(data), data.task, data.ptbxl_rate),
    "mimic": lambda data, signal: MIMICSource(root_of(data), data.limit),
    "wfdb": lambda data, signal: WFDBFolderSource(root_of(data), data.seconds),
    "arrays": lambda data, signal: ArraysSource(root_of(data), data.seconds),
}


def make_source(data: DataConfig, signal: SignalConfig) -> Source:
    """The source that the settings name. Raises UserError for an unknown name and for a missing folder."""
    if data.source not in SOURCES:
        raise UserError(f"data.source: expected one of {', '.join(SOURCES)}, got {data.source!r}; set one of them")
    return SOURCES[data.source](data, signal)


def root_of(data: DataConfig) -> Path:
    """The folder of the recordings, absolute. Raises UserError where it is not set or not there."""
    if not data.root:  # an empty one is a shell variable that is not set, and not the folder one happens to be in
        raise UserError(f"data.root: expected the folder of {data.source} recordings, got none; pass --data-root DIR")
    root = Path(data.root).expanduser().resolve()
    if not root.is_dir():
        raise UserError(
            f"data.root: expected a folder of {data.source} recordings, got {root}, which is none; check the path"
        )
    return root
