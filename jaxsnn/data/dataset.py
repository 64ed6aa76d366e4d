"""A data set in memory, and the record of the table that says where one comes from."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxsnn.data.memory import check_room
from jaxsnn.rows import Rows

DISTRIBUTION = "."  # what pip installs, from a checkout, until there is a published one


class DataNotFoundError(FileNotFoundError):
    """The set is not prepared in the data folder and cannot be prepared here."""


class Split(NamedTuple):
    """The examples of one split."""

    samples: Any
    """`[N, ...]` of any rank and dtype: images uint8 `[N, H, W, C]`, frames of event data `[N, T, ...]`, ... An array,
    or `Rows` of a file that is read when they are asked for."""
    labels: np.ndarray
    """int32 `[N]`, in [0, num_classes)."""


class Dataset(NamedTuple):
    """A classification set in memory."""

    name: str
    train: Split
    test: Split
    num_classes: int
    description: str = ""
    """How the samples were made from recordings, as "20 bins of equal time, binary"."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of their numbers; empty where the numbers are the names."""


class Source(NamedTuple):
    """Where a data set comes from; an entry of `data.DATASETS`."""

    load: Callable[..., Dataset]
    """`(data_dir, cache_dir) -> Dataset`; of event data also `binning=`, an `events.Binning`."""
    title: str
    """The name that people use: "CIFAR-10"."""
    events: bool = False
    """Whether samples are frames `[N, T, ...]`, which are fed as they are, one per time step."""


InMemory = bool | Callable[[int], bool]
"""Whether samples that take so many bytes are read into memory."""


def held(data: Dataset, in_memory: InMemory = True) -> Dataset:
    """The set with its samples in memory, in ordinary arrays; or, where `in_memory` says no, in files.

    Raises:
      ValueError: if they do not fit.
    """
    size = sum(part.samples.nbytes for part in (data.train, data.test) if isinstance(part.samples, Rows))
    if not size:
        return data
    if inside := in_memory(size) if callable(in_memory) else in_memory:
        each = f"{len(data.train.labels) + len(data.test.labels)} samples {list(data.train.samples.shape[1:])}"
        check_room(size, f"{each} of {data.name}", "let them stay in their files (--stream=auto, or in_memory=False)")
    train, test = (
        part._replace(samples=np.asarray(part.samples) if inside else part.samples.settled())
        if isinstance(part.samples, Rows)
        else part
        for part in (data.train, data.test)
    )
    return data._replace(train=train, test=test)


def as_samples(samples: Any) -> Any:
    """An array, or `Rows` where the samples are in a file that is mapped into memory."""
    if isinstance(samples, np.memmap):
        return Rows(samples)
    return samples if isinstance(samples, Rows) else np.asarray(samples)


def part_of(samples: Any, numbers: np.ndarray) -> Any:
    """The samples of these numbers; of `Rows` nothing is read."""
    return Rows(samples, numbers) if isinstance(samples, Rows) else samples[numbers]


def check_split(split: Split, num_classes: int, origin: str) -> Split:
    """Returns the split with labels as int32.

    Args:
      split: `[N, ...]` and `[N]`.
      num_classes: of the set.
      origin: the split, its set and its place, for errors.

    Raises:
      ValueError: if there is no sample, or labels are not one integer in [0, num_classes) for each.
    """
    samples, labels = as_samples(split.samples), np.asarray(split.labels)
    if samples.ndim == 0 or not len(samples):
        raise ValueError(f"{origin} is empty: expected samples [N, ...], N >= 1, got {list(samples.shape)}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != samples.shape[:1]:
        raise ValueError(
            f"{origin}: expected one integer label for each of the {len(samples)} samples, got {labels.dtype} "
            f"{list(labels.shape)}"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"{origin}: expected labels in [0, {num_classes}), got {labels.min()} to {labels.max()}")
    return Split(samples, labels.astype(np.int32))


def check_images(split: Split, num_classes: int, origin: str) -> Split:
    """As `check_split`, for images.

    Raises:
      ValueError: also if samples are not uint8 `[N, H, W, C]`.
    """
    samples = as_samples(split.samples)
    if samples.dtype != np.uint8 or samples.ndim != 4:
        raise ValueError(f"{origin}: expected images uint8 [N, H, W, C], got {samples.dtype} {list(samples.shape)}")
    return check_split(split, num_classes, origin)
