"""Your own data by its path: a `.npz` file, or a folder of pictures."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxsnn.data.arrays import from_arrays
from jaxsnn.data.dataset import DataNotFoundError, Dataset

KEYS = ("x_train", "y_train", "x_test", "y_test")


def load(path: Path, *, size: int = 0) -> Dataset:
    """The data of a `.npz` file with the arrays x_train, y_train, x_test, y_test or x, y; or of a folder of pictures.

    Args:
      path: the file or folder.
      size: see `pictures.load`; of pictures alone.

    Returns:
      The set; uint8 `[N, H, W]` of a file are grey images and get their channel. See `from_arrays` for the rest.

    Raises:
      DataNotFoundError: there is no such path.
      ValueError, TypeError: the file is damaged, its arrays are not those above, or as `from_arrays`, `pictures.load`.
    """
    if path.is_dir():
        from jaxsnn.data import pictures

        return pictures.load(path, size=size)
    if not path.exists():
        raise DataNotFoundError(f"there is no {path}: give a .npz file or a folder of pictures with --data")
    if size:
        raise ValueError(f"size={size} is for folders of pictures, got {path}")
    arrays = _arrays(path)
    try:
        if "x_train" in arrays:
            test = (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None
            return from_arrays((arrays["x_train"], arrays["y_train"]), test)
        return from_arrays((arrays["x"], arrays["y"]))
    except KeyError as error:
        raise ValueError(
            f"{path} has the arrays {', '.join(arrays) or 'none'}, expected {', '.join(KEYS)}, or x, y"
        ) from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream:  # np.load leaves a damaged file open
            file: Any = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is one array, without labels")
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as a .npz file of plain arrays ({error})") from error
    return {
        name: x[..., None] if name.startswith("x") and x.dtype == np.uint8 and x.ndim == 3 else x
        for name, x in arrays.items()
    }
