"""Images on the device: normalisation and augmentation, as pure functions used inside the train step."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.typing import Array


def to_device(images: np.ndarray, labels: np.ndarray, *, num_classes: int) -> tuple[Array, Array]:
    """Puts a set on the device: images `[N, H, W, C]` or, of event data, frames `[N, T, H, W, C]`, as they are, and
    labels `[N]` as int32.

    Raises:
      ValueError: as `check_set`.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    check_set(images, labels, num_classes=num_classes)
    return jax.device_put(images), jax.device_put(labels.astype(np.int32))


def check_set(images: np.ndarray, labels: np.ndarray, *, num_classes: int) -> None:
    """Checks a set before it is put on devices.

    Raises:
      ValueError: if the set is empty, lengths disagree, images are not of rank 4 or 5, a pixel is NaN or infinite, or a
        label is outside `[0, num_classes)`.
    """
    if images.ndim not in (4, 5) or len(images) != len(labels) or not len(images):
        raise ValueError(
            f"expected images [N, H, W, C] and labels [N], N >= 1, got {images.shape} and {labels.shape}; "
            "images of event data are [N, T, H, W, C]"
        )
    if np.issubdtype(images.dtype, np.floating) and not np.isfinite(images).all():
        bad = ~np.isfinite(images)
        first = tuple(np.argwhere(bad)[0])
        axes = ("step", "row", "column", "channel")[-(images.ndim - 1) :]
        place = ", ".join(f"{axis} {index}" for axis, index in zip(axes, first[1:], strict=True))
        raise ValueError(
            f"image {first[0]} has a value that is not finite ({images[first]} at {place}); "
            f"{len(np.unique(bad.nonzero()[0]))} images are affected: remove or repair them"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"labels must be integers in [0, {num_classes}), got {labels.dtype} {labels.min()} ... {labels.max()}"
        )


def normalise(images: Array, mean: Sequence[float] = (), std: Sequence[float] = ()) -> Array:
    """uint8 images to floating ones in [0, 1], then `(x - mean) / std` per channel where given.

    Args:
      images: `[B, H, W, C]`; uint8 is divided by 255, floating is taken as it is.
      mean, std: one number per channel, or one for all, or none.
    """
    x = images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images
    if len(mean):
        x = x - jnp.asarray(mean, x.dtype).reshape(1, 1, 1, -1)
    if len(std):
        x = x / jnp.asarray(std, x.dtype).reshape(1, 1, 1, -1)
    return x


def event_frames(images: Array) -> Array:
    """Frames of event data to the time-major input of a network, with the numbers as they are.

    Args:
      images: `[B, T, H, W, C]`, uint8 zeros and ones, or counts of events.

    Returns:
      float32 `[T, B, H, W, C]`.
    """
    return jnp.moveaxis(images, 1, 0).astype(jnp.float32)


def shift_and_flip(key: Array, images: Array, *, shift: int, flip: bool) -> Array:
    """Shifts each sample by up to `shift` pixels (zeros come in) and, if `flip`, mirrors half of them left to right.

    With a shift of 4 and the flip this is "pad by 4, crop at random, flip", the usual augmentation of CIFAR-10.

    Args:
      key: random key.
      images: `[B, H, W, C]`, or `[B, T, H, W, C]` with one shift for all steps; any dtype.
      shift: largest shift, in pixels.
      flip: whether to mirror.
    """
    height, width = images.shape[-3:-1]
    shift_key, flip_key = jax.random.split(key)
    offsets = jax.random.randint(shift_key, (len(images), 2), 0, 2 * shift + 1)
    padded = jnp.pad(images, (*((0, 0),) * (images.ndim - 3), (shift, shift), (shift, shift), (0, 0)))

    def crop(image: Array, offset: Array) -> Array:
        rows = jax.lax.dynamic_slice_in_dim(image, offset[0], height, -3)
        return jax.lax.dynamic_slice_in_dim(rows, offset[1], width, -2)

    images = jax.vmap(crop)(padded, offsets)
    if flip:
        turn = jax.random.bernoulli(flip_key, 0.5, (len(images), *(1,) * (images.ndim - 1)))
        images = jnp.where(turn, images[..., ::-1, :], images)
    return images
