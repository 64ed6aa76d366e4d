"""Samples to the input of a network over time, `[B, ...]` to `[T, B, ...]`, for samples of any shape.

`ENCODINGS` holds every encoding by name; an entry that is added there is found by its name everywhere. Random numbers
and firing times are computed in float32 at least, whatever the dtype of the samples.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsnn.checks import check_steps
from jaxsnn.keys import check_key, draw, fold_in
from jaxsnn.typing import Array, ArrayLike, accumulator


class Encoding(NamedTuple):
    """One way to make the input of a network from samples."""

    encode: Callable[..., Array]
    """`(key, x [B, ...], start, steps, *, total, gain) -> [steps, B, ...]`: the steps from number `start` on.

    `key` is one for the batch, or one per sample, `[B]`.
    A train made in chunks is the train made at once. `total` is the T of a run: a train that has a length of its own
    begins again after it. `gain` scales firing rates. An encoding that needs neither takes them as `**_`.
    """
    label: str
    """For people, before the word "input": "Poisson"."""
    description: str
    """How the input of one step was made, a sentence without its full stop."""
    spikes: bool | None
    """Whether the input holds -1, 0 and 1 alone; None if that depends on the samples."""
    frames: bool = False
    """Whether samples are `[B, T, ...]`, one frame per time step, as event data are."""
    constant: bool = False
    """Whether the input is the same at every step."""


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
    _check(images, steps)
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
    _check(images, steps)
    return jnp.broadcast_to(images, (steps, *images.shape))


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
    _check(images, steps)
    total = steps if total is None else total
    check_steps(total)
    size = jnp.minimum(jnp.abs(images.astype(accumulator(images.dtype))), 1)
    time = jnp.round((1 - size) * (total - 1)).astype(jnp.int32)
    sign = jnp.where(size >= smallest, jnp.sign(images), jnp.zeros_like(images))
    numbers = (start + jnp.arange(steps, dtype=jnp.int32)) % total
    return jax.vmap(lambda t: jnp.where(time == t, sign, jnp.zeros_like(sign)))(numbers)


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
    total = frames.shape[1]
    check_steps(total)
    steps = total if steps is None else steps
    check_steps(steps)
    numbers = (start + jnp.arange(steps, dtype=jnp.int32)) % total
    return jnp.moveaxis(jnp.take(frames, numbers, 1), 1, 0).astype(jnp.float32)


ENCODINGS: dict[str, Encoding] = {
    "poisson": Encoding(
        lambda key, x, start, steps, *, gain=1.0, **_: poisson(key, x, steps, gain=gain, start=start),
        "Poisson",
        "In every step each pixel spikes with a probability given by its intensity (Poisson input)",
        spikes=True,
    ),
    "direct": Encoding(
        lambda key, x, start, steps, **_: direct(x, steps),
        "direct",
        "The image itself is the input current of every step (direct input), so sums are multiples of it",
        spikes=False,
        constant=True,
    ),
    "latency": Encoding(
        lambda key, x, start, steps, *, total, **_: latency(x, steps, start=start, total=total),
        "latency",
        "Each pixel spikes once, bright ones early (latency input)",
        spikes=True,
    ),
    "events": Encoding(
        lambda key, x, start, steps, **_: events(x, steps, start=start),
        "event",
        "Each step holds the events that the camera saw in it: ON orange, OFF blue",
        spikes=None,
        frames=True,
    ),
}
"""Every encoding by its name."""


def _check(images: Array, steps: int) -> None:
    check_steps(steps)
    if not jnp.issubdtype(jnp.result_type(images), jnp.floating):
        raise TypeError(
            f"encoding needs floating intensities, got dtype {jnp.result_type(images)}; "
            "for uint8 images: images.astype('float32') / 255"
        )
