"""Images to input spikes over time, `[B, ...]` to `[T, B, ...]`, for any shape behind the batch."""

import jax
import jax.numpy as jnp

from jaxsnn.checks import check_steps
from jaxsnn.typing import Array, ArrayLike


def poisson(key: Array, images: Array, steps: int, *, gain: ArrayLike = 1.0, start: ArrayLike = 0) -> Array:
    """Signed Poisson (Bernoulli) spikes: `s_t = 1[gain |x| > u_t] sign(x)` with fresh uniform `u_t` (E1).

    Args:
      key: typed random key; step t draws from `fold_in(key, t)`, so a train made in pieces is the same train.
      images: intensities `[B, ...]`, floating; firing probability per step is `min(gain |x|, 1)`.
      steps: number of time steps T.
      gain: scales the rate (the paper halves MNIST's).
      start: number of the first step, for a train made in pieces.

    Returns:
      `[T, B, ...]` in {-1, 0, 1}, in the dtype of `images`.

    Raises:
      ValueError: if T is not at least 1.
      TypeError: if `images` is not floating.
    """
    _check(images, steps)
    rate, sign = jnp.abs(images) * gain, jnp.sign(images)

    def spikes(t: Array) -> Array:
        uniform = jax.random.uniform(jax.random.fold_in(key, t), images.shape, images.dtype)
        return jnp.where(rate > uniform, sign, jnp.zeros_like(sign))

    return jax.lax.map(spikes, start + jnp.arange(steps))


def direct(images: Array, steps: int) -> Array:
    """The image itself as input current at every step, `[T, B, ...]`; the first layer's neurons make the spikes.

    Raises:
      ValueError: if T is not at least 1.
      TypeError: if `images` is not floating.
    """
    _check(images, steps)
    return jnp.broadcast_to(images, (steps, *images.shape))


def latency(images: Array, steps: int, *, smallest: float = 0.01) -> Array:
    """Time to first spike: one spike per pixel, the brighter the earlier; `t = round((1 - |x|) (T - 1))`.

    Args:
      images: intensities `[B, ...]`, floating; `|x|` is clipped to 1.
      steps: number of time steps T.
      smallest: intensities below this never spike.

    Returns:
      `[T, B, ...]` in {-1, 0, 1} (the sign of the pixel), in the dtype of `images`.

    Raises:
      ValueError: if T is not at least 1.
      TypeError: if `images` is not floating.
    """
    _check(images, steps)
    size = jnp.minimum(jnp.abs(images), 1)
    time = jnp.round((1 - size) * (steps - 1)).astype(jnp.int32)
    sign = jnp.where(size >= smallest, jnp.sign(images), jnp.zeros_like(images))
    return jax.vmap(lambda t: jnp.where(time == t, sign, jnp.zeros_like(sign)))(jnp.arange(steps))


def _check(images: Array, steps: int) -> None:
    check_steps(steps)
    if not jnp.issubdtype(jnp.result_type(images), jnp.floating):
        raise TypeError(
            f"encoding needs floating intensities, got dtype {jnp.result_type(images)}; "
            "for uint8 images: images.astype('float32') / 255"
        )
