"""Augmentations of training samples, each switched on by its fields in the data group."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsnn.data import augmentation as how
from jaxsnn.data import source_of
from jaxsnn.data.prepare import shift_and_flip
from jaxsnn.keys import fold_in
from jaxsnn.training import Visit
from jaxsnn.typing import Array

if TYPE_CHECKING:
    from jaxsnn.lab.data import DataConfig


class Augmentation(NamedTuple):
    """A random change of training samples."""

    on: Callable[["DataConfig"], bool]
    apply: Callable[["DataConfig", Array, Visit, int], Visit]
    """`(data, key, visit, number of classes) -> visit`; `key` is for this augmentation, one per sample, `[B]`."""


def of_samples(change: Callable[["DataConfig", Array, Array], Array]) -> Callable[..., Visit]:
    """The `apply` of an augmentation that keeps labels: `change` is `(data, key, samples [B, ...]) -> samples`."""
    return lambda data, key, visit, classes: visit._replace(samples=change(data, key, visit.samples))


def _alternating_flip(data: "DataConfig", key: Array, visit: Visit, classes: int) -> Visit:
    return visit._replace(samples=how.alternating_flip(visit.lasting, visit.samples, visit.epoch))


def _mixup(data: "DataConfig", key: Array, visit: Visit, classes: int) -> Visit:
    events = source_of(data.dataset).events  # whose bytes are numbers of events, not 255ths
    samples = visit.samples.astype(jnp.float32) if events else visit.samples
    samples, labels = how.mixup(key, samples, visit.labels, alpha=data.mixup, num_classes=classes)
    return visit._replace(samples=samples, labels=labels)


def _mean(data: "DataConfig", samples: Array) -> Any:
    """The value of a pixel that normalisation will make 0."""
    mean = np.asarray(data.mean or (0.0,))
    return np.round(255 * mean).astype(np.int32) if samples.dtype == jnp.uint8 else mean


AUGMENTATIONS: dict[str, Augmentation] = {
    "shift and flip": Augmentation(
        lambda data: bool(data.shift or (data.flip and not data.flip_alternating)),
        of_samples(
            lambda data, key, images: shift_and_flip(
                key, images, shift=data.shift, flip=data.flip and not data.flip_alternating, fill=data.shift_fill
            )
        ),
    ),
    "alternating flip": Augmentation(lambda data: data.flip_alternating, _alternating_flip),
    "cutout": Augmentation(
        lambda data: data.cutout > 0,
        of_samples(lambda data, key, x: how.cutout(key, x, size=data.cutout, fill=_mean(data, x))),
    ),
    "random erasing": Augmentation(
        lambda data: data.random_erasing > 0,
        of_samples(
            lambda data, key, x: how.random_erasing(key, x, probability=data.random_erasing, fill=_mean(data, x))
        ),
    ),
    "drop events": Augmentation(
        lambda data: data.drop_events > 0,
        of_samples(lambda data, key, x: how.drop_events(key, x, probability=data.drop_events)),
    ),
    "time jitter": Augmentation(
        lambda data: data.time_jitter > 0,
        of_samples(
            lambda data, key, x: how.jitter_events(key, x, steps=data.time_jitter, binary=data.event_values == "binary")
        ),
    ),
    "mixup": Augmentation(lambda data: data.mixup > 0, _mixup),
    "rotate and zoom": Augmentation(
        lambda data: data.rotate > 0 or data.zoom > 0,
        of_samples(lambda data, key, x: how.turn(key, x, rotate=data.rotate, zoom=data.zoom, fill=_mean(data, x))),
    ),
}
"""Every augmentation by its name, in the order in which they are applied. A new one goes to the end: its place numbers
the key of each, so that in front it would change the random numbers of earlier runs."""


def augments(data: "DataConfig") -> bool:
    """Whether any augmentation is on."""
    return any(augmentation.on(data) for augmentation in AUGMENTATIONS.values())


def augment(data: "DataConfig", key: Array, visit: Visit, classes: int) -> Visit:
    """Applies those that are on, in the order of the table, each with a key of its own."""
    for number, augmentation in enumerate(AUGMENTATIONS.values()):
        if augmentation.on(data):
            visit = augmentation.apply(data, fold_in(key, number), visit, classes)
    return visit
