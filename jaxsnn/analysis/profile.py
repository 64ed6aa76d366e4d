"""One pass over a data set that keeps what is worth knowing: spikes, intervals, operations, answers at every step.

Batches of samples, and pieces of time within them, follow one another; what is carried between pieces has the size of
one step, so that T may be thousands. Everything is counted on the device in integers and added up on the host in int64.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.analysis import statistics
from jaxsnn.analysis.answers import Answers
from jaxsnn.analysis.firing import Firing
from jaxsnn.analysis.operations import fan_out, kernel_of
from jaxsnn.checks import check_labels, check_steps
from jaxsnn.streaming import Apply, Encode, layer_names, resting
from jaxsnn.synapses import Connection
from jaxsnn.typing import Array


class Profile(NamedTuple):
    """What a network did on N samples over T steps."""

    steps: int
    """T."""
    labels: np.ndarray
    """Classes of the samples, `[N]`."""
    connections: tuple[Connection, ...]
    """The network's synapses."""
    layers: dict[str, Firing]
    """By layer name in network order, `input` first; the readout, which does not fire, is not among them."""
    operations: dict[str, np.ndarray]
    """By connection: synaptic operations of every sample, summed over time, int64 `[N]` (see `operations`)."""
    answers: Answers
    """Of the readout at every step."""
    effective: bool
    """Whether synapses of weight 0 were left out of `operations`."""

    def spikes_by_class(self) -> dict[str, np.ndarray]:
        """Layer name to spikes per inference for samples of each class `[classes]`; nan for a class without samples."""
        count = np.bincount(self.labels)
        return {
            name: np.where(count > 0, np.bincount(self.labels, layer.spikes) / np.maximum(count, 1), np.nan)
            for name, layer in self.layers.items()
        }


RunProfile = Callable[..., Profile]
"""`(params, state, key, images [N, ...], labels [N]) -> Profile`."""


def make_profile(
    apply: Apply,
    encode: Encode,
    connections: Sequence[Connection],
    *,
    steps: int,
    chunk: int,
    batch_size: int,
    effective: bool = False,
) -> RunProfile:
    """Builds `observe(params, state, key, images, labels) -> Profile`; compiled once for all its calls.

    Args:
      apply: from `models.functionalize`.
      encode: `(key, images, start, steps) -> x [steps, B, ...]`; each batch has a key of its own.
      connections: from `models.connections`.
      steps: T.
      chunk: steps per piece; memory grows with it, hardly with T. If it does not divide T, the rest is compiled too.
      batch_size: samples per batch; the last is filled up.
      effective: leave synapses of weight 0 out of the operations, as NeuroBench does.

    Raises:
      ValueError: if `steps`, `chunk` or `batch_size` is not at least 1, or counts might exceed int32; from `observe`,
        if there is no sample.
      TypeError: from `observe`, if the model returns no spike trains.
    """
    for number in (steps, chunk, batch_size):
        check_steps(number)
    check_counts(connections, steps, batch_size)
    bins = statistics.interval_bins(steps)

    @partial(jax.jit, static_argnames="count", donate_argnames=("carry", "so_far"))
    def piece(params, state, key, images, labels, inside, start, carry, so_far, count):
        output, _ = apply(params, state, encode(key, images, start, count), carry=carry, train=False, record=True)

        def step(so_far: Any, at: Any) -> tuple[Any, None]:
            number, x = at
            return {k: statistics.update(v, x[k], number, inside, bins) for k, v in so_far.items()}, None

        so_far, _ = jax.lax.scan(step, so_far, (start + jnp.arange(count, dtype=jnp.int32), dict(output.trains)))
        best, second = jnp.moveaxis(jax.lax.top_k(output.potentials, 2)[0], -1, 0)
        correct = jnp.argmax(output.potentials, -1).astype(labels.dtype) == labels[None]
        return output.carry, so_far, (correct, best - second)

    @jax.jit
    def finish(so_far, fans):
        counts = {name: statistics.summarise(one, steps) for name, one in so_far.items()}
        sources = {c.name: c.source for c in connections}
        return counts, {k: statistics.weighted_count(so_far[sources[k]].fired, fan) for k, fan in fans.items()}

    def observe(params: Any, state: Any, key: Array, images: Array, labels: Array) -> Profile:
        if not len(labels):
            raise ValueError("cannot observe a network on an empty set: no samples came")
        size = min(batch_size, len(labels))
        first = jax.eval_shape(lambda key, x: encode(key, x, jnp.int32(0), 1), key, images[:size])
        answers = jax.eval_shape(lambda x: apply(params, state, x)[0].potentials, first)
        check_labels(jax.device_get(labels), images, classes=answers.shape[-1])
        names = layer_names(apply, params, state, first)
        fans = _fans(connections, params if effective else None)
        shapes = jax.eval_shape(lambda x: dict(apply(params, state, x, record=True)[0].trains), first)
        layers: dict[str, Firing] = {}
        operations: dict[str, list[np.ndarray]] = {name: [] for name in fans}
        answers = []
        for begin in range(0, len(labels), size):
            index = begin + np.arange(size)
            inside, index = index < len(labels), np.minimum(index, len(labels) - 1)
            batch = (jax.random.fold_in(key, begin), images[index], labels[index], jnp.asarray(inside))
            carry = resting(apply, params, state, first)
            so_far = {name: statistics.at_rest(shape.shape[1:], len(bins)) for name, shape in shapes.items()}
            over_time = []
            for start in range(0, steps, chunk):
                count = min(chunk, steps - start)
                carry, so_far, found = piece(params, state, *batch, jnp.int32(start), carry, so_far, count=count)
                over_time.append(jax.device_get(found))
            counts, products = jax.device_get(finish(so_far, fans))
            for name in names:
                one = Firing.of(counts[name], inside, steps)
                layers[name] = layers[name].joined(one) if name in layers else one
            for name, parts in products.items():
                operations[name].append(_joined(*parts)[inside])
            joined = (np.concatenate(part) for part in zip(*over_time, strict=True))
            answers.append(tuple(part[:, inside] for part in joined))
        correct, margin = (np.concatenate(part, 1) for part in zip(*answers, strict=True))
        return Profile(
            steps,
            np.asarray(labels),
            tuple(connections),
            layers,
            {name: np.concatenate(parts) for name, parts in operations.items()},
            Answers(correct, margin),
            effective,
        )

    return observe


def check_counts(connections: Sequence[Connection], steps: int, batch_size: int) -> None:
    """Whether counts of one batch fit the integers (int32) in which they are made on the device.

    Raises:
      ValueError: if one of them might not, saying which and what helps.
    """
    for connection in connections:
        largest = statistics.largest_sum(connection.input_shape, int(fan_out(connection).max(initial=0)), steps)
        if max(largest, batch_size * steps) >= 2**31:
            raise ValueError(
                f"counts of {connection.name} might exceed int32 with {connection.input_shape} input neurons, "
                f"T = {steps:,} and batches of {batch_size:,}: use fewer steps or smaller batches"
            )


def _fans(connections: Sequence[Connection], params: Mapping | None) -> dict[str, Array]:
    return {
        c.name: jnp.asarray(fan_out(c, kernel_of(params, c) if params is not None and c.weighted else None), jnp.int32)
        for c in connections
    }


def _joined(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    return (high.astype(np.int64) << statistics.PART) + low
