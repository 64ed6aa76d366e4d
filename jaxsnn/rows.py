"""Samples on the host that are read when they are asked for: of an array in memory, or of a file on the disk.

A file is read, not mapped: pages of a map count as memory of the process, and where the file was cut short, or the disk
fails, a map ends the process by a signal, and reading raises an error that names the file.
"""

import copy
import io
import itertools
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

PIECE = 16 * 2**20
"""Bytes of samples that are looked at together; memory grows with it."""


class Rows:
    """Samples `[N, ...]` that are read by number; `rows[numbers]` is an array.

    Args:
      source: an array `[M, ...]`, a map (`np.load(file, mmap_mode="r")`), other `Rows`, or a source: a `File`, or what
        has its `shape`, `dtype`, `read` and `len`.
      chosen: numbers of the samples of `source` that these consist of, `[N]`; None for all, in their order.
      dtype: of the samples; None for that of `source`.
    """

    def __init__(self, source: Any, chosen: np.ndarray | None = None, dtype: Any = None):
        self.dtype = np.dtype(source.dtype if dtype is None else dtype)
        if isinstance(source, Rows):
            chosen = source.chosen if chosen is None else source._places(chosen)
            source = source.source
        self.source: Any = _file_of(source) or source
        self.chosen: np.ndarray | None = None if chosen is None else np.asarray(chosen)
        self.shape: tuple[int, ...] = (
            len(source) if self.chosen is None else len(self.chosen),
            *self.source.shape[1:],
        )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """The samples of an index along the first axis: a number, a slice, numbers of any shape or bools.

        Raises:
          IndexError: if there is no such sample.
          OSError: if the file cannot be read, or has become shorter; it names the file.
        """
        numbers = self._places(index)
        read = getattr(self.source, "read", None)
        found = np.asarray(self.source[numbers]) if read is None else read(numbers)
        return found.astype(self.dtype, copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def settled(self) -> "Rows":
        """The same samples, kept in a file if they would be made at every look."""
        keep = getattr(self.source, "settled", None)
        return self if keep is None else Rows(keep(), self.chosen, self.dtype)

    def _places(self, index: Any) -> np.ndarray:
        """The numbers in the source."""
        numbers = self._numbers(index)
        return numbers if self.chosen is None else self.chosen[numbers]

    def _numbers(self, index: Any) -> np.ndarray:
        if isinstance(index, slice):
            return np.arange(*index.indices(len(self)))
        numbers = np.asarray(index)
        if numbers.dtype == bool:
            numbers = np.flatnonzero(numbers)
        if numbers.size and not -len(self) <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"there are {len(self)} samples, asked for number {numbers.min()} to {numbers.max()}")
        return np.where(numbers < 0, numbers + len(self), numbers)


class File:
    """An array in a file, as bytes of the machine in C order.

    Args:
      path: of the file.
      offset: where the array begins, in bytes.
      shape, dtype: of the array.
      descriptor: of the open file, if it is: its name may have passed to another one. It is duplicated.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        offset: int,
        shape: tuple[int, ...],
        dtype: Any,
        descriptor: int | None = None,
    ):
        self.path, self.offset, self.shape, self.dtype = path, offset, shape, np.dtype(dtype)
        self._lock = threading.Lock()
        self._stream = _Stream(path if descriptor is None else os.dup(descriptor), "rb")

    def reshaped(self, shape: tuple[int, ...]) -> "File":
        """The same bytes in another shape."""
        other = copy.copy(self)
        other.shape = shape
        return other

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of these numbers, `numbers.shape + shape[1:]`; those that follow one another are read at once."""
        flat = np.ravel(numbers)
        result = np.empty((len(flat), *self.shape[1:]), self.dtype)
        size, view = result[:1].nbytes, memoryview(result.reshape(-1).view(np.uint8).data)
        ends = [0, *(np.flatnonzero(np.diff(flat) != 1) + 1).tolist(), len(flat)]
        for begin, end in itertools.pairwise(ends if len(flat) else ()):
            self._fill(view[begin * size : end * size], self.offset + int(flat[begin]) * size)
        return result.reshape(*np.shape(numbers), *self.shape[1:])

    def _fill(self, view: memoryview, position: int) -> None:
        with self._lock:
            try:
                self._stream.seek(position)
                while len(view):
                    if not (count := self._stream.readinto(view)):
                        raise OSError(f"{self.path} has become shorter while it is read: restore it, and resume")
                    view = view[count:]
            except OSError as error:
                if error.errno is None:
                    raise
                raise OSError(error.errno, f"{error.strerror}: cannot read samples", str(self.path)) from error


class _Stream(io.FileIO):
    """A file that is closed when nothing reads it any more, and that is no mistake."""

    def __del__(self) -> None:
        self.close()


def _file_of(source: Any) -> File | None:
    """The part of a file that an array is mapped from; None of other arrays, and of maps that are changed in memory."""
    if not isinstance(source, np.memmap) or source.filename is None or source.mode == "c":
        return None
    if not source.flags.c_contiguous or not source.size:
        return None
    first: Any = source
    while isinstance(first.base, np.memmap):
        first = first.base
    return File(source.filename, first.offset + source.ctypes.data - first.ctypes.data, source.shape, source.dtype)


def pieces(samples: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Samples `[N, ...]`, an array or `Rows`, in parts of about `PIECE` bytes: the number of the first, the part."""
    row = int(np.prod(samples.shape[1:], dtype=np.int64)) * samples.dtype.itemsize
    count = max(1, PIECE // max(row, 1))
    for begin in range(0, len(samples), count):
        yield begin, np.asarray(samples[begin : begin + count])


def not_finite(samples: Any) -> tuple[int, float, list[int], int] | None:
    """The first value of samples that is NaN or infinite: the sample's number, the value, its place in the sample, and
    the number of samples that have such values; None if there is none."""
    first, count = None, 0
    if np.issubdtype(samples.dtype, np.floating):
        for begin, part in pieces(samples):
            if not (finite := np.isfinite(part)).all():
                place = tuple(int(index) for index in np.argwhere(~finite)[0])
                first = first or (begin + place[0], part[place], list(place[1:]))
                count += len(np.unique((~finite).nonzero()[0]))
    return None if first is None else (*first, count)
