"""Thousands of time steps of any model, in memory that does not depend on T: what comes out of every step is counted.

The input is encoded piece by piece too: no train of the whole length exists anywhere.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.checks import check_labels, check_steps
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
    operations: dict[str, np.ndarray]
    """Layer name to synaptic operations of its spikes per sample up to each step, `[T]`; of layers in `fan_outs`."""


class Counts(NamedTuple):
    """What a piece of time steps leaves behind."""

    hits: Array
    """Samples that the readout of each step classifies correctly, `[steps]`, int32."""
    spikes: dict[str, Array]
    """Layer name to spikes of all samples at each step, `[steps]`, int32."""
    operations: dict[str, Array]
    """Layer name to synaptic operations of all samples at each step, `[steps]`, float32."""


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


def make_piece(
    apply: Apply, encode: Encode, steps: int, fan_outs: Mapping[str, np.ndarray] | None = None
) -> Callable[..., tuple[Any, Counts]]:
    """Builds `piece(params, state, carry, key, images, labels, inside, start) -> (carry, counts)`; jit it.

    Args:
      apply: the model.
      encode: images to input.
      steps: number of time steps in a piece.
      fan_outs: layer name to the number of neurons that a spike of each neuron reaches, `[...]`.

    `images` `[B, ...]` and `labels` `[B]` are one batch, `inside` `[B]` says which samples count, `start` is the number
    of the piece's first step.
    """

    def piece(params, state, carry, key, images, labels, inside, start):
        output, _ = apply(params, state, encode(key, images, start, steps), carry=carry, record=True)
        hits = jnp.sum((jnp.argmax(output.potentials, -1) == labels[None]) & inside[None], 1, dtype=jnp.int32)

        def total(values: Array) -> Array:
            sums = jnp.sum(values, tuple(range(2, values.ndim)))
            return jnp.sum(jnp.where(inside[None], sums, jnp.zeros_like(sums)), 1)

        spikes = {name: total((train != 0).astype(jnp.int32)) for name, train in output.trains.items()}
        operations = {
            name: total(jnp.where(output.trains[name] != 0, jnp.asarray(fan_out, jnp.float32)[None, None], 0.0))
            for name, fan_out in (fan_outs or {}).items()
        }
        return output.carry, Counts(hits, spikes, operations)

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
    fan_outs: Mapping[str, np.ndarray] | None = None,
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
      fan_outs: layer name to the number of neurons that a spike of each neuron reaches (see `analysis.fan_out`), to
        count synaptic operations, up to float32 rounding.
      progress: called after every piece with the number of sample steps it has taken (at most `steps * N` in all).

    Raises:
      ValueError: if T or `chunk` is not at least 1, there is no sample, or the labels are no classes of the model's or
        not as many as the images.
      TypeError: if the model returns no spike trains.
    """
    check_steps(steps)
    check_steps(chunk)
    if not len(labels):
        raise ValueError("cannot run a network on an empty set: no samples came")
    batch_size = min(batch_size, len(labels))
    piece = jax.jit(make_piece(apply, encode, chunk, fan_outs), donate_argnums=2)
    first = jax.eval_shape(lambda key, images: encode(key, images, jnp.int32(0), chunk), key, images[:batch_size])
    answers = jax.eval_shape(lambda x: apply(params, state, x)[0].potentials, first)
    check_labels(jax.device_get(labels), images, classes=answers.shape[-1])
    names = layer_names(apply, params, state, first)
    hits = np.zeros(steps, np.int64)
    spikes = {name: np.zeros(steps) for name in names}
    operations = {name: np.zeros(steps) for name in fan_outs or {}}
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
            for sums, new in ((spikes, counts.spikes), (operations, counts.operations)):
                for name in sums:
                    sums[name][part] += new[name][: part.stop - start]
            if progress is not None:
                progress(int(inside.sum()) * (part.stop - start))
    up_to = ({name: np.cumsum(sums) / len(labels) for name, sums in what.items()} for what in (spikes, operations))
    return Streamed(hits / len(labels), *up_to)
