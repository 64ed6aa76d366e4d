"""Decoded splits on disk, one file each, so that the files of a set are decoded once and not at every start.

Samples are in an uncompressed `.npz` (`np.load` opens it) with the members `images` and `labels`, written as they are
decoded and read when they are asked for; the CRC-32 that the zip format keeps of every member is compared first.
Events, which are read once more to be binned and are large, are in an `.arrays` file, to be mapped into memory: arrays
in the `.npy` format, one after the other, then the CRC-32 of all of it in four bytes. A file is never changed once it
has its name, so readers and writers need no lock.

A header is checked against the size of the file before anything is allocated. Later writers remove the leftovers
of killed ones; files of data that has since been prepared anew are not: deleting the folder is safe.
"""

import hashlib
import io
import itertools
import math
import os
import re
import struct
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, TypeVar

import numpy as np

from jaxsnn.data.dataset import Split
from jaxsnn.data.memory import check_room
from jaxsnn.files import write_whole
from jaxsnn.rows import PIECE, File, Rows, pieces

T = TypeVar("T")

_FORMAT = 1  # part of every fingerprint: raise it when the meaning or the layout of the files changes
_CHECKSUM_BYTES = 4
_READ = 2**20  # bytes that are compared with a checksum at once
_NAMES = 26  # where the local header of a zip member has the lengths of its name and of its other fields
_TEMPORARY = re.compile(r"\.([0-9a-f]{32})\.tmp")  # see `write_at_once`
ABANDONED_SECONDS = 3600
"""A temporary file that nobody has written to for this long belongs to a process that was killed."""


class Parts(NamedTuple):
    """A split that is decoded part by part, so that it need not fit into memory."""

    samples: int
    """Their number, of all parts."""
    each: Iterator[Split]
    """The parts, with samples of one shape and dtype."""


class CompressedError(ValueError):
    """An array of a `.npz` file has to be unpacked before it can be read by rows."""


class DecodingError(Exception):
    """A part could not be decoded; the cause says why."""


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


def fetch(path: Path | None, decode: Callable[[], Split | Parts]) -> Split:
    """Finds a split in the cache, or decodes it and keeps it there, as `fetch_or_make` does.

    Args:
      path: the cache file, from `path_for`; None for no cache.
      decode: called for the split when the cache does not have it; its errors are passed on.

    Returns:
      The split. Samples are `Rows` of the cache file, read when they are asked for; an array where it is not written.
    """
    decoded = None
    if path is not None:
        try:
            decoded = fetch_or_make(path, decode, read, write)
        except DecodingError as error:
            raise (error.__cause__ or error) from None
        if isinstance(decoded, Split) and isinstance(decoded.samples, Rows):
            return decoded
        with suppress(OSError):  # it was not written, which has been said
            return read(path)
    decoded = decoded if isinstance(decoded, Split) else decode()  # parts were used up
    if isinstance(decoded, Split):
        return decoded
    parts: list[Split] = []
    for part in decoded.each:
        if not parts:
            size = decoded.samples * part.samples[:1].nbytes
            check_room(size, f"{decoded.samples} samples", "make room for the cache, or give another cache_dir")
        parts.append(part)
    return Split(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


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
    """Verifies a cache file; its samples are read from it when they are asked for.

    Raises:
      FileNotFoundError: there is no such file.
      Exception: of many types, when the file is truncated, corrupted, or something else.
    """
    images, labels = (stored(path, name) for name in ("images", "labels"))
    return Split(images, labels[:])


def write(path: Path, split: Split | Parts) -> None:
    """Writes a cache file, as `write_at_once` does.

    Raises:
      OSError: it cannot be written.
      DecodingError: a part could not be decoded.
    """
    parts = split if isinstance(split, Parts) else Parts(len(split.samples), iter([split]))
    decoded = _decoding(parts.each)
    first = next(decoded)  # before there is a file

    def save(stream: BinaryIO) -> None:
        labels: list[np.ndarray] = []
        with zipfile.ZipFile(stream, "w") as archive:
            with archive.open("images.npy", "w", force_zip64=True) as member:
                _write_header(member, first.samples.dtype, (parts.samples, *first.samples.shape[1:]))
                for samples, some in itertools.chain([first], decoded):
                    labels.append(some)
                    for _, piece in pieces(samples):
                        member.write(np.ascontiguousarray(piece).data)
            whole = np.concatenate(labels)
            with archive.open("labels.npy", "w") as member:
                _write_header(member, whole.dtype, whole.shape)
                member.write(np.ascontiguousarray(whole).data)

    write_at_once(path, save)


def _decoding(parts: Iterator[Split]) -> Iterator[Split]:
    """The parts; errors of decoding are told from those of writing."""
    while True:
        try:
            part = next(parts, None)
        except Exception as error:
            raise DecodingError from error
        if part is None:
            return
        yield part


def _write_header(stream: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


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


def stored(path: Path, name: str) -> Rows:
    """An array of an uncompressed `.npz` file, verified by its checksum and then read when it is asked for.

    Raises:
      FileNotFoundError: there is no such file.
      KeyError: it has no such array.
      CompressedError: the array is compressed.
      Exception: of many types, when the file is truncated, corrupted, or something else.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            raise CompressedError(f"{name} is compressed, in {path}")
        if info.file_size > os.fstat(file.fileno()).st_size:
            raise ValueError(f"{name} is larger than the file: it was not written here")
        with archive.open(info) as stream:
            shape, dtype, size = _read_header(stream)
            begin, left = stream.tell(), info.file_size - stream.tell()
        with archive.open(info) as stream:  # again, since the checksum is not compared after seeking
            while stream.read(_READ):
                pass
        if size != left:
            raise ValueError(f"the header of {name} announces {size} bytes, and {left} are left")
        file.seek(info.header_offset + _NAMES)
        local = sum(struct.unpack("<HH", file.read(4))) + _NAMES + 4  # a local header and its two variable fields
        return Rows(File(path, info.header_offset + local + begin, shape, dtype, file.fileno()))


def unpacked(path: Path, name: str) -> Parts:
    """An array of a compressed `.npz` file, unpacked in parts as they are asked for; labels are 0.

    Raises:
      Exception: of many types, when the file is truncated, corrupted, or something else.
    """
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
        shape, dtype, size = _read_header(stream)
    row = size // max(shape[0], 1)

    def each() -> Iterator[Split]:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
            _read_header(stream)
            left = shape[0]
            while left:
                count = min(left, max(1, PIECE // max(row, 1)))
                part = np.frombuffer(stream.read(count * row), dtype).reshape(count, *shape[1:])
                yield Split(part, np.zeros(count, np.int32))
                left -= count
            if stream.read():  # and with the last byte its checksum is compared
                raise ValueError(f"{name} in {path} has more bytes than its header announces")

    return Parts(shape[0], each())
