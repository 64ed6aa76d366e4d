"""Augmentations of training samples, each switched on by its fields in the data group."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax

from jaxsnn.data.prepare import shift_and_flip
from jaxsnn.keys import fold_in

if TYPE_CHECKING:
    from jaxsnn.lab.groups import DataConfig


class Augmentation(NamedTuple):
    """A random change of training samples that keeps their labels."""

    on: Callable[["DataConfig"], bool]
    apply: Callable[["DataConfig", jax.Array, jax.Array], jax.Array]
    """`(data, key, images [B, ...]) -> images`; `key` is one for the batch, or one per sample, `[B]`."""


AUGMENTATIONS: dict[str, Augmentation] = {
    "shift and flip": Augmentation(
        lambda data: bool(data.shift or data.flip),
        lambda data, key, images: shift_and_flip(key, images, shift=data.shift, flip=data.flip),
    ),
}


def augment(data: "DataConfig", key: jax.Array, images: jax.Array) -> jax.Array:
    """Applies those that are on, in the order of the table, each with a key of its own."""
    for number, augmentation in enumerate(AUGMENTATIONS.values()):
        if augmentation.on(data):
            images = augmentation.apply(data, fold_in(key, number), images)
    return images
