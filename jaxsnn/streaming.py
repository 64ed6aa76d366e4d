"""Thousands of time steps of any model, in memory that does not depend on T: the outputs of every step are counted.

The input is encoded chunk by chunk too: no train of the whole length exists anywhere.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.analysis.energy import Counts
from jaxsnn.analysis.operations import fan_out
from jaxsnn.analysis.statistics import check_counts, is_analog, weighted_count, whole
from jaxsnn.batches import Encode, batches, outline
from jaxsnn.checks import check_count, check_labels, check_steps
from jaxsnn.compiling import compiler_options
from jaxsnn.keys import fold_in
from jaxsnn.synapses import Connection
from jaxsnn.typing import Apply, Array


class Streamed(NamedTuple):
    """A network's answers and spikes at every time step, over a set of samples."""

    accuracy: np.ndarray
    """Fraction classified correctly if the readout is asked after 1, 2, ... T steps, `[T]`."""
    spikes: dict[str, np.ndarray]
    """Layer name (`input` first, then network order) to spikes per sample up to each step, `[T]`."""
    operations: dict[str, np.ndarray]
    """Connection name to synaptic operations per sample up to each step, `[T]`, exactly."""
    analog: dict[str, bool]
    """Layer name to whether it sent anything but -1, 0 and 1; then "spike" means "not zero"."""
    connections: tuple[Connection, ...]
    """The network's synapses, as far as they were counted."""
    samples: int
    """N."""

    def per_inference(self, steps: int) -> Counts:
        """Counts of one inference of so many steps, a mean over the samples (see `analysis.energy`)."""
        spikes, operations = (
            {name: float(up_to[steps - 1]) for name, up_to in counts.items()}
            for counts in (self.spikes, self.operations)
        )
        return Counts(steps, self.samples, self.connections, operations, spikes, self.analog)


class Chunk(NamedTuple):
    """Counts of one chunk of time steps."""

    hits: Array
    """Samples that are classified correctly after each step, `[steps]`, int32."""
    spikes: dict[str, Array]
    """Layer name to spikes of all samples at each step, `[steps]`, int32."""
    operations: dict[str, tuple[Array, Array]]
    """Connection name to synaptic operations at each step, as `statistics.weighted_count`, int32 `[steps, B]`."""
    analog: dict[str, Array]
    """Layer name to whether it sent anything but -1, 0 and 1."""


def make_chunk(
    apply: Apply,
    encode: Encode,
    steps: int,
    connections: Sequence[Connection] = (),
) -> Callable[..., tuple[Any, Chunk]]:
    """Builds `run_chunk(params, state, carry, keys, samples, labels, inside, start) -> (carry, counts)`; jit it.

    Args:
      apply: the model.
      encode: samples to input.
      steps: number of time steps in a chunk.
      connections: whose synaptic operations are counted.

    `keys` `[B]`, `samples` `[B, ...]` and `labels` `[B]` are one batch, `inside` `[B]` says which of them count, and
    `start` is the number of the chunk's first step.
    """
    fans = {c.name: (c.source, jnp.asarray(fan_out(c), jnp.int32)) for c in connections}

    def run_chunk(params, state, carry, keys, samples, labels, inside, start):
        output, _ = apply(params, state, encode(keys, samples, start, steps), carry=carry, record=True)
        trains = output.spikes
        hits = jnp.sum(
            (jnp.argmax(output.answers, -1).astype(labels.dtype) == labels[None]) & inside[None], 1, dtype=jnp.int32
        )

        def count(train: Array) -> Array:
            fired = (train != 0) & inside.reshape(1, -1, *(1,) * (train.ndim - 2))
            return jnp.sum(fired, tuple(range(1, train.ndim)), dtype=jnp.int32)

        def weighted(train: Array, fan: Array) -> tuple[Array, Array]:
            fired = (train != 0).astype(jnp.int32).reshape(-1, *train.shape[2:])
            high, low = (part.reshape(train.shape[:2]) for part in weighted_count(fired, fan))
            return high, low

        return output.carry, Chunk(
            hits,
            {name: count(train) for name, train in trains.items()},
            {name: weighted(trains[source], fan) for name, (source, fan) in fans.items()},
            {name: is_analog(train) for name, train in trains.items()},
        )

    return run_chunk


def stream(
    apply: Apply,
    params: Any,
    state: Any,
    encode: Encode,
    samples: Array,
    labels: Array,
    *,
    key: Array,
    steps: int,
    chunk: int,
    batch_size: int,
    connections: Sequence[Connection] = (),
    progress: Callable[[int], None] | None = None,
) -> Streamed:
    """Runs a model for `steps` time steps over a set; one program of `chunk` steps, called again and again.

    Args:
      apply, params, state: the model, from `models.functionalize`.
      encode: samples to input, e.g. `lambda keys, images, start, steps: encoding.poisson(keys, images, steps,
        start=start)`; it gets a key for each sample, `[B]`.
      samples: `[N, ...]`, in whatever form `encode` takes.
      labels: `[N]`, integers.
      key: for the input.
      steps: T.
      chunk: time steps per call; memory grows with it, not with T.
      batch_size: samples per call; the last batch is filled up.
      connections: from `models.connections`, to count synaptic operations.
      progress: called after every chunk with the number of sample steps it has taken (at most `steps * N` in all).

    Raises:
      ValueError: if T, `chunk` or `batch_size` is not at least 1, there is no sample, or labels are no classes of the
        model.
      TypeError: if the model returns no spike trains.
    """
    check_steps(steps)
    check_count("chunk", chunk)
    parts = batches(key, samples, labels, batch_size)
    size = min(batch_size, len(labels))
    check_counts(connections, 1, size)
    keys = fold_in(key, np.arange(size))
    first = jax.eval_shape(lambda keys, x: encode(keys, x, jnp.int32(0), chunk), keys, samples[:size])
    shape = outline(apply, params, state, first)
    check_labels(labels, shape.classes)
    one = make_chunk(apply, encode, chunk, connections)
    run_chunk = jax.jit(one, donate_argnums=2, compiler_options=compiler_options())
    hits = np.zeros(steps, np.int64)
    spikes = {name: np.zeros(steps, np.int64) for name in shape.trains}
    operations = {c.name: np.zeros(steps, np.int64) for c in connections}
    analog = dict.fromkeys(shape.trains, False)
    for batch in parts:
        carry = shape.at_rest() if chunk < steps else None  # None says that it is the whole train
        for start in range(0, steps, chunk):
            carry, counts = run_chunk(params, state, carry, *batch, jnp.int32(start))
            counts = jax.device_get(counts)
            part = slice(start, min(start + chunk, steps))  # padding steps of the last chunk are discarded
            count = part.stop - part.start
            hits[part] += counts.hits[:count]
            for name in spikes:
                spikes[name][part] += counts.spikes[name][:count]
                analog[name] |= bool(counts.analog[name])
            for name in operations:
                operations[name][part] += whole(*counts.operations[name])[:count, batch.inside].sum(1)
            if progress is not None:
                progress(int(batch.inside.sum()) * count)
    spikes_up_to, operations_up_to = (
        {name: np.cumsum(sums) / len(labels) for name, sums in each.items()} for each in (spikes, operations)
    )
    accuracy = hits / len(labels)
    return Streamed(accuracy, spikes_up_to, operations_up_to, analog, tuple(connections), len(labels))
