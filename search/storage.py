"""Where trials keep their state: a folder that all workers see, or a store behind a URI, such as s3://bucket/path.

In a folder a trial works in place. Behind a URI it works in a scratch folder of its node; what is stored is the truth,
and whoever takes a trial up, on whatever node, begins with that. A file is stored whole or not at all, and files are
stored in the order in which they were written, so that a cut connection leaves nothing that a crash could not leave.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ecggen.atomic import whole_file
from ecggen.errors import OutOfReach, UserError

T = TypeVar("T")

PATIENCE = 60.0  # s that a store may be out of reach
LONGEST_PAUSE = 8.0  # s between two tries
WHOLE_BY_NATURE = ("s3", "gcs", "abfs")  # here a file appears when its last byte is there, and folders are no things
UNFINISHED = ".uploading"
MARK = ".trials"  # in a folder: a share that was lost is known by it when it is there again
# What waiting does not cure.
HOPELESS = (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)
HOPELESS_WORDS = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT_MATCH")
Stamp = tuple[int, int, int]


class Storage:
    """A place for folders of small files, one a key; it travels to workers as the text of its root.

    Args:
        root: a path, absolute from here on, or a URI that pyarrow knows: s3, gs, abfs, hdfs, file.

    Attributes:
        remote: whether a trial's folder is a copy that must be pushed and pulled.
    """

    def __init__(self, root: str) -> None:
        self.remote = "://" in root
        self.root = root if self.remote else str(Path(root).expanduser().resolve())
        self._connection: tuple[Any, str] | None = None
        self._pushed: dict[str, dict[str, Stamp]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "remote": self.remote}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _connection=None, _pushed={})

    def check(self) -> None:
        """Leaves a file: a wrong place is a fault before any trial has run. A folder keeps it, as its mark."""
        name = f".check-{uuid.uuid4().hex}"
        if not self.remote:
            folder = self._folder("")
            try:
                (folder / name).touch()
                (folder / name).rename(folder / MARK)
            except OSError as error:
                raise UserError(f"storage {folder}: expected to write there, got {error}; choose another") from error
            return
        self._patiently(self._upload, b"", name)
        self._patiently(self._delete, name)

    def outlasting(self, action: Callable[[], T]) -> T:
        """Does what writes to a trial's folder, again where the folder's root was out of reach for a while.

        It has to go on from what was kept. Raises OutOfReach where the root stays away, or is there and still cannot be
        written. Behind a URI each file has its own patience.
        """
        again = False
        while True:
            try:
                return action()
            except OutOfReach:
                there = self.remote or Path(self.root, MARK).is_file()
                if self.remote or (there and again):
                    raise
                again = there  # it may have come back in this moment
                self._await_root()

    def _await_root(self) -> None:
        """Waits for a share that was lost. What stands in its place, made by Ray for instance, lacks its mark."""
        began = time.monotonic()
        while not Path(self.root, MARK).is_file():
            if time.monotonic() - began > PATIENCE:
                raise OutOfReach(
                    f"storage {self.root}: expected the folder with {MARK}, got none for {PATIENCE:g} s; bring it back "
                    "and carry on"
                )
            time.sleep(0.5)

    def workplace(self, key: str) -> Path:
        """The folder that a trial works in, as the storage has it: what was not pushed is gone, as after a crash.

        Raises OutOfReach where the storage cannot be reached.
        """
        if not self.remote:
            self._await_root()
            return self._folder(key)
        scratch = self._scratch(key)
        shutil.rmtree(scratch, ignore_errors=True)
        stored = self._stored(key)
        for name in stored:
            if name.endswith(UNFINISHED):  # of a process that died
                self._patiently(self._delete, f"{key}/{name}")
        self._copy(key, stored, scratch)
        self._pushed[key] = _stamps(scratch)
        return scratch

    def push(self, key: str) -> None:
        """Stores what is new or changed since the last push, and removes what is gone. Raises UserError."""
        if not self.remote:
            return
        assert key in self._pushed, f"push: expected `workplace` to be called before, got no folder of {key}; call it"
        scratch, pushed = self._scratch(key), self._pushed[key]
        if not scratch.is_dir():  # nothing there would read as: remove all that is stored
            raise UserError(f"{scratch}: expected the folder of {key}, got none; set TMPDIR to a place nobody clears")
        present = _stamps(scratch)
        for name in sorted(present, key=lambda name: present[name]):
            if pushed.get(name) == present[name]:
                continue
            try:
                content = (scratch / name).read_bytes()
            except FileNotFoundError:  # removed in this moment
                continue
            self._patiently(self._upload, content, f"{key}/{name}")
            pushed[name] = present[name]
        for name in self._stored(key):
            if name not in present and not name.endswith(UNFINISHED):
                self._patiently(self._delete, f"{key}/{name}")
                pushed.pop(name, None)

    def pull(self, key: str, target: Path) -> None:
        """Copies what is stored to `target`, each file whole; a key that nothing is stored under is an empty folder.

        Raises UserError where the storage cannot be reached or `target` cannot be written.
        """
        if self.remote:
            self._copy(key, self._stored(key), target)
            return
        source = Path(self.root, _checked(key))
        if target.resolve() != source:
            self._await_root()
        if not (target.exists() and source.exists() and source.samefile(target)):
            self._copy(key, sorted(_stamps(source)), target)

    def remove_scratch(self, key: str) -> None:
        """Removes the copy on this node, if there is one; what is stored stays."""
        if self.remote:
            shutil.rmtree(self._scratch(key), ignore_errors=True)
            self._pushed.pop(key, None)

    def _folder(self, key: str) -> Path:
        folder = Path(self.root, _checked(key)) if key else Path(self.root)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutOfReach(f"storage {folder}: expected to write there, got {error}; choose another") from error
        return folder

    def _scratch(self, key: str) -> Path:
        """The copy on this node, in a folder that is this user's alone."""
        user = os.getuid()
        owner = Path(tempfile.gettempdir()) / f"ecggen-{user}"
        try:
            owner.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise UserError(f"{owner}: expected to write there, got {error}; set TMPDIR to another place") from error
        if owner.stat().st_uid != user:
            raise UserError(f"{owner}: expected a folder of this user, got another user's; set TMPDIR to another place")
        name = hashlib.sha256(f"{self.root}\n{_checked(key)}".encode()).hexdigest()[:24]
        return owner / name

    def _copy(self, key: str, names: list[str], target: Path) -> None:
        try:
            target.mkdir(parents=True, exist_ok=True)
            for name in names:
                content = None if name.endswith(UNFINISHED) else self._read(f"{key}/{name}")
                if content is not None:
                    _write(target / name, content)
        except OSError as error:
            raise OutOfReach(f"{target}: expected to write there, got {error}; free the disk") from error

    def _read(self, name: str) -> bytes | None:
        """A stored file; None where it was removed in this moment."""
        if self.remote:
            return self._patiently(self._download, name)
        path = Path(self.root, name)
        return path.read_bytes() if path.is_file() else None

    def _open(self) -> tuple[Any, str]:
        """The file system behind the URI, and the root's path in it."""
        if self._connection is None:
            from pyarrow.fs import FileSystem

            try:
                system, path = FileSystem.from_uri(self.root)
                if not path.strip("/"):
                    raise ValueError("nothing is named")
            except (ValueError, NotImplementedError) as error:
                raise UserError(
                    f"storage: expected a path or a URI such as s3://bucket/path, got {_open_part(self.root)} "
                    f"({_line(error)}); correct it"
                ) from error
            self._connection = system, path.rstrip("/")
        return self._connection

    def _upload(self, content: bytes, name: str) -> None:
        system, root = self._open()
        place = f"{root}/{name}"
        if system.type_name in WHOLE_BY_NATURE:
            self._put(system, place, content)
            return
        temporary = f"{place}.{uuid.uuid4().hex}{UNFINISHED}"
        system.create_dir(place.rpartition("/")[0], recursive=True)
        self._put(system, temporary, content)
        system.move(temporary, place)

    @staticmethod
    def _put(system: Any, place: str, content: bytes) -> None:
        with system.open_output_stream(place) as stream:
            stream.write(content)

    def _download(self, name: str) -> bytes | None:
        system, root = self._open()
        try:
            with system.open_input_stream(f"{root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def _delete(self, name: str) -> None:
        system, root = self._open()
        try:
            system.delete_file(f"{root}/{name}")
        except FileNotFoundError:
            return

    def _stored(self, key: str) -> list[str]:
        """Names below the key, sorted."""
        from pyarrow.fs import FileSelector, FileType

        def names() -> list[str]:
            system, root = self._open()
            base = f"{root}/{_checked(key)}"
            found = system.get_file_info(FileSelector(base, recursive=True, allow_not_found=True))
            files = [str(info.path) for info in found if info.type == FileType.File]
            return sorted(str(PurePosixPath(path).relative_to(base)) for path in files)

        return self._patiently(names)

    def _patiently(self, action: Callable[..., T], *args: Any) -> T:
        """Tries again while the storage is out of reach. Raises UserError in the end."""
        began, pause = time.monotonic(), 0.5
        while True:
            try:
                return action(*args)
            except OSError as error:
                hopeless = isinstance(error, HOPELESS) or any(word in str(error) for word in HOPELESS_WORDS)
                waited = time.monotonic() - began
                if hopeless or waited + pause > PATIENCE:
                    raise OutOfReach(
                        f"storage {_open_part(self.root)}: expected to read and write there, got {_line(error)} "
                        f"(tried for {waited:.0f} s); check address, access and space"
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def _checked(key: str) -> str:
    """A key names a folder below the root and nothing else."""
    parts = PurePosixPath(key).parts
    assert parts and not key.startswith("/") and ".." not in parts, f"key: expected a path below the root, got {key!r}"
    return key


def _stamps(folder: Path) -> dict[str, Stamp]:
    """Name -> (time, inode, size) of every finished file below a folder; hidden ones are files being written."""
    stamps: dict[str, Stamp] = {}
    for path in folder.rglob("[!.]*"):
        with contextlib.suppress(FileNotFoundError):  # removed in this moment
            stat = path.stat()
            if path.is_file():
                stamps[path.relative_to(folder).as_posix()] = stat.st_mtime_ns, stat.st_ino, stat.st_size
    return stamps


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def _open_part(uri: str) -> str:
    """A URI as it may be printed: pyarrow takes a key and its secret in front of an @."""
    return re.sub("://[^/@]*@", "://", uri)


def _line(error: BaseException) -> str:
    return _open_part((str(error).strip().splitlines() or [type(error).__name__])[0])[:300]
