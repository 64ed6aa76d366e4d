"""The data of an experiment: loaded, and divided into what is trained on, validated and tested."""

import functools
from typing import Any, NamedTuple

import numpy as np

from jaxsnn import training
from jaxsnn.data import EVENT_DATASETS, Dataset, load
from jaxsnn.lab.config import Config
from jaxsnn.lab.devices import put_samples


def load_data(config: Config) -> Dataset:
    """The data set of an experiment.

    Raises:
      ValueError, OSError, ImportError: as `jaxsnn.data.load`.
    """
    options: dict[str, Any] = {}
    if config.data.dataset in EVENT_DATASETS:
        options = {
            "time_steps": config.network.time_steps,
            "event_bins": config.data.event_bins,
            "event_values": config.data.event_values,
        }
    return load(
        config.data.dataset, data_dir=config.data.data_dir or None, cache_dir=config.data.cache_dir or None, **options
    )


class Sets(NamedTuple):
    """The data of an experiment, on the device."""

    fitting: training.Data
    """What is trained on: the training set without the validation part."""
    validation: training.Data
    test: training.Data


def fold_size(config: Config, count: int) -> int:
    """How many of `count` training samples a fold tests on; 0 without cross-validation."""
    return count // config.data.folds if config.data.folds > 1 else 0


def split(config: Config, data: Dataset, fold: int | None = None) -> Sets:
    """Puts the parts on the device; the validation part is the same for every seed.

    Args:
      config: says how much is held out.
      data: the whole set.
      fold: in cross-validation, which part of the training set is tested on; the test set itself is then left alone.

    Raises:
      ValueError: if nothing is left to train on, or nothing to test on.
    """
    count, size = len(data.train_labels), fold_size(config, len(data.train_labels))
    order = np.random.default_rng(0).permutation(count)
    test_images, test_labels = data.test_images, data.test_labels
    if fold is not None:
        tested, order = order[fold * size :][:size], np.delete(order, np.s_[fold * size : (fold + 1) * size])
        test_images, test_labels = data.train_images[tested], data.train_labels[tested]
    if config.data.validation >= len(order):
        raise ValueError(f"validation={config.data.validation} images leave none of {len(order)} to train on")
    held, kept = order[: config.data.validation], order[config.data.validation :]
    kept = kept[: config.data.limit or None]
    if not len(test_labels):
        raise ValueError(
            f"the test part of {config.data.dataset} is empty"
            + (f": {config.data.folds} folds of {count} training samples" if fold is not None else "")
        )
    put = functools.partial(put_samples, config, num_classes=data.num_classes)
    return Sets(
        put(data.train_images, data.train_labels, kept),
        put(data.train_images, data.train_labels, held),
        put(test_images, test_labels, np.arange(len(test_labels))[: config.data.limit_test or None]),
    )
