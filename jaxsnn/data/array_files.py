"""Files of NumPy arrays that are checked before they are used, and read when they are asked for.

An `.npz` file is a zip of arrays in the `.npy` format; the CRC-32 that the zip format keeps of every member is compared
first. An `.arrays` file, to be mapped into memory, is arrays in the `.npy` format, one after the other, then the CRC-32
of all of it in four bytes. A header is checked against the size of the file before anything is allocated. A file is
never changed once it has its name, so readers and writers need no lock.
"""

import io
import math
import os
import re
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from jaxsnn.files import write_whole
from jaxsnn.rows import File, Rows

_CHECKSUM_BYTES = 4
_READ = 2**20  # bytes that are compared with a checksum at once
_NAMES = 26  # where the local header of a zip member has the lengths of its name and of its other fields
_TEMPORARY = re.compile(r"\.([0-9a-f]{32})\.tmp")  # see `write_at_once`
ABANDONED_SECONDS = 3600
"""A temporary file that nobody has written to for this long belongs to a process that was killed."""


class CompressedError(ValueError):
    """An array of a `.npz` file has to be unpacked before it can be read by rows."""


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
            shape, dtype, size = read_header(stream)
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


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, int]:
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
            shape, dtype, size = read_header(stream)
            begin, left = stream.tell(), info.file_size - stream.tell()
        with archive.open(info) as stream:  # again, since the checksum is not compared after seeking
            while stream.read(_READ):
                pass
        if size != left:
            raise ValueError(f"the header of {name} announces {size} bytes, and {left} are left")
        file.seek(info.header_offset + _NAMES)
        local = sum(struct.unpack("<HH", file.read(4))) + _NAMES + 4  # a local header and its two variable fields
        return Rows(File(path, info.header_offset + local + begin, shape, dtype, file.fileno()))


def write_header(stream: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Begins an array of this type and shape; its bytes come next."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
