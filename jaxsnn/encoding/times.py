"""Intensities as the times of spikes, of one neuron or of a population."""

import jax
import jax.numpy as jnp

from jaxsnn.checks import check_steps
from jaxsnn.encoding.intensities import check_intensities
from jaxsnn.typing import Array, ArrayLike, accumulator


def latency(
    images: Array, steps: int, *, start: ArrayLike = 0, total: int | None = None, smallest: float = 0.01
) -> Array:
    """Time to first spike: one spike per pixel, the brighter the earlier; `t = round((1 - |x|) (T - 1))`.

    Args:
      images: intensities `[B, ...]`, floating; `|x|` is clipped to 1.
      steps: number of time steps to make.
      start: number of the first step, for a train made in chunks.
      total: T, after which the train begins again; None for `steps`.
      smallest: intensities below this never spike.

    Returns:
      `[steps, B, ...]` in {-1, 0, 1} (the sign of the pixel), in the dtype of `images`.

    Raises:
      ValueError: if `steps` or `total` is not at least 1.
      TypeError: if `images` is not floating.
    """
    check_intensities(images, steps)
    total = steps if total is None else total
    check_steps(total)
    size = jnp.minimum(jnp.abs(images.astype(accumulator(images.dtype))), 1)
    time = jnp.round((1 - size) * (total - 1)).astype(jnp.int32)
    sign = jnp.where(size >= smallest, jnp.sign(images), jnp.zeros_like(images))
    numbers = (start + jnp.arange(steps, dtype=jnp.int32)) % total
    return jax.vmap(lambda t: jnp.where(time == t, sign, jnp.zeros_like(sign)))(numbers)


def receptive_fields(x: Array, neurons: int, *, low: float = 0.0, high: float = 1.0, overlap: float = 1.5) -> Array:
    """Population code: each value as the activity of `neurons` neurons, `exp(-(x - m_i)^2 / (2 s^2))`.

    Centres and width are `m_i = low + (2 i - 3) / 2 (high - low) / (n - 2)` for i from 1 to n, and
    `s = (high - low) / (overlap (n - 2))`. The activities are intensities for any encoding.

    Args:
      x: `[B, ..., C]`, floating.
      neurons: n, at least 3.
      low, high: range of the values.
      overlap: the larger, the narrower the fields.

    Returns:
      `[B, ..., C * neurons]` in (0, 1], neurons of one value beside each other, in the dtype of `x`.

    Raises:
      ValueError: if there are fewer than 3 neurons, or `high` is not above `low`.
      TypeError: if `x` is not floating.

    Source: Bohte et al. (2002), Neurocomputing 48:17.
    """
    check_intensities(x, 1)
    if neurons < 3 or not low < high:
        raise ValueError(f"a population code needs 3 neurons at least, and low < high, got {neurons}, {low}, {high}")
    wide, gap = accumulator(x.dtype), (high - low) / (neurons - 2)
    centres = low + (jnp.arange(1, neurons + 1, dtype=wide) - 1.5) * gap
    distances = x.astype(wide)[..., None] - centres.reshape(*(1,) * x.ndim, -1)
    activity = jnp.exp(-jnp.square(distances * (overlap / gap)) / 2)
    return activity.reshape(*x.shape[:-1], -1).astype(x.dtype)


def population(
    x: Array, steps: int, *, start: ArrayLike = 0, total: int | None = None, receptive_fields: int = 8
) -> Array:
    """Population code in spike times: `latency` of the activity of each value's `receptive_fields`.

    Args:
      x: values in [0, 1], `[B, ..., C]`, floating.
      steps, start, total: as in `latency`.
      receptive_fields: number of neurons for each value. An activity below 0.1 never spikes.

    Returns:
      `[steps, B, ..., C * receptive_fields]` in {0, 1}, in the dtype of `x`.

    Raises:
      ValueError, TypeError: as `latency` and `receptive_fields`.

    Source: Bohte et al. (2002), Neurocomputing 48:17.
    """
    return latency(_activity(x, receptive_fields), steps, start=start, total=total, smallest=0.1)


_activity = receptive_fields  # whose name is that of an argument above
