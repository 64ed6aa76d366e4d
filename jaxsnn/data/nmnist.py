"""N-MNIST from its official folder: MNIST's digits, recorded by an event camera that moves in three saccades.

Orchard, Jayawant, Cohen and Thakor, "Converting static image datasets to spiking neuromorphic datasets using saccades",
Frontiers in Neuroscience 9:437, 2015. 60,000 and 10,000 recordings of about 0.3 s, licensed CC BY-SA 4.0.
"""

from pathlib import Path

import numpy as np

from jaxsnn.data import archives, events, recordings
from jaxsnn.data.dataset import Dataset
from jaxsnn.data.events import Binning
from jaxsnn.data.formats import aer
from jaxsnn.data.recordings import Recordings

SENSOR = (34, 34)  # height, width in pixels
CLASSES = 10
ARCHIVES = {
    "Train": archives.Archive("Train.zip", "20959b8e626244a1b502305a9e6e2031"),
    "Test": archives.Archive("Test.zip", "69ca8762b2fe404d9b9bad1103e97832"),
}
_FOLDERS = (".", "nmnist", "N-MNIST")  # where in the data folder the tree may be
_ORIGIN = (
    "N-MNIST is published at www.garrickorchard.com/datasets/n-mnist (Orchard et al. 2015): download Train.zip and "
    "Test.zip there, into one folder, and point data_dir at it"
)


def load(data_dir: Path, cache_dir: Path, *, binning: Binning) -> Dataset:
    """Loads both splits as frames, recordings sorted by digit, then by file name.

    Args:
      data_dir: folder with `Train/<digit>/*.bin` and `Test/<digit>/*.bin`, or with the official archives, or the one
        around it if it is called nmnist or N-MNIST.
      cache_dir: folder of parsed recordings, one file per split, and of what archives held.
      binning: see `events.frames`.

    Returns:
      Samples uint8 `[N, T, 34, 34, 2]`, in all 2,312 bytes per recording and step; labels int32 `[N]`.

    Raises:
      ValueError: the binning is none that `events.frames` takes, a recording or an archive is damaged, or the frames
        do not fit into memory.
      DataNotFoundError: the folder, one of its folders, or every recording of a digit is missing.
      OSError: a file cannot be read.
    """
    events.check_binning(binning, SENSOR)
    places = archives.find("nmnist", data_dir, _FOLDERS, ARCHIVES, cache_dir, _ORIGIN)
    train, test = (read_split(place, cache_dir) for place in places.values())
    return recordings.dataset("nmnist", train, test, CLASSES, binning, SENSOR)


def read_split(folder: Path, cache_dir: Path) -> Recordings:
    """Reads the recordings of one split from the cache, where they are mapped into memory, or else from their files.

    Args:
      folder: `Train` or `Test`, with the folders 0 to 9.
      cache_dir: folder of the cache.

    Raises:
      DataNotFoundError, ValueError, OSError: as `load`.
    """
    digits = [str(digit) for digit in range(CLASSES)]
    files = [file for _, found in recordings.in_classes(folder, digits, (".bin",), _ORIGIN) for file in found]
    parse = recordings.labelled(_parse, lambda file: int(file.parent.name))
    return recordings.fetch(cache_dir, f"nmnist-{folder.name.lower()}", folder, files, parse)


def _parse(data: bytes, name: str) -> np.ndarray:
    recording = recordings.on_sensor(aer.parse(data, name), name, SENSOR)
    if not len(recording):
        raise ValueError(f"{name}: expected at least one event, got none in {len(data)} bytes: copy it anew")
    return recording
