"""Spoken words through an artificial cochlea of 700 channels: the Heidelberg Digits (SHD) and Speech Commands (SSC).

Cramer, Stradmann, Schemmel and Zenke, "The Heidelberg spiking data sets for the systematic evaluation of spiking neural
networks", IEEE Transactions on Neural Networks and Learning Systems 33:2744, 2022; licensed CC BY 4.0. SHD: 20 classes,
8,156 and 2,264 recordings, two speakers in the test set alone. SSC: 35 classes, 75,466, 9,981 and 20,382.
"""

import math
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsnn.data import archives, cache, events
from jaxsnn.data.dataset import Dataset, Split
from jaxsnn.data.events import Binning
from jaxsnn.data.formats import hdf5


class Words(NamedTuple):
    """A data set of this kind."""

    title: str
    classes: int
    md5: dict[str, str]
    """Name of a file without `.h5` to the checksum of its official archive `.h5.zip`."""


SETS = {
    "shd": Words(
        "the Heidelberg Digits",
        20,
        {"shd_train": "f3252aeb598ac776c1b526422d90eecb", "shd_test": "1503a5064faa34311c398fb0a1ed0a6f"},
    ),
    "ssc": Words(
        "the Speech Commands",
        35,
        {
            "ssc_train": "d102be95e7144fcc0553d1f45ba94170",
            "ssc_valid": "b4eee3516a4a90dd0c71a6ac23a8ae43",
            "ssc_test": "a35ff1e9cffdd02a20eb850c17c37748",
        },
    ),
}


def load(name: str, data_dir: Path, cache_dir: Path, *, binning: Binning) -> Dataset:
    """Loads both splits as rasters; the first bin begins at time 0, where the word's recording does.

    The validation part of SSC is left out: runs hold out their own from the training part.

    Args:
      name: key of `SETS`.
      data_dir: folder with the files `<name>_train.h5` and `<name>_test.h5`, or their official archives `.h5.zip`, or
        the one around it if it is called as the set.
      cache_dir: folder of rasters, one file per split and binning, and of what archives held.
      binning: see `events.frames`; `downsample` neighbouring channels are pooled.

    Returns:
      Samples uint8 `[N, T, C]`, C = 700 or fewer if channels are pooled; labels int32 `[N]`.

    Raises:
      ValueError: a file or an archive is damaged, polarities are not "apart", there is a crop or denoising, or the
        binning is none that `events.frames` takes.
      DataNotFoundError: a file is missing.
      OSError: a file cannot be read.
      ImportError: h5py is missing.
    """
    check(name, binning)
    words = SETS[name]
    origin = (
        f"{words.title} are published at zenkelab.org/resources/spiking-heidelberg-datasets-shd (Cramer et al. 2022): "
        "download these files, or their .zip, into one folder, and point data_dir at it"
    )
    found = {
        f"{part}.h5": archives.Archive(f"{part}.h5.zip", md5) for part, md5 in words.md5.items() if "valid" not in part
    }
    folders = (".", name, name.upper())
    train, test = (
        cache.fetch(
            cache_dir / f"{path.stem}-{cache.digest(path.parent, [path], repr(binning).encode())}.npz",
            partial(read, path, binning),
        )
        for path in archives.find(name, data_dir, folders, found, cache_dir, origin).values()
    )
    return Dataset(name, train, test, words.classes, binning.describe())


def read(path: Path, binning: Binning) -> Split:
    """The recordings of one file as a raster `[N, T, C]`, recording after recording; raises as `load`."""
    shape, samples, labels = raster_shape(binning, hdf5.CHANNELS), [], []
    for number, (recording, label) in enumerate(hdf5.walk(path)):
        try:
            samples.append(raster(recording, binning, hdf5.CHANNELS))
        except ValueError as error:
            raise ValueError(f"{path}: recording {number}: {error}") from error
        labels.append(label)
    return Split(np.array(samples, np.uint8).reshape(-1, *shape), np.array(labels, np.int32))


def raster_shape(binning: Binning, channels: int) -> tuple[int, int]:
    """Steps and channels of a raster."""
    return binning.steps, math.ceil(channels / binning.downsample)


def raster(recording: np.ndarray, binning: Binning, channels: int) -> np.ndarray:
    """Bins a recording without rows and polarities, from time 0 on, `[T, C]`."""
    made = events.frames(recording, size=(1, channels), start=0, **binning._replace(polarity="merged")._asdict())
    return made[:, 0, :, 0]


def check(name: str, binning: Binning) -> None:
    """Checks that the binning asks nothing that rasters do not have.

    Raises:
      ValueError: naming the option.
    """
    events.check_binning(binning)
    for option in ("polarity", "crop", "denoise"):
        if getattr(binning, option) != Binning._field_defaults[option]:
            raise ValueError(
                f"{name!r} has channels, no pixels and polarities: leave event_{option} out, got "
                f"{getattr(binning, option)}"
            )
