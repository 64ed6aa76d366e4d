"""Samples on the device: normalisation and augmentation, as pure functions used inside the train step."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.keys import check_key, draw, fold_in
from jaxsnn.rows import Rows, not_finite
from jaxsnn.typing import Array, accumulator

FILLS = {"zero": "constant", "reflect": "reflect"}
"""The pixels that come in at a shift, by the names that NumPy has for them."""


def to_device(samples: np.ndarray, labels: np.ndarray, *, num_classes: int) -> tuple[Array, Array]:
    """Puts a set on the device: samples `[N, ...]` of any rank as they are, and labels `[N]` as int32.

    Raises:
      ValueError: as `check_set`.
    """
    samples, labels = np.asarray(samples), np.asarray(labels)
    check_set(samples, labels, num_classes=num_classes)
    return jax.device_put(samples), jax.device_put(labels.astype(np.int32))


def check_set(samples: np.ndarray | Rows, labels: np.ndarray, *, num_classes: int) -> None:
    """Checks a set before it is put on devices.

    Raises:
      ValueError: if the set is empty, lengths disagree, samples have no axis but the first, a number is NaN or
        infinite, or a label is outside `[0, num_classes)`.
    """
    if samples.ndim < 2 or labels.shape != samples.shape[:1] or not len(samples):
        raise ValueError(
            f"expected samples [N, ...] and labels [N], N >= 1, got {samples.shape} and {labels.shape}; images are "
            "[N, H, W, C], event data [N, T, ...]"
        )
    if (found := not_finite(samples)) is not None:
        number, value, place, count = found
        raise ValueError(
            f"sample {number} has a value that is not finite ({value} at {place}); "
            f"{count} samples are affected: remove or repair them"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"labels must be integers in [0, {num_classes}), got {labels.dtype} {labels.min()} ... {labels.max()}"
        )


def normalise(samples: Array, mean: Sequence[float] = (), std: Sequence[float] = ()) -> Array:
    """uint8 samples to floating ones in [0, 1], then `(x - mean) / std` per channel where given.

    Args:
      samples: `[B, ...]`, channels last; uint8 is divided by 255, floating is taken as it is.
      mean, std: one number per channel (of the last axis), or one for all, or none.

    Returns:
      An array of the shape of `samples`, float32 at least.

    Raises:
      ValueError: if `mean` or `std` holds neither one number nor one per channel.
      TypeError: if samples are neither uint8 nor floating.
    """
    if samples.dtype != jnp.uint8 and not jnp.issubdtype(samples.dtype, jnp.floating):
        raise TypeError(f"samples must be uint8 (0 to 255) or floating, got {samples.dtype}: divide by their largest")
    x = samples.astype(jnp.float32) / 255 if samples.dtype == jnp.uint8 else samples.astype(accumulator(samples.dtype))
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) not in (0, 1, x.shape[-1]):
            raise ValueError(
                f"{name} needs one number, or one for each of the {x.shape[-1]} channels, got {len(numbers)}"
            )
    shape = (1,) * (x.ndim - 1) + (-1,)
    if len(mean):
        x = x - jnp.asarray(mean, x.dtype).reshape(shape)
    if len(std):
        x = x / jnp.asarray(std, x.dtype).reshape(shape)
    return x


def shift_and_flip(key: Array, images: Array, *, shift: int, flip: bool, fill: str = "zero") -> Array:
    """Shifts each sample by up to `shift` pixels and, if `flip`, mirrors half of them left to right.

    With a shift of 4 and the flip this is "pad by 4, crop at random, flip", the usual augmentation of CIFAR-10.

    Args:
      key: random key, or one per sample, `[B]`: then a sample's change does not depend on the batch that it is in.
      images: `[B, H, W, C]`, or `[B, T, H, W, C]` with one shift for all steps; any dtype.
      shift: largest shift, in pixels.
      flip: whether to mirror.
      fill: the pixels that come in: "zero", or "reflect", the image mirrored at its border.

    Raises:
      ValueError: if samples are no images, the shift is not smaller than they are, `fill` is unknown, or there are
        several keys and not one per sample.
    """
    check_maps("shift and flip", images)
    if fill not in FILLS:
        raise ValueError(f"fill must be one of {', '.join(FILLS)}, got {fill!r}")
    height, width = images.shape[-3:-1]
    if not 0 <= shift < min(height, width):
        raise ValueError(f"shift must lie in [0, {min(height, width)}) for images of {height}x{width}, got {shift}")
    key = check_key(key, len(images))
    shift_key, flip_key = fold_in(key, 0), fold_in(key, 1)
    offsets = draw(lambda key, shape: jax.random.randint(key, shape, 0, 2 * shift + 1), shift_key, (len(images), 2))
    padded = jnp.pad(images, (*((0, 0),) * (images.ndim - 3), (shift, shift), (shift, shift), (0, 0)), FILLS[fill])

    def crop(image: Array, offset: Array) -> Array:
        rows = jax.lax.dynamic_slice_in_dim(image, offset[0], height, -3)
        return jax.lax.dynamic_slice_in_dim(rows, offset[1], width, -2)

    images = jax.vmap(crop)(padded, offsets)
    if flip:
        sides = (len(images), *(1,) * (images.ndim - 1))
        turn = draw(lambda key, shape: jax.random.bernoulli(key, 0.5, shape), flip_key, sides)
        images = jnp.where(turn, images[..., ::-1, :], images)
    return images


def check_maps(what: str, samples: Array) -> None:
    """Raises ValueError unless samples are images or recordings, with height, width and channels."""
    if samples.ndim not in (4, 5):
        raise ValueError(
            f"{what}: expected images [B, H, W, C] or frames [B, T, H, W, C], got samples of shape {samples.shape}; "
            "leave it out for samples that are no images"
        )
