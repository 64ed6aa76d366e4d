"""Decoded splits on disk, one file each, so that the files of a set are decoded once and not at every start.

Samples are in an uncompressed `.npz` (`np.load` opens it) with the members `images` and `labels`; the CRC-32 that the
zip format keeps of every member is compared on each read. Events, which are read once more to be binned and are large,
are in an `.arrays` file, to be mapped into memory: arrays in the `.npy` format, one after the other, then the CRC-32 of
all of it in four bytes. A file is never changed once it has its name, so readers and writers need no lock.

A header is checked against the size of the file before anything is allocated. Later writers remove the leftovers
of killed ones; files of data that has since been prepared anew are not: deleting the folder is safe.
"""

import hashlib
import io
import math
import os
import re
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, TypeVar

import numpy as np

from jaxsnn.data.dataset import Split
from jaxsnn.files import write_whole

T = TypeVar("T")

_FORMAT = 1  # part of every fingerprint: raise it when the meaning or the layout of the files changes
_CHECKSUM_BYTES = 4
_TEMPORARY = re.compile(r"\.([0-9a-f]{32})\.tmp")  # see `write_at_once`
ABANDONED_SECONDS = 3600
"""A temporary file that nobody has written to for this long belongs to a process that was killed."""


def default_dir() -> Path:
    """The user's cache folder for this package: `$XDG_CACHE_HOME/jaxsnn`, else `~/.cache/jaxsnn`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxsnn"


def path_for(cache_dir: Path, source: Path, split: str) -> Path:
    """Names the cache file of one split.

    Args:
      cache_dir: folder of the cache.
      source: folder of the prepared data, `<data_dir>/<name>/<version>`.
      split: name of the split.

    Returns:
      `<cache_dir>/<name>-<version>-<split>-<fingerprint of source>.npz`.

    Raises:
      OSError: `source` cannot be read.
    """
    return cache_dir / f"{source.parent.name}-{source.name}-{split}-{fingerprint(source)}.npz"


def fingerprint(source: Path) -> str:
    """Sixteen hex digits that change when the prepared data moves, is replaced or is prepared anew.

    Made from the resolved path, the contents of `dataset_info.json`, and the name, size and modification time of every
    file: reading the data itself would cost the time the cache is there to save.

    Args:
      source: folder of the prepared data, with a `dataset_info.json`.

    Raises:
      OSError: `source` cannot be read.
    """
    return digest(source, sorted(source.iterdir()), (source / "dataset_info.json").read_bytes())


def digest(folder: Path, files: Iterable[Path], contents: bytes = b"") -> str:
    """Sixteen hex digits made from the resolved path of `folder`, the name, size and modification time of its `files`,
    and `contents`.

    Raises:
      OSError: a file is not there.
    """
    stats = [(file.relative_to(folder).as_posix(), s.st_size, s.st_mtime_ns) for file in files for s in [file.stat()]]
    return hashlib.sha256(repr((_FORMAT, str(folder.resolve()), stats, contents)).encode()).hexdigest()[:16]


def fetch(path: Path, decode: Callable[[], Split]) -> Split:
    """Reads a split from the cache, or decodes it and keeps it there, as `fetch_or_make` does.

    Args:
      path: the cache file, from `path_for`.
      decode: called for the split when the cache does not have it; its errors are passed on.

    Returns:
      The split, in ordinary writable arrays.
    """
    return fetch_or_make(path, decode, read, write)


def fetch_or_make(
    path: Path, make: Callable[[], T], reader: Callable[[Path], T], writer: Callable[[Path, T], None]
) -> T:
    """Reads something from its cache file, or makes it and keeps it there.

    Trouble with the cache never stops a run. A file that is damaged or cannot be read is rebuilt, and a file that
    cannot be written is done without, each with a `RuntimeWarning` that names it.

    Args:
      path: the cache file.
      make: called when the cache does not have it; its errors are passed on.
      reader: reads the file; raises FileNotFoundError if there is none, and anything if it is damaged.
      writer: writes the file; raises OSError if it cannot.
    """
    try:
        return reader(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # damaged bytes make zipfile and NumPy raise nearly anything; the remedy is the same
        message = f"rebuilding the cache file {path}, which cannot be used: {error!r}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    made = make()
    try:
        writer(path, made)
    except OSError as error:
        message = f"going on uncached, since the cache file {path} cannot be written: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    return made


def read(path: Path) -> Split:
    """Reads and verifies a cache file.

    Raises:
      FileNotFoundError: there is no such file.
      Exception: of many types, when the file is truncated, corrupted, or something else.
    """
    with zipfile.ZipFile(path) as archive:
        return Split(_read_array(archive, "images"), _read_array(archive, "labels"))


def write(path: Path, split: Split) -> None:
    """Writes a cache file, as `write_at_once` does."""
    write_at_once(path, lambda stream: np.savez(stream, images=split.samples, labels=split.labels))


def map_arrays(path: Path) -> list[np.ndarray]:
    """Verifies an `.arrays` file and maps it into memory.

    Returns:
      The arrays, read-only views of the file, in the order in which they were written.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is truncated, corrupted, or something else.
    """
    arrays = []
    with path.open("rb") as stream:  # one open file for both uses: the name may pass to a new file in between
        whole = np.asarray(np.memmap(stream, np.uint8, "r"))
        end = len(whole) - _CHECKSUM_BYTES
        if end < 0 or zlib.crc32(whole[:end].data) != int.from_bytes(whole[end:].tobytes(), "little"):
            raise ValueError("its contents do not match its checksum")
        position = 0
        while position < end:
            stream.seek(position)
            shape, dtype, size = _read_header(stream)
            begin = stream.tell()
            position = begin + size
            if position > end:
                raise ValueError(f"a header announces {size} bytes, and {max(end - begin, 0)} are left")
            arrays.append(whole[begin:position].view(dtype).reshape(shape))
    return arrays


def write_arrays(path: Path, arrays: Iterable[np.ndarray]) -> None:
    """Writes an `.arrays` file, as `write_at_once` does; large items before small ones keep all of them aligned."""

    def save(stream: BinaryIO) -> None:
        checksum = 0
        for array in map(np.ascontiguousarray, arrays):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
            for part in (header.getvalue(), array.data):
                checksum = zlib.crc32(part, checksum)
                stream.write(part)
        stream.write(checksum.to_bytes(_CHECKSUM_BYTES, "little"))

    write_at_once(path, save)


def write_at_once(path: Path, save: Callable[[BinaryIO], None]) -> None:
    """Writes a file in one step as seen from other processes, making its folder if need be.

    Args:
      path: the file.
      save: writes the contents.

    Raises:
      OSError: the folder or the file cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path.parent)
    write_whole(path, save)


