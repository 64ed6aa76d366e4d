"""N-MNIST from its official folder: MNIST's digits, recorded by an event camera that moves in three saccades.

Orchard, Jayawant, Cohen and Thakor, "Converting static image datasets to spiking neuromorphic datasets using saccades",
Frontiers in Neuroscience 9:437, 2015. 60,000 and 10,000 recordings of about 0.3 s, licensed CC BY-SA 4.0.
"""

from functools import partial
from pathlib import Path

import numpy as np

from jaxsnn.data import cache, events
from jaxsnn.data.dataset import DataNotFoundError, Dataset, Split
from jaxsnn.data.events import Recordings
from jaxsnn.data.memory import check_room

SENSOR = (34, 34)  # height, width in pixels
CLASSES = 10
_FOLDERS = (".", "nmnist", "N-MNIST")  # where in the data folder the tree may be
_ORIGIN = (
    "N-MNIST is published at www.garrickorchard.com/datasets/n-mnist (Orchard et al. 2015): download Train.zip and "
    "Test.zip there, unpack both in one folder, and point data_dir at it"
)


def load(data_dir: Path, cache_dir: Path, *, steps: int, by: str = "time", values: str = "binary") -> Dataset:
    """Loads both splits as frames, recordings sorted by digit, then by file name.

    Args:
      data_dir: folder with `Train/<digit>/*.bin` and `Test/<digit>/*.bin`, or the one around it if it is called nmnist
        or N-MNIST.
      cache_dir: folder of parsed recordings, one file per split; see `cache.fetch_or_make`.
      steps, by, values: how events are binned, see `events.frames`.

    Returns:
      Samples uint8 `[N, steps, 34, 34, 2]`, in all 2,312 bytes per recording and step; labels int32 `[N]`.

    Raises:
      ValueError: `steps`, `by` or `values` is not one that `events.frames` takes, a recording is damaged, or the frames
        do not fit into memory.
      DataNotFoundError: the folder, one of its folders, or every recording of a digit is missing.
      OSError: a file cannot be read.
    """
    events.check_bins(steps, by, values)
    root = _root(data_dir)
    recordings = [read_split(root / split, cache_dir) for split in ("Train", "Test")]
    count = sum(len(split.labels) for split in recordings)
    check_room(
        count * steps * 2 * SENSOR[0] * SENSOR[1],
        f"{count} recordings in {steps} frames each",
        "use fewer time steps, or a folder with fewer recordings",
    )
    train, test = (
        Split(events.frames(split, steps, by=by, values=values, sensor=SENSOR), split.labels) for split in recordings
    )
    bins = "time" if by == "time" else "event count"
    numbers = "binary" if values == "binary" else "counts up to 255"
    description = f"{steps} bins of equal {bins}, {numbers}"
    return Dataset("nmnist", train, test, CLASSES, description)


def read_split(folder: Path, cache_dir: Path) -> Recordings:
    """Reads the recordings of one split from the cache, where they are mapped into memory, or else from their files.

    Args:
      folder: `Train` or `Test`, with the folders 0 to 9.
      cache_dir: folder of the cache.

    Raises:
      DataNotFoundError, ValueError, OSError: as `load`.
    """
    files = _files(folder)
    path = cache_dir / f"nmnist-{folder.name.lower()}-{cache.digest(folder, files)}.arrays"
    return cache.fetch_or_make(path, partial(_parse, files, folder.name), _read, _write)


def _root(data_dir: Path) -> Path:
    """The folder that holds Train and Test."""
    places = [data_dir / folder for folder in _FOLDERS]
    for place in places:
        if all((place / split).is_dir() for split in ("Train", "Test")):
            return place
    there = ". ".join(_holds(place) for place in places if place.is_dir()) or f"{data_dir} is not a folder"
    raise DataNotFoundError(
        "the data set 'nmnist' is not there: expected the folders Train and Test in "
        f"{', '.join(map(str, places[:-1]))} or {places[-1]}. {there}. {_ORIGIN}."
    )


def _holds(folder: Path, shown: int = 8) -> str:
    """The content of a folder in words, for errors."""
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{folder} holds {', '.join(names[:shown]) or 'nothing'}{more}"


def _files(folder: Path) -> list[Path]:
    """The recordings of a split, sorted by digit, then by name."""
    digits = [folder / str(digit) for digit in range(CLASSES)]
    if missing := [digit.name for digit in digits if not digit.is_dir()]:
        raise DataNotFoundError(
            f"expected the folders 0 to 9 in {folder}, without {', '.join(missing)}. {_holds(folder)}. {_ORIGIN}."
        )
    files = []
    for digit in digits:
        # Hidden files are none of the set: unpacking on macOS leaves a ._00001.bin beside 00001.bin.
        recordings = sorted(file for file in digit.iterdir() if file.suffix == ".bin" and not file.name.startswith("."))
        if not recordings:
            raise DataNotFoundError(f"expected recordings (*.bin) in {digit}. {_holds(digit)}. {_ORIGIN}.")
        files += recordings
    return files


def _parse(files: list[Path], split: str) -> Recordings:
    from tqdm import tqdm

    progress = tqdm(files, desc=f"nmnist {split.lower()}", unit="recording", disable=None)
    parsed = [events.parse_aer(file.read_bytes(), str(file), SENSOR) for file in progress]
    x, y, polarity, time = (np.concatenate(arrays) for arrays in zip(*parsed, strict=True))
    starts = np.cumsum([0, *(len(recording[0]) for recording in parsed)], dtype=np.int64)
    labels = np.array([int(file.parent.name) for file in files], np.int32)
    return Recordings(x, y, polarity, time, starts, labels)


def _write(path: Path, recordings: Recordings) -> None:
    x, y, polarity, time, starts, labels = recordings
    cache.write_arrays(path, (starts, time, labels, x, y, polarity))


def _read(path: Path) -> Recordings:
    starts, time, labels, x, y, polarity = cache.map_arrays(path)
    recordings = Recordings(x, y, polarity, time, starts, labels)
    kinds = tuple((array.dtype, array.ndim) for array in recordings)
    if kinds != tuple((np.dtype(dtype), 1) for dtype in ("u1", "u1", "u1", "i4", "i8", "i4")):
        raise ValueError(f"its arrays are of other kinds than those of recordings: {kinds}")
    sizes = {len(array) for array in recordings[:4]}
    if len(starts) != len(labels) + 1 or sizes != {int(starts[-1])} or starts[0] or (np.diff(starts) < 0).any():
        raise ValueError("the starts of its recordings do not fit its events and labels")
    return recordings
