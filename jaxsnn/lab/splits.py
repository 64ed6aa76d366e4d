"""The data of an experiment: loaded, and divided into what is trained on, validated and tested."""

import functools
from typing import Any, NamedTuple

import numpy as np

from jaxsnn import training
from jaxsnn.data import DATASETS, Dataset, Split, load
from jaxsnn.lab.config import Config
from jaxsnn.lab.devices import put_samples


def load_data(config: Config) -> Dataset:
    """The data set of an experiment.

    Raises:
      ValueError, OSError, ImportError: as `jaxsnn.data.load`.
    """
    options: dict[str, Any] = {}
    if DATASETS[config.dataset].events:
        options = {
            "time_steps": config.time_steps,
            "event_bins": config.event_bins,
            "event_values": config.event_values,
        }
    return load(config.dataset, data_dir=config.data_dir or None, cache_dir=config.cache_dir or None, **options)


class Sets(NamedTuple):
    """The data of an experiment, on the device."""

    fitting: training.Data
    """What is trained on: the training set without the validation part."""
    validation: training.Data
    test: training.Data


def fold_size(config: Config, count: int) -> int:
    """How many of `count` training samples a fold tests on; 0 without cross-validation."""
    return count // config.folds if config.folds > 1 else 0


def split(config: Config, data: Dataset, fold: int | None = None) -> Sets:
    """Puts the parts on the device; the validation part is the same for every seed.

    Args:
      config: says how much is held out.
      data: the whole set.
      fold: in cross-validation, which part of the training set is tested on; the test set itself is then left alone.

    Raises:
      ValueError: if nothing is left to train on, or nothing to test on.
    """
    train, test, count = data.train, data.test, len(data.train.labels)
    size = fold_size(config, count)
    order = np.random.default_rng(0).permutation(count)
    if fold is not None:
        tested, order = order[fold * size :][:size], np.delete(order, np.s_[fold * size : (fold + 1) * size])
        test = Split(train.samples[tested], train.labels[tested])
    if config.validation >= len(order):
        raise ValueError(f"validation={config.validation} images leave none of {len(order)} to train on")
    held, kept = order[: config.validation], order[config.validation :]
    kept = kept[: config.limit or None]
    if not len(test.labels):
        raise ValueError(
            f"the test part of {config.dataset} is empty"
            + (f": {config.folds} folds of {count} training samples" if fold is not None else "")
        )
    put = functools.partial(put_samples, config, num_classes=data.num_classes)
    return Sets(
        put(*train, kept),
        put(*train, held),
        put(*test, np.arange(len(test.labels))[: config.limit_test or None]),
    )
