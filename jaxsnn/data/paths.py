"""Your own data by its path: a `.npz` file, or a folder of pictures."""

import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxsnn.data import array_files, cache
from jaxsnn.data.arrays import from_arrays
from jaxsnn.data.dataset import DataNotFoundError, Dataset, InMemory
from jaxsnn.rows import Rows

KEYS = ("x_train", "y_train", "x_test", "y_test")


def load(path: Path, *, size: int = 0, cache_dir: Path | None = None, in_memory: InMemory = True) -> Dataset:
    """The data of a `.npz` file with the arrays x_train, y_train, x_test, y_test or x, y; or of a folder of pictures.

    Args:
      path: the file or folder.
      size: see `pictures.load`; of pictures alone.
      cache_dir: folder for decoded pictures, and for compressed arrays that are not read into memory; None for none.
      in_memory: as of `data.load`; arrays that are not in memory are read from the file, or from `cache_dir`.

    Returns:
      The set; uint8 `[N, H, W]` of a file are grey images and get their channel. See `from_arrays` for the rest.

    Raises:
      DataNotFoundError: there is no such path.
      ValueError, TypeError: the file is damaged, its arrays are not those above, or as `from_arrays`, `pictures.load`.
    """
    if path.is_dir():
        from jaxsnn.data import pictures

        return pictures.load(path, size=size, cache_dir=cache_dir, in_memory=in_memory)
    if not path.exists():
        raise DataNotFoundError(f"there is no {path}: give a .npz file or a folder of pictures with --data")
    if size:
        raise ValueError(f"size={size} is for folders of pictures, got {path}")
    arrays = _arrays(path, cache_dir, in_memory)
    try:
        if "x_train" in arrays:
            test = (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None
            return from_arrays((arrays["x_train"], arrays["y_train"]), test)
        return from_arrays((arrays["x"], arrays["y"]))
    except KeyError as error:
        raise ValueError(
            f"{path} has the arrays {', '.join(arrays) or 'none'}, expected {', '.join(KEYS)}, or x, y"
        ) from error


def _arrays(path: Path, cache_dir: Path | None, in_memory: InMemory) -> dict[str, Any]:
    """The arrays of a file; samples that are not to be in memory are `Rows`."""
    try:
        with path.open("rb") as stream:  # np.load leaves a damaged file open
            file: Any = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is one array, without labels")
            with zipfile.ZipFile(path) as archive:
                size = sum(one.file_size for one in archive.infolist() if one.filename.startswith("x"))
            large = not (in_memory(size) if callable(in_memory) else in_memory)
            arrays = {
                name: _on_disk(path, name, cache_dir) if large and name.startswith("x") else file[name]
                for name in file.files
            }
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as a .npz file of plain arrays ({error})") from error
    return {name: _with_channel(x) if name.startswith("x") else x for name, x in arrays.items()}


def _on_disk(path: Path, name: str, cache_dir: Path | None) -> Rows:
    """An array of a `.npz` file that is read from there, or from the cache if it has to be unpacked first."""
    try:
        return array_files.stored(path, name)
    except array_files.CompressedError:
        if cache_dir is None:
            raise
    kept = cache_dir / f"{path.stem}-{name}-{cache.digest(path.parent, [path])}.npz"
    samples = cache.fetch(kept, partial(cache.unpacked, path, name)).samples
    assert isinstance(samples, Rows)
    return samples


def _with_channel(samples: Any) -> Any:
    """Samples, grey images `[N, H, W]` with a channel."""
    if samples.dtype != np.uint8 or samples.ndim != 3:
        return samples
    if isinstance(samples, Rows):
        return Rows(samples.source.reshaped((*samples.shape, 1)))
    return samples[..., None]
