"""numpy's files, believed only after a look: no pickles, and no allocation that the file's own size does not bear out.

A header of a hundred bytes can promise a terabyte, and so can a compressed archive of a megabyte.
"""

import math
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

MOST_BYTES = 1 << 30  # unpacked; what is kept of a record that is a whole day long has half of it


def map_array(path: Path) -> np.ndarray:
    """The array in a .npy file, memory-mapped. Raises ValueError, in one line, where the file holds no such array."""
    return _unless_damaged(lambda: _mapped(path))


def load_arrays(path: Path, most: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a .npz file of at most `most` bytes, unpacked. Raises ValueError, in one line, for all else."""
    return _unless_damaged(lambda: _loaded(path, most))


def _mapped(path: Path) -> np.ndarray:
    with path.open("rb") as stream:
        _check_header(stream, path.stat().st_size)
    return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _loaded(path: Path, most: int) -> dict[str, np.ndarray]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        total = sum(part.file_size for part in parts)
        if total > most:
            raise ValueError(f"{total:.3g} bytes unpacked, more than {most:.3g}")
        for part in parts:
            with archive.open(part) as stream:
                _check_header(stream, part.file_size)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)


def _check_header(stream: IO[bytes], size: int) -> None:
    """Refuses a header of an array that `size` bytes cannot hold. Version 1 is what numpy writes."""
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"npy version {version}, expected (1, 0)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy, on headers that Python 2 wrote
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        raise ValueError("objects, which are pickles; expected numbers or text")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size - stream.tell():
        raise ValueError(f"a header of shape {str(shape)[:60]} and a file of {size} bytes")


def _unless_damaged(read: Any) -> Any:
    try:
        return read()
    except FileNotFoundError:
        raise
    except Exception as fault:  # numpy, zipfile, zlib and tokenize raise many kinds for a damaged file
        text = " ".join(str(fault).split())[:120]
        raise ValueError(text or type(fault).__name__) from None
