"""Event data that needs no download: made here, the same for the same seed, and written in the official formats."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsnn.data import cache, formats, recordings, spoken
from jaxsnn.data.dataset import Dataset, Split
from jaxsnn.data.events import Binning, check_binning
from jaxsnn.data.formats import hdf5
from jaxsnn.data.generators import bars, randman, saccades
from jaxsnn.data.recordings import Recordings

_VERSION = 1
"""Part of the names of cache files: raise it when a generator makes other recordings."""


class Generator(NamedTuple):
    """A data set that is made."""

    make: Callable[[int], tuple[Recordings, Recordings]]
    """Seed to training and test recordings."""
    size: tuple[int, int]
    """Height and width of the sensor; of a cochlea, 1 and its channels."""
    num_classes: int
    write: Callable[[Path, Recordings, Recordings], None]
    """Writes both splits into a folder in an official layout."""


def load(name: str, data_dir: Path, cache_dir: Path, *, binning: Binning) -> Dataset:
    """Makes a set with the seed 0, or reads it from the cache, and bins it.

    Raises:
      ValueError: the binning is none that `events.frames` takes, or asks of rasters what they do not have.
      ImportError: a package is missing that this set needs.
    """
    generator = GENERATORS[name]
    is_raster = generator.size[0] == 1
    check_binning(binning, generator.size)
    if is_raster:
        spoken.check(name, binning)
    train, test = _cached(name, cache_dir)
    if not is_raster:
        return recordings.dataset(name, train, test, generator.num_classes, binning, generator.size)
    channels = generator.size[1]
    splits = [
        Split(np.stack([spoken.raster(recording, binning, channels) for recording in part.each()]), part.labels)
        for part in (train, test)
    ]
    return Dataset(name, splits[0], splits[1], generator.num_classes, binning.describe())


def generate(name: str, folder: str | Path, *, seed: int = 0) -> None:
    """Writes a generated set into a folder, in the layout and format of an official one.

    saccade_digits is written as N-MNIST is (`--dataset=nmnist --data_dir=<folder>`), moving_bars as folders of AEDAT
    3.1 files (`--dataset=recordings`), randman as SHD is (`--dataset=shd`).

    Args:
      name: key of `GENERATORS`.
      folder: new or empty.
      seed: another one makes other recordings.

    Raises:
      ValueError: the name is unknown, or the folder holds something.
      ImportError: a package is missing that this set or format needs.
      OSError: a file cannot be written.
    """
    if name not in GENERATORS:
        raise ValueError(f"unknown generator {name!r}, expected one of {', '.join(GENERATORS)}")
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise ValueError(f"expected an empty folder for {name}. {recordings.holds(path)}: choose another one")
    generator = GENERATORS[name]
    generator.write(path, *generator.make(seed))


def _cached(name: str, cache_dir: Path) -> tuple[Recordings, Recordings]:
    made: list[tuple[Recordings, Recordings]] = []

    def make(part: int) -> Recordings:
        made[:] = made or [GENERATORS[name].make(0)]
        return made[0][part]

    paths = [cache_dir / f"{name}-{part}-made-{_VERSION}.arrays" for part in ("train", "test")]
    train, test = (
        cache.fetch_or_make(path, partial(make, part), recordings.load_arrays, recordings.save_arrays)
        for part, path in enumerate(paths)
    )
    return train._replace(file=paths[0]), test._replace(file=paths[1])


def _files(places: tuple[str, str], classes: tuple[str, ...], suffix: str) -> Callable[..., None]:
    """A writer of `<split>/<class>/<number><suffix>`."""

    def write(folder: Path, *splits: Recordings) -> None:
        for place, split in zip(places, splits, strict=True):
            for name in classes:
                (folder / place / name).mkdir(parents=True)
            for number, (recording, label) in enumerate(zip(split.each(), split.labels.tolist(), strict=True), 1):
                formats.write(folder / place / classes[label] / f"{number:05d}{suffix}", recording)

    return write


def _words(folder: Path, *splits: Recordings) -> None:
    for part, split in zip(("train", "test"), splits, strict=True):
        hdf5.write(folder / f"shd_{part}.h5", list(split.each()), split.labels)


GENERATORS: dict[str, Generator] = {
    "saccade_digits": Generator(
        saccades.make,
        saccades.SENSOR,
        saccades.CLASSES,
        _files(("Train", "Test"), tuple(map(str, range(saccades.CLASSES))), ".bin"),
    ),
    "moving_bars": Generator(
        bars.make, bars.SENSOR, len(bars.DIRECTIONS), _files(("train", "test"), bars.DIRECTIONS, ".aedat")
    ),
    "randman": Generator(randman.make, (1, randman.UNITS), randman.CLASSES, _words),
}
"""Every generator by the name of its data set."""
