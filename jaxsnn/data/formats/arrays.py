"""Recordings in NumPy's own files: `.npy`, a structured array with the fields t, x, y, p; `.npz`, four arrays.

The order of fields and the integer types do not matter: tonic's `xytp` arrays and SpikingJelly's `.npz` are read.
A header is compared with the size of the file before anything is allocated; objects (pickles) are refused.
"""

import io
import math
import warnings
import zipfile

import numpy as np

from jaxsnn.data.events import check_events, recording
from jaxsnn.data.formats.damage import damaged

MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK\x03\x04"
_FIELDS = "txyp"


def parse(data: bytes, name: str) -> np.ndarray:
    """Reads the bytes of a `.npy` file.

    Returns:
      `events.EVENT` `[E]`.

    Raises:
      ValueError: the file is damaged, or holds no structured array of integers t, x, y, p.
    """
    events, begin = _array(data, name, 0)
    names = events.dtype.names or ()
    if set(names) != set(_FIELDS) or events.ndim != 1:
        raise damaged(name, 0, f"expected an array [E] with the fields t, x, y, p, got {_shown(events)}")
    return _recording({field: events[field] for field in _FIELDS}, name, begin)


def parse_zip(data: bytes, name: str) -> np.ndarray:
    """Reads the bytes of a `.npz` file.

    Returns:
      `events.EVENT` `[E]`.

    Raises:
      ValueError: the file is damaged, or does not hold arrays of integers t, x, y, p.
    """
    arrays = {}
    for field in _FIELDS:
        offset = 0
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                info = archive.getinfo(f"{field}.npy")
                offset = max(info.header_offset, 0)
                member = archive.read(info)  # grows with what is decompressed, whatever the header announces
        except Exception as error:  # damaged bytes make zipfile raise nearly anything
            raise damaged(name, offset, f"expected a zip with t.npy, x.npy, y.npy and p.npy, got {error!r}") from error
        arrays[field], _ = _array(member, name, offset)
    return _recording(arrays, name, 0)


def encode(events: np.ndarray, name: str) -> bytes:
    """Writes a recording as the bytes of a `.npy` file."""
    check_events(events)
    stream = io.BytesIO()
    np.save(stream, events, allow_pickle=False)
    return stream.getvalue()


def encode_zip(events: np.ndarray, name: str) -> bytes:
    """Writes a recording as the bytes of a `.npz` file, uncompressed."""
    check_events(events)
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **{field: events[field] for field in _FIELDS})
    return stream.getvalue()


def _array(data: bytes, name: str, offset: int) -> tuple[np.ndarray, int]:
    """The array of a `.npy` file, a view, and where its numbers begin."""
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            version = np.lib.format.read_magic(stream)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, in_columns, dtype = read(stream)
            size = math.prod(shape) * dtype.itemsize
    except Exception as error:  # as do damaged headers
        raise damaged(name, offset, f"expected a header of NumPy's format, got {error!r}") from error
    begin = stream.tell()
    if dtype.hasobject or in_columns or dtype.itemsize == 0 or min(shape, default=0) < 0:
        raise damaged(name, offset, f"expected an array of numbers in rows, got {dtype} {shape}")
    if size != len(data) - begin:
        raise damaged(name, offset + begin, f"expected {size} bytes of {dtype} {shape}, got {len(data) - begin}")
    return np.frombuffer(data, dtype, offset=begin).reshape(shape), begin


def _recording(arrays: dict[str, np.ndarray], name: str, offset: int) -> np.ndarray:
    try:
        return recording(*(arrays[field] for field in _FIELDS))
    except ValueError as error:
        raise damaged(name, offset, f"expected events, got {error}") from error


def _shown(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"
