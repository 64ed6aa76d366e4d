"""Decoded splits on disk, one file each, so that the files of a set are decoded once and not at every start.

Samples are in an uncompressed `.npz` (`np.load` opens it) with the members `images` and `labels`, written as they are
decoded and read when they are asked for. Events, which are read once more to be binned and are large, are in an
`.arrays` file (`jaxsnn.data.array_files`). Later writers remove the leftovers of killed ones; files of data that has
since been prepared anew are not: deleting the folder is safe.
"""

import hashlib
import itertools
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np

from jaxsnn.data.array_files import read_header, stored, write_at_once, write_header
from jaxsnn.data.dataset import Split
from jaxsnn.data.memory import check_room
from jaxsnn.rows import PIECE, Rows, pieces

T = TypeVar("T")

_FORMAT = 1  # part of every fingerprint: raise it when the meaning or the layout of the files changes


class Parts(NamedTuple):
    """A split that is decoded part by part, so that it need not fit into memory."""

    samples: int
    """Their number, of all parts."""
    each: Iterator[Split]
    """The parts, with samples of one shape and dtype."""


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
                write_header(member, first.samples.dtype, (parts.samples, *first.samples.shape[1:]))
                for samples, some in itertools.chain([first], decoded):
                    labels.append(some)
                    for _, piece in pieces(samples):
                        member.write(np.ascontiguousarray(piece).data)
            whole = np.concatenate(labels)
            with archive.open("labels.npy", "w") as member:
                write_header(member, whole.dtype, whole.shape)
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


def unpacked(path: Path, name: str) -> Parts:
    """An array of a compressed `.npz` file, unpacked in parts as they are asked for; labels are 0.

    Raises:
      Exception: of many types, when the file is truncated, corrupted, or something else.
    """
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
        shape, dtype, size = read_header(stream)
    row = size // max(shape[0], 1)

    def each() -> Iterator[Split]:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
            read_header(stream)
            left = shape[0]
            while left:
                count = min(left, max(1, PIECE // max(row, 1)))
                part = np.frombuffer(stream.read(count * row), dtype).reshape(count, *shape[1:])
                yield Split(part, np.zeros(count, np.int32))
                left -= count
            if stream.read():  # and with the last byte its checksum is compared
                raise ValueError(f"{name} in {path} has more bytes than its header announces")

    return Parts(shape[0], each())
