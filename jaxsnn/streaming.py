"""Thousands of time steps of any model, in memory that does not depend on T: what comes out of every step is counted.

The input is encoded piece by piece too: no train of the whole length exists anywhere.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.checks import check_steps
from jaxsnn.typing import Array

Apply = Callable[..., tuple[Any, Any]]
"""`(params, state, x, *, carry, record) -> (output, state)`, as from `models.functionalize`."""
Encode = Callable[[Array, Array, Array, int], Array]
"""`(key, images [B, ...], start, steps) -> x [steps, B, ...]`: input of the steps from `start` on."""


class Streamed(NamedTuple):
    """A network's answers and spikes at every time step, over a set of samples."""

    accuracy: np.ndarray
    """Fraction classified correctly if the readout is asked after 1, 2, ... T steps, `[T]`."""
    spikes: dict[str, np.ndarray]
    """Layer name (`input` first, then network order) to spikes per sample up to each step, `[T]`."""


class Counts(NamedTuple):
    """What a piece of time steps leaves behind."""

    hits: Array
    """Samples that the readout of each step classifies correctly, `[steps]`, int32."""
    spikes: dict[str, Array]
    """Layer name to spikes of all samples at each step, `[steps]`, int32."""


def resting(apply: Apply, params: Any, state: Any, x: Array) -> Any:
    """The carry of neurons at rest, all zeros, for inputs like `x` `[T, B, ...]`."""
    carry = jax.eval_shape(lambda x: apply(params, state, x)[0].carry, x)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), carry)


def layer_names(apply: Apply, params: Any, state: Any, x: Array) -> tuple[str, ...]:
    """`input` and the layers that send something, in network order; nothing is run.

    Raises:
      TypeError: if the model does not return its layers' trains.
    """
    names: list[str] = []

    def record(x: Array) -> None:
        output, _ = apply(params, state, x, record=True)
        if not getattr(output, "trains", None) or not hasattr(output, "carry"):
            raise TypeError(
                f"the model returns {type(output).__name__}, without its layers' spike trains and a carry; give one "
                "that returns models.Output, as models.Sequential does"
            )
        names.extend(output.trains)

    jax.eval_shape(record, x)
    return tuple(names)


def make_piece(apply: Apply, encode: Encode, steps: int) -> Callable[..., tuple[Any, Counts]]:
    """Builds `piece(params, state, carry, key, images, labels, inside, start) -> (carry, counts)`; jit it.

    Args:
      apply: the model.
      encode: images to input.
      steps: number of time steps in a piece.

    `images` `[B, ...]` and `labels` `[B]` are one batch, `inside` `[B]` says which samples count, `start` is the number
    of the piece's first step.
    """

    def piece(params, state, carry, key, images, labels, inside, start):
        output, _ = apply(params, state, encode(key, images, start, steps), carry=carry, record=True)
        hits = jnp.sum((jnp.argmax(output.potentials, -1) == labels[None]) & inside[None], 1, dtype=jnp.int32)

        def count(train: Array) -> Array:
            fired = jnp.sum(train != 0, tuple(range(2, train.ndim)), dtype=jnp.int32)
            return jnp.sum(jnp.where(inside[None], fired, 0), 1)

        return output.carry, Counts(hits, {name: count(train) for name, train in output.trains.items()})

    return piece


def stream(
    apply: Apply,
    params: Any,
    state: Any,
    encode: Encode,
    images: Array,
    labels: Array,
    *,
    key: Array,
    steps: int,
    chunk: int,
    batch_size: int,
    progress: Callable[[int], None] | None = None,
) -> Streamed:
    """Runs a model for `steps` time steps over a set; one program of `chunk` steps, called again and again.

    Args:
      apply, params, state: the model, from `models.functionalize`.
      encode: images to input, e.g. `lambda key, images, start, steps: encoding.poisson(key, images, steps,
        start=start)`; the key it gets is one per batch.
      images: `[N, ...]`, in whatever form `encode` takes.
      labels: `[N]`, integers.
      key: for the input.
      steps: T.
      chunk: time steps per call; memory grows with it, not with T.
      batch_size: samples per call; the last batch is filled up.
      progress: called after every piece with the number of sample steps it has taken (at most `steps * N` in all).

    Raises:
      ValueError: if T or `chunk` is not at least 1, or there is no sample.
      TypeError: if the model returns no spike trains.
    """
    check_steps(steps)
    check_steps(chunk)
    if not len(labels):
        raise ValueError("cannot run a network on an empty set: no samples came")
    batch_size = min(batch_size, len(labels))
    piece = jax.jit(make_piece(apply, encode, chunk), donate_argnums=2)
    first = jax.eval_shape(lambda key, images: encode(key, images, jnp.int32(0), chunk), key, images[:batch_size])
    names = layer_names(apply, params, state, first)
    hits, spikes = np.zeros(steps, np.int64), {name: np.zeros(steps, np.int64) for name in names}
    for begin in range(0, len(labels), batch_size):
        index = begin + np.arange(batch_size)
        inside, index = index < len(labels), np.minimum(index, len(labels) - 1)
        carry = resting(apply, params, state, first)
        batch = (jax.random.fold_in(key, begin), images[index], labels[index], jnp.asarray(inside))
        for start in range(0, steps, chunk):
            carry, counts = piece(params, state, carry, *batch, jnp.int32(start))
            counts = jax.device_get(counts)
            part = slice(start, min(start + chunk, steps))  # what a last piece has too many is left out
            hits[part] += counts.hits[: part.stop - start]
            for name in names:
                spikes[name][part] += counts.spikes[name][: part.stop - start]
            if progress is not None:
                progress(int(inside.sum()) * (part.stop - start))
    return Streamed(hits / len(labels), {name: np.cumsum(count) / len(labels) for name, count in spikes.items()})
