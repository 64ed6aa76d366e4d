"""Decoded splits on disk, one file each, so that the PNGs of a set are decoded once and not at every start.

A file is an uncompressed `.npz` (`np.load` opens it) with the members `images` and `labels`; the CRC-32 that the zip
format keeps of every member is compared on each read. A file is never changed once it has its name, so readers and
writers need no lock. Files of data that has since been prepared anew are not removed: deleting the folder is safe.
"""

import hashlib
import os
import uuid
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

_FORMAT = 1  # part of every fingerprint: raise it when the meaning or the layout of the files changes


class Split(NamedTuple):
    """The examples of one split."""

    images: np.ndarray  # uint8 [N, H, W, C]
    labels: np.ndarray  # int32 [N]


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
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(source.iterdir())]
    info = (source / "dataset_info.json").read_bytes()
    return hashlib.sha256(repr((_FORMAT, str(source.resolve()), stats, info)).encode()).hexdigest()[:16]


def fetch(path: Path, decode: Callable[[], Split]) -> Split:
    """Reads a split from the cache, or decodes it and keeps it there.

    Trouble with the cache never stops a run. A file that is damaged or cannot be read is rebuilt, and a file that
    cannot be written is done without, each with a `RuntimeWarning` that names it.

    Args:
      path: the cache file, from `path_for`.
      decode: called for the split when the cache does not have it; what it raises is passed on.

    Returns:
      The split, in ordinary writable arrays.
    """
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # damaged bytes make zipfile and NumPy raise nearly anything; the remedy is the same
        message = f"rebuilding the cache file {path}, which cannot be used: {error!r}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    split = decode()
    try:
        write(path, split)
    except OSError as error:
        message = f"going on uncached, since the cache file {path} cannot be written: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return split


def read(path: Path) -> Split:
    """Reads and verifies a cache file.

    Raises:
      FileNotFoundError: there is no such file.
      Exception: of many types, when the file is truncated, corrupted, or something else.
    """
    with zipfile.ZipFile(path) as archive:
        return Split(_read_array(archive, "images"), _read_array(archive, "labels"))


def write(path: Path, split: Split) -> None:
    """Writes a cache file in one step as seen from other processes, making its folder if need be.

    Raises:
      OSError: the folder or the file cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because os.replace is atomic only within a file system; with a name of its own, because two
    # processes may write the same split at once (both write the same contents, so it does not matter who is last).
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as stream:
            np.savez(stream, images=split.images, labels=split.labels)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
        # zipfile compares the checksum when the last byte of a member is read, and a damaged header can ask for less.
        if stream.read():
            raise ValueError(f"{name} has more bytes than its header announces")
    return array
