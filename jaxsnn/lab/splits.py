"""The data of an experiment: loaded, and divided into fitting, validation and test samples."""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsnn import training
from jaxsnn.data import Dataset, cache, load, paths, source_of
from jaxsnn.data.arrays import OWN
from jaxsnn.lab.config import Config
from jaxsnn.lab.devices import fits, put_samples, streams


def load_data(config: Config) -> Dataset:
    """The data set of an experiment.

    Raises:
      ValueError, OSError, ImportError: as `jaxsnn.data.load`.
    """

    def in_memory(size: int) -> bool:
        return config.run.stream != "always" and fits(config, size)

    if config.data.dataset == OWN:
        folder = Path(config.data.cache_dir).expanduser() if config.data.cache_dir else cache.default_dir()
        return paths.load(Path(config.data.data), size=config.data.size, cache_dir=folder, in_memory=in_memory)
    options: dict[str, Any] = {"in_memory": in_memory}
    if source_of(config.data.dataset).events:
        options |= {"time_steps": config.network.time_steps, **config.data.event_options()}
    return load(
        config.data.dataset, data_dir=config.data.data_dir or None, cache_dir=config.data.cache_dir or None, **options
    )


class Sets(NamedTuple):
    """The data of an experiment, on the device, or with its samples on the host."""

    fitting: training.Data
    """The training set without the validation part."""
    validation: training.Tested
    test: training.Tested


class Sizes(NamedTuple):
    """How many samples the parts have, in every fold the same."""

    fitting: int
    validation: int
    test: int
    fold: int
    """Training samples that are left out for a test; 0 without cross-validation."""


def sizes(config: Config, data: Dataset) -> Sizes:
    """The sizes of the parts, checked against all that depends on them, and on the shape of a sample.

    Raises:
      ValueError: if nothing is left to train on, less than a batch, or nothing to test on; if a shift is not smaller
        than the image, or `mean` or `std` are not one number or one per channel.
    """
    chosen, count = config.data, len(data.train.labels)
    fold = count // chosen.folds if chosen.folds > 1 else 0
    tested = fold if chosen.folds > 1 else len(data.test.labels)
    left = count - fold - chosen.validation
    if left < 1:
        raise ValueError(f"validation={chosen.validation} images leave none of {count - fold} to train on")
    fitting = min(left, chosen.limit or left)
    if fitting < config.training.batch_size:
        raise ValueError(f"batch_size={config.training.batch_size} is more than the {fitting} training samples")
    if tested < 1:
        raise _empty(config, count if chosen.folds > 1 else 0)
    *maps, channels = data.train.samples.shape[1:]
    height, width = maps[-2:] if len(maps) > 1 else (0, 0)
    if (chosen.shift or chosen.flip) and chosen.shift >= min(height, width):
        raise ValueError(f"shift={chosen.shift} must be smaller than the images, which have {height} x {width} pixels")
    for name, numbers in (("mean", chosen.mean), ("std", chosen.std)):
        if len(numbers) not in (0, 1, channels):
            raise ValueError(f"{name} takes one number or one for each of {channels} channels, got {len(numbers)}")
    return Sizes(fitting, chosen.validation, min(tested, chosen.limit_test or tested), fold)


def _empty(config: Config, parted: int = 0) -> ValueError:
    """The error that nothing is left to test on, of `parted` samples that folds have parted."""
    folds = f": {config.data.folds} folds of {parted} training samples" if parted else ""
    return ValueError(f"the test part of {config.data.dataset} is empty{folds}")


def split(config: Config, data: Dataset, fold: int | None = None) -> Sets:
    """Puts the parts on the device, or leaves samples on the host (`devices.streams`).

    The validation part is the same for every seed.

    Args:
      config: says how much is held out.
      data: the whole set.
      fold: in cross-validation, which part of the training set is tested on; the test set itself is then left alone.

    Raises:
      ValueError: as `sizes`.
    """
    train, test, count = data.train, data.test, sizes(config, data)
    order = np.random.default_rng(0).permutation(len(train.labels))
    tested = np.arange(len(test.labels))
    if fold is not None:
        test, part = train, np.s_[fold * count.fold : (fold + 1) * count.fold]
        tested, order = order[part], np.delete(order, part)
    if not len(tested):
        raise _empty(config)
    held, kept = order[: count.validation], order[count.validation :][: count.fitting]
    put = functools.partial(put_samples, config, num_classes=data.num_classes, stream=streams(config, data))
    return Sets(
        put(*train, kept),
        training.Tested(*put(*train, held), np.int32(0)),
        training.Tested(*put(*test, tested[: count.test]), np.int32(1)),
    )
