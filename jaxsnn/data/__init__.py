"""Data sets as NumPy arrays: `load("mnist")`. Importing this package loads NumPy and nothing heavier."""

import difflib
import os
from functools import partial
from pathlib import Path

from jaxsnn.data import cache, cifar10_dvs, digits, dvs128gesture, generators, nmnist, own, spoken, tfds
from jaxsnn.data.arrays import OWN, from_arrays
from jaxsnn.data.dataset import DataNotFoundError, Dataset, InMemory, Source, Split, check_split, held
from jaxsnn.data.events import Binning
from jaxsnn.data.generators import generate

__all__ = [
    "DATASETS",
    "Binning",
    "DataNotFoundError",
    "Dataset",
    "Source",
    "Split",
    "from_arrays",
    "generate",
    "load",
    "source_of",
]

DATASETS: dict[str, Source] = {
    "digits": Source(lambda *_: digits.load(), "the digits"),
    "mnist": Source(partial(tfds.load, "mnist", 10), "MNIST"),
    "fashion_mnist": Source(partial(tfds.load, "fashion_mnist", 10), "Fashion-MNIST"),
    "cifar10": Source(partial(tfds.load, "cifar10", 10), "CIFAR-10"),
    "svhn_cropped": Source(partial(tfds.load, "svhn_cropped", 10), "SVHN"),
    "nmnist": Source(nmnist.load, "N-MNIST", events=True),
    "dvs128gesture": Source(dvs128gesture.load, "DVS128 Gesture", events=True),
    "cifar10_dvs": Source(cifar10_dvs.load, "CIFAR10-DVS", events=True),
    "shd": Source(partial(spoken.load, "shd"), "the Heidelberg Digits", events=True),
    "ssc": Source(partial(spoken.load, "ssc"), "the Speech Commands", events=True),
    "recordings": Source(own.load, "recordings of one's own", events=True),
    "saccade_digits": Source(partial(generators.load, "saccade_digits"), "digits through saccades", events=True),
    "moving_bars": Source(partial(generators.load, "moving_bars"), "moving bars", events=True),
    "randman": Source(partial(generators.load, "randman"), "random manifolds", events=True),
}
"""Every data set by its name; one that is added here is loaded by its name."""


def source_of(name: str) -> Source:
    """The entry of `DATASETS`; of another name the set of that name which TFDS prepared, or your own data ("own")."""
    return DATASETS.get(name) or Source(partial(tfds.load, name, None), "own data" if name == OWN else name)


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    time_steps: int | None = None,
    event_bins: str = "time",
    event_values: str = "binary",
    event_polarity: str = "apart",
    event_bin_ms: float = 0.0,
    event_crop: tuple[int, ...] = (),
    event_downsample: int = 1,
    event_denoise_ms: float = 0.0,
    in_memory: InMemory = True,
) -> Dataset:
    """Loads a data set, in the order in which its source stores it.

    Args:
      name: one of `DATASETS`, or an image set that TFDS prepared in `data_dir`, as "kmnist" or "eurosat/rgb"; one
        without a split test is split, a fifth of every class.
      data_dir: folder of prepared TFDS data, `<data_dir>/<name>/<version>`; by default that of TFDS, `$TFDS_DATA_DIR`
        or `~/tensorflow_datasets`. A set that is missing there is downloaded and prepared if TensorFlow is installed.
        For "nmnist", the folder with `Train` and `Test`, or the one around it if it is called nmnist or N-MNIST.
      cache_dir: folder of decoded splits; by default `$XDG_CACHE_HOME/jaxsnn` or `~/.cache/jaxsnn`.
      time_steps: number of time steps T of event data, which cannot be loaded without. This and those that follow are
        for event data only; images have no time, and are the same whatever is given. `in_memory` is for both.
      event_bins: the quantity that the bins of event data share equally, "time" or "count" (of events), or "duration".
      event_values: "binary", whether a pixel has events in a bin, or "counts", how many.
      event_polarity: "apart", "merged" or "signed".
      event_bin_ms: the duration of a bin in milliseconds, of event_bins="duration".
      event_crop: top, left, height and width of the part of the sensor that is used; empty for all.
      event_downsample: number of rows and columns, or of channels of a cochlea, that are taken together.
      event_denoise_ms: events without a neighbour in so many milliseconds before them are left out; 0 for none.
      in_memory: False leaves samples in the files of the cache: they are `Rows`, read when they are asked for, and
        streamed by `training.fit`. A function decides by their size in bytes. Frames of recordings that do not fit
        into memory, and sets that are made, are not asked about.

    Returns:
      The set: samples `[N, ...]`, images as uint8 `[N, H, W, C]`, event data as `[N, T, ...]`; labels as int32 `[N]`.

    Raises:
      ValueError: the name is unknown, the prepared data is not array_record or not a labelled uint8 image set, a split
        is missing or empty, labels lie outside the classes, a recording is damaged, or an option of event data is not
        one of those above.
      DataNotFoundError: the set is not in `data_dir`, or only in part, and cannot be prepared here.
      OSError: the prepared data is damaged or incomplete.
      ImportError: a package is missing that this set needs.
    """
    data_path = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    cache_path = Path(cache_dir).expanduser() if cache_dir else cache.default_dir()
    if name not in DATASETS and name not in (prepared := tfds.prepared(data_path)):
        asked, known = str(name).lower(), [*DATASETS, *prepared]
        longer = [entry for entry in known if entry.startswith(asked)] if asked else []
        close = longer or difflib.get_close_matches(asked, known, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"unknown data set {name!r}, expected one of {', '.join(DATASETS)}, or an image set that TFDS prepared in "
            f"{data_path}, which has {', '.join(prepared) or 'none'}{hint}"
        )
    source = source_of(name)
    if not source.events:
        return _checked(held(source.load(data_path, cache_path), in_memory))
    if time_steps is None:
        raise ValueError(f"{name!r} is event data, which is binned into time steps: pass time_steps, as time_steps=20")
    binning = Binning.of(
        time_steps,
        event_bins,
        event_values,
        event_polarity,
        event_bin_ms,
        event_crop,
        event_downsample,
        event_denoise_ms,
    )
    return _checked(held(source.load(data_path, cache_path, binning=binning), in_memory), ndim=2)


def _checked(data: Dataset, ndim: int = 1) -> Dataset:
    train, test = (
        check_split(split, data.num_classes, f"the {part} split of the data set {data.name!r}")
        for part, split in (("train", data.train), ("test", data.test))
    )
    if train.samples.shape[1:] != test.samples.shape[1:]:
        shapes = f"{train.samples.shape[1:]} and {test.samples.shape[1:]}"
        raise ValueError(f"samples of the data set {data.name!r} have other shapes in training than in test: {shapes}")
    if train.samples.ndim < ndim:
        raise ValueError(
            f"the data set {data.name!r} is event data: expected frames [N, T, ...], got {train.samples.shape}"
        )
    return data._replace(train=train, test=test)
