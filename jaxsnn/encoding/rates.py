"""Intensities as rates, as currents, and as bits."""

import jax
import jax.numpy as jnp

from jaxsnn.encoding.intensities import check_intensities
from jaxsnn.keys import check_key, draw, fold_in
from jaxsnn.typing import Array, ArrayLike, accumulator


def poisson(key: Array, images: Array, steps: int, *, gain: ArrayLike = 1.0, start: ArrayLike = 0) -> Array:
    """Signed Poisson (Bernoulli) spikes: `s_t = 1[gain |x| > u_t] sign(x)` with fresh uniform `u_t` (E1).

    Args:
      key: random key, or one per sample, `[B]`: then a sample's spikes do not depend on the batch that it is in. Step t
        draws from `fold_in(key, t)`, so a train made in chunks is the same train.
      images: intensities `[B, ...]`, floating; firing probability per step is `min(gain |x|, 1)`.
      steps: number of time steps T.
      gain: scales the rate (the paper halves MNIST's).
      start: number of the first step, for a train made in chunks.

    Returns:
      `[T, B, ...]` in {-1, 0, 1}, in the dtype of `images`.

    Raises:
      ValueError: if T is not at least 1, or there are several keys and not one per sample.
      TypeError: if `images` is not floating, or `key` is no random key.
    """
    check_intensities(images, steps)
    key = check_key(key, len(images))
    wide = accumulator(images.dtype)  # narrow uniforms would be too few to compare small rates with
    rate, sign = jnp.abs(images.astype(wide)) * jnp.asarray(gain, wide), jnp.sign(images)

    def spikes(t: Array) -> Array:
        uniform = draw(lambda key, shape: jax.random.uniform(key, shape, wide), fold_in(key, t), images.shape)
        return jnp.where(rate > uniform, sign, jnp.zeros_like(sign))

    return jax.lax.map(spikes, start + jnp.arange(steps))


def direct(images: Array, steps: int) -> Array:
    """The image itself as input current at every step, `[T, B, ...]`; the first layer's neurons make the spikes.

    Raises:
      ValueError: if T is not at least 1.
      TypeError: if `images` is not floating.
    """
    check_intensities(images, steps)
    return jnp.broadcast_to(images, (steps, *images.shape))


def phase(images: Array, steps: int, *, start: ArrayLike = 0, phases: int = 8, weighted: bool = True) -> Array:
    """Weighted spikes: step t carries bit `k = t mod phases` of the intensity, the largest first, as `bit 2^-(1 + k)`.

    The sum of a period is the intensity in `phases` bits, rounded down; `|x|` is clipped to `1 - 2^-phases`.

    Args:
      images: intensities `[B, ...]`, floating.
      steps: number of time steps to make.
      start: number of the first step, for a train made in chunks.
      phases: number of bits K, after which the train begins again; from 1 to 24, the bits of a float32.
      weighted: False leaves the weights out: spikes in {-1, 0, 1}, for neurons that weight them by the step.

    Returns:
      `[steps, B, ...]` with the sign of the pixel, in the dtype of `images`.

    Raises:
      ValueError: if `steps` is not at least 1, or `phases` is out of range.
      TypeError: if `images` is not floating.

    Source: Kim et al. (2018), Deep neural networks with weighted spikes, Neurocomputing 311:373.
    """
    check_intensities(images, steps)
    if not 1 <= phases <= 24:
        raise ValueError(f"phases must be a number of bits from 1 to 24, got {phases}")
    wide = accumulator(images.dtype)
    size = jnp.abs(images.astype(wide))
    number = jnp.minimum(jnp.floor(size * 2**phases), 2**phases - 1).astype(jnp.int32)
    sign, numbers = jnp.sign(images), (start + jnp.arange(steps, dtype=jnp.int32)) % phases

    def step(k: Array) -> Array:
        weight = jnp.ldexp(jnp.ones((), wide), -1 - k) if weighted else jnp.ones((), wide)
        return sign * (((number >> (phases - 1 - k)) & 1).astype(wide) * weight).astype(images.dtype)

    return jax.vmap(step)(jnp.asarray(numbers))
