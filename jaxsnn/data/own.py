"""Recordings of one's own: a folder for each class, a file for each recording, in any format of `formats`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxsnn.data import formats, recordings
from jaxsnn.data.dataset import DataNotFoundError, Dataset
from jaxsnn.data.events import Binning
from jaxsnn.data.formats import hdf5
from jaxsnn.data.recordings import Recordings

_TEST = 0.2
_HOW = (
    "put recordings there as <class>/<name>.bin, .aedat, .npy, .npz or .h5, or as train/<class>/... and "
    "test/<class>/..."
)


def load(data_dir: Path, cache_dir: Path, *, binning: Binning) -> Dataset:
    """Loads a folder of recordings as frames; classes are numbered in alphabetical order.

    Where the folder holds `train` and `test` these are the splits; else a fifth of each class, drawn once and for all
    by the number of its files, is the test set. The sensor is as large as the largest coordinates of all recordings.

    Args:
      data_dir: folder with `<class>/<file>`, two files a class or more; or with `train` and `test`, which hold such.
      cache_dir: folder of parsed recordings.
      binning: see `events.frames`.

    Returns:
      Samples `[N, T, H, W, C]`, labels int32 `[N]`.

    Raises:
      ValueError: a recording is damaged, a class has too few, or the binning is none that `events.frames` takes.
      DataNotFoundError: there are not two classes, or recordings of a class are missing.
      OSError: a file cannot be read.
    """
    divided = all((data_dir / part).is_dir() for part in ("train", "test"))
    classes = _classes(data_dir / "train" if divided else data_dir)
    suffixes = (*formats.suffixes(), ".h5")
    if divided:
        train, test = (
            [file for _, files in recordings.in_classes(data_dir / part, classes, suffixes, _HOW) for file in files]
            for part in ("train", "test")
        )
    else:
        train, test = _divided([files for _, files in recordings.in_classes(data_dir, classes, suffixes, _HOW)])

    def parse(file: Path) -> Iterator[tuple[np.ndarray, int]]:
        label = classes.index(file.parent.name)
        for recording in hdf5.read(file)[0] if file.suffix == ".h5" else [formats.read(file)]:
            yield recording, label

    splits = [
        recordings.fetch(cache_dir, f"recordings-{part}", data_dir, files, parse)
        for part, files in (("train", train), ("test", test))
    ]
    return recordings.dataset("recordings", splits[0], splits[1], len(classes), binning, _sensor(splits))


def _classes(folder: Path) -> list[str]:
    found = sorted(f.name for f in folder.iterdir() if f.is_dir() and f.name[0] != ".") if folder.is_dir() else []
    if len(found) < 2:
        raise DataNotFoundError(
            f"expected a folder for each of two classes or more in {folder}. {recordings.holds(folder)}. {_HOW}."
        )
    return found


def _divided(classes: list[list[Path]]) -> tuple[list[Path], list[Path]]:
    """A fifth of each class for the test, one file at least."""
    train: list[Path] = []
    test: list[Path] = []
    for files in classes:
        if len(files) < 2:
            raise ValueError(f"expected two recordings or more in {files[0].parent}, one for a test, got {len(files)}")
        order = np.random.RandomState(0).permutation(len(files))  # whose stream NumPy keeps for good
        chosen = set(order[: max(1, round(_TEST * len(files)))].tolist())
        for number, file in enumerate(files):
            (test if number in chosen else train).append(file)
    return train, test


def _sensor(splits: list[Recordings]) -> tuple[int, int]:
    """Height and width that hold every event."""
    height, width = (
        1 + max((int(split.events[field].max()) for split in splits if len(split.events)), default=0) for field in "yx"
    )
    return height, width
