"""Frames `[B, T, ...]`, as they are and as their changes."""

import jax.numpy as jnp

from jaxsnn.checks import check_steps
from jaxsnn.typing import Array, ArrayLike, accumulator


def events(frames: Array, steps: int | None = None, *, start: ArrayLike = 0) -> Array:
    """Frames of event data as the input of the steps, with the numbers as they are; after the last, the first again.

    Args:
      frames: `[B, T, ...]` of any dtype: zeros and ones, or counts of events.
      steps: number of time steps to make; None for T.
      start: number of the first step, for a train made in chunks.

    Returns:
      float32 `[steps, B, ...]`.

    Raises:
      ValueError: if there is no axis of time, or no step.
    """
    if jnp.ndim(frames) < 2:
        raise ValueError(f"event data needs frames [B, T, ...], got {jnp.shape(frames)}")
    numbers = (start + jnp.arange(_steps(frames, steps), dtype=jnp.int32)) % frames.shape[1]
    return jnp.moveaxis(jnp.take(frames, numbers, 1), 1, 0).astype(jnp.float32)


def delta(frames: Array, steps: int | None = None, *, start: ArrayLike = 0, threshold: ArrayLike = 0.1) -> Array:
    """A spike where a sample changes: 1 where it rises by `threshold` or more since the last step, -1 where it falls.

    The sample before the first step is zero; after the last frame the train begins again.

    Args:
      frames: `[B, T, ...]` of any dtype.
      steps: number of time steps to make; None for T.
      start: number of the first step, for a train made in chunks.
      threshold: in the units of the samples, above 0.

    Returns:
      `[steps, B, ...]` in {-1, 0, 1}, float32 at least.

    Raises:
      ValueError: if there is no axis of time, or no step.

    Source: `spikegen.delta` of snnTorch, Eshraghian et al. (2023), Proceedings of the IEEE, arXiv 2109.12894.
    """
    if jnp.ndim(frames) < 2:
        raise ValueError(f"changes are those of frames [B, T, ...], got {jnp.shape(frames)}")
    floating = jnp.issubdtype(frames.dtype, jnp.floating)
    x = frames.astype(accumulator(frames.dtype) if floating else jnp.float32)
    change = jnp.diff(x, axis=1, prepend=jnp.zeros_like(x[:, :1]))
    bound = jnp.asarray(threshold, x.dtype)
    spikes = (change >= bound).astype(x.dtype) - (change <= -bound).astype(x.dtype)
    numbers = (start + jnp.arange(_steps(frames, steps), dtype=jnp.int32)) % frames.shape[1]
    return jnp.moveaxis(jnp.take(spikes, numbers, 1), 1, 0)


def _steps(frames: Array, steps: int | None) -> int:
    """The number of steps to make of frames `[B, T, ...]`, checked."""
    check_steps(frames.shape[1])
    steps = frames.shape[1] if steps is None else steps
    check_steps(steps)
    return steps