def _remove_abandoned(folder: Path) -> None:
    """Removes the temporary files of writers that were killed."""
    for file in folder.glob(".*.tmp"):
        with suppress(OSError):  # another process may have removed it, or the file may be somebody else's
            if _TEMPORARY.fullmatch(file.name) and time.time() - file.stat().st_mtime > ABANDONED_SECONDS:
                file.unlink()


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, dtype and size in bytes of the array that follows.

    Raises:
      ValueError: there is no header, or one that describes no plain array.
    """
    if np.lib.format.read_magic(stream) != (1, 0):  # the version that np.savez and write_arrays write
        raise ValueError("an array has a header of another version than 1.0")
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    if min(shape, default=0) < 0 or dtype.hasobject or in_columns:
        raise ValueError(f"a header describes no array that was written here: {dtype} {shape}")
    return shape, dtype, math.prod(shape) * dtype.itemsize  # Python's integers, which do not overflow


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > os.fstat(archive.fp.fileno()).st_size:  # type: ignore[union-attr]
        raise ValueError(f"{name} is compressed, or larger than the file: it was not written here")
    with archive.open(info) as stream:
        _, _, size = _read_header(stream)
        left = info.file_size - stream.tell()
    if size > left:
        raise ValueError(f"the header of {name} announces {size} bytes, and {left} are left")
    with archive.open(info) as stream:  # again, since the checksum is not compared after seeking
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
        # zipfile compares the checksum when the last byte of a member is read, and a damaged header can ask for less.
        if stream.read():
            raise ValueError(f"{name} has more bytes than its header announces")
    return array
