"""Preprocessed records on disk, built once and then opened: the same files, settings and code give the same folder.

The folder's name is a hash of all that decides its content. It is built under a temporary name and renamed when it is
complete, so a folder that is there can be trusted; a lock that the system lets go when its holder dies makes a second
process wait and then use what the first one built.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock, Timeout

import ecggen.leads
from ecggen.config import DataConfig, SignalConfig
from ecggen.data.sources.contract import Source
from ecggen.data.store import Store, open_store
from ecggen.errors import OutOfReach, UserError

# The code that decides what a store holds; its text is part of the key, so no version number can be forgotten.
CODE = ("recording.py", "preprocess.py", "rpeaks.py", "build.py", "store.py", "simulator.py", "heart.py", "sources")
UNFINISHED = ".unfinished"
Content = tuple[DataConfig, SignalConfig]
_prepared: dict[Content, Path] = {}  # what `use_prepared` was told in this process


def open_cache(data: DataConfig, signal: SignalConfig) -> Store:
    """The preprocessed records that the settings ask for, built first where they are not there yet.

    Raises UserError where the source is missing, holds nothing usable, or the cache cannot be written.
    """
    _check(data)
    prepared = _prepared.get(_content(data, signal))
    folder = prepared if prepared is not None and prepared.is_dir() else find_or_build(data, signal)
    try:
        return open_store(folder)
    except UserError as fault:  # somebody took files away: that is no fault of the training that wants them
        raise OutOfReach(str(fault)) from fault


def use_prepared(data: DataConfig, signal: SignalConfig, folder: Path) -> None:
    """From now on, in this process, these settings mean this cache folder: the source is not looked at again.

    Workers that train on the same records again and again need no files of the source, and take no fingerprint of them.
    """
    _prepared[_content(data, signal)] = folder


def _content(data: DataConfig, signal: SignalConfig) -> Content:
    """The settings without those that leave a store as it is."""
    return replace(data, cache=None, workers=0, train_folds=(), val_folds=(), test_folds=()), signal


def find_or_build(data: DataConfig, signal: SignalConfig) -> Path:
    """The cache folder of these settings and of the source as it is now. Raises UserError as `open_cache` does."""
    # Loaded where they are needed: a worker that opens a prepared folder spares a second of imports.
    from ecggen.data.build import build
    from ecggen.data.sources.catalog import make_source

    _check(data)
    source = make_source(data, signal)
    folder = cache_root(data) / cache_name(data, signal, source)
    if not folder.is_dir():
        try:
            make_once(folder, lambda temporary: build(source, data, signal, temporary))
        except OSError as error:
            place = "set data.cache to a writable folder with room"
            raise UserError(f"cache {folder.parent}: expected to write there, got {error}; {place}") from error
    return folder


def _check(data: DataConfig) -> None:
    bounds = {
        "seconds": (data.seconds > 0, "a length above 0 s"),
        "max_amplitude": (data.max_amplitude > 0, "a voltage above 0 mV"),
        "limit": (data.limit is None or data.limit > 0, "none or at least 1 record"),
        "workers": (data.workers >= 0, "0 or a number of processes"),
    }
    for name, (holds, expected) in bounds.items():
        if not holds:
            raise UserError(f"data.{name}: expected {expected}, got {getattr(data, name)}; correct it")


def cache_root(data: DataConfig) -> Path:
    """`data.cache`, else $ECGGEN_CACHE, else the user's cache folder."""
    named = data.cache or os.environ.get("ECGGEN_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ecggen"


def cache_name(data: DataConfig, signal: SignalConfig, source: Source) -> str:
    """Name of the cache folder: a hash of source files, of the settings that matter, and of the code."""
    decides = {
        "root": str(Path(data.root).expanduser().resolve()) if data.root else None,
        "files": source.fingerprint(),
        "settings": [data.seconds, data.max_amplitude, data.limit],
        "signal": asdict(signal),
        "code": code_digest(),
    }
    return f"{data.source}-{hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]}"


def code_digest() -> str:
    """Digest of the text of all modules that decide what is cached."""
    here = Path(__file__).parent
    files = [Path(ecggen.leads.__file__)]
    for name in CODE:
        files += sorted((here / name).glob("*.py")) if (here / name).is_dir() else [here / name]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def make_once(folder: Path, fill: Callable[[Path], object]) -> None:
    """Makes a cache folder from what `fill` writes to a temporary one; of several processes, the first one does it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder.parent)
    with _lock(folder):
        if folder.is_dir():  # another process made it while this one waited
            return
        temporary = folder.with_name(folder.name + UNFINISHED)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            fill(temporary)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _lock(folder: Path, timeout: float = -1) -> FileLock:
    return FileLock(folder.with_name(folder.name + ".lock"), timeout=timeout)


def _remove_leftovers(root: Path) -> None:
    """Removes what killed builds left behind: an unfinished folder whose lock nobody holds."""
    for leftover in root.glob("*" + UNFINISHED):
        try:
            with _lock(leftover.with_name(leftover.name.removesuffix(UNFINISHED)), timeout=0):
                shutil.rmtree(leftover, ignore_errors=True)
        except Timeout:
            continue
