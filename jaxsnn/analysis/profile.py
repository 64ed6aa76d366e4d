"""One pass over a data set that records spikes, intervals, operations and answers at every step.

Batches of samples, and chunks of time within them, follow one another; the state between chunks has the size of
one step, so that T may be thousands. Everything is counted on the device in integers and added up on the host in int64.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.analysis import statistics
from jaxsnn.analysis.answers import Answers, accuracy_per_class, confusion, margins
from jaxsnn.analysis.firing import Firing
from jaxsnn.analysis.operations import fan_out, kernel_of
from jaxsnn.batches import Encode, batches, outline
from jaxsnn.checks import check_count, check_labels, check_steps
from jaxsnn.keys import fold_in
from jaxsnn.synapses import Connection
from jaxsnn.typing import Apply, Array


class Profile(NamedTuple):
    """Firing, operations and answers of a network on N samples over T steps."""

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
    """The readout's answers at every step."""
    predictions: np.ndarray
    """Answers after the last step, `[N]`."""
    classes: int
    """Number of classes of the readout; the set need not have samples of each."""
    effective: bool
    """Whether synapses of weight 0 were left out of `operations`."""

    @property
    def accuracy(self) -> np.ndarray:
        """Fraction classified correctly after each step, `[T]`."""
        return self.answers.accuracy

    @property
    def confusion(self) -> np.ndarray:
        """Samples by true class (row) and answer after the last step (column), int64 `[classes, classes]`."""
        return confusion(self.labels, self.predictions, self.classes)

    @property
    def accuracy_per_class(self) -> np.ndarray:
        """Fraction of each class's samples classified correctly, `[classes]`; nan for a class without samples."""
        return accuracy_per_class(self.confusion)

    def spikes_by_class(self) -> dict[str, np.ndarray]:
        """Layer name to spikes per inference for samples of each class `[classes]`; nan for a class without samples."""
        count = np.bincount(self.labels, minlength=self.classes)
        return {
            name: np.where(
                count > 0, np.bincount(self.labels, layer.spikes, self.classes) / np.maximum(count, 1), np.nan
            )
            for name, layer in self.layers.items()
        }


RunProfile = Callable[..., Profile]
"""`(params, state, key, samples [N, ...], labels [N]) -> Profile`."""


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
    """Builds `run(params, state, key, samples, labels) -> Profile`; compiled once for all its calls.

    Args:
      apply: from `models.functionalize`.
      encode: `(keys [B], samples, start, steps) -> x [steps, B, ...]`; each sample has a key of its own.
      connections: from `models.connections`.
      steps: T.
      chunk: steps per chunk; memory grows with it, hardly with T. If it does not divide T, the rest is compiled too.
      batch_size: samples per batch; the last is filled up.
      effective: leave synapses of weight 0 out of the operations, as NeuroBench does.

    Raises:
      ValueError: if `steps`, `chunk` or `batch_size` is not at least 1, or counts might exceed int32; from `run`, if
        there is no sample, or labels are no classes of the model.
      TypeError: from `run`, if the model returns no spike trains.
    """
    check_steps(steps)
    check_count("chunk", chunk)
    check_count("batch_size", batch_size)
    statistics.check_counts(connections, steps, batch_size)
    bins = statistics.interval_bins(steps)

    @partial(jax.jit, static_argnames="count", donate_argnames=("carry", "so_far"))
    def run_chunk(params, state, keys, samples, labels, inside, start, carry, so_far, count):
        output, _ = apply(params, state, encode(keys, samples, start, count), carry=carry, train=False, record=True)

        def step(so_far: Any, at: Any) -> tuple[Any, None]:
            number, x = at
            return {k: statistics.update(v, x[k], number, inside, bins) for k, v in so_far.items()}, None

        so_far, _ = jax.lax.scan(step, so_far, (start + jnp.arange(count, dtype=jnp.int32), output.spikes))
        predictions = jnp.argmax(output.answers, -1).astype(labels.dtype)
        return output.carry, so_far, (predictions, predictions == labels[None], margins(output.answers))

    @jax.jit
    def finish(so_far, fans):
        counts = {name: statistics.summarise(train, steps) for name, train in so_far.items()}
        sources = {c.name: c.source for c in connections}
        return counts, {k: statistics.weighted_count(so_far[sources[k]].fired, fan) for k, fan in fans.items()}

    def run(params: Any, state: Any, key: Array, samples: Array, labels: Array) -> Profile:
        parts, size = batches(key, samples, labels, batch_size), min(batch_size, len(labels))
        keys = fold_in(key, np.arange(size))
        most = min(chunk, steps)
        first = jax.eval_shape(lambda keys, x: encode(keys, x, jnp.int32(0), most), keys, samples[:size])
        shape = outline(apply, params, state, first)
        check_labels(labels, shape.classes)
        fans = _fans(connections, params if effective else None)
        layers: dict[str, Firing] = {}
        operations: dict[str, list[np.ndarray]] = {name: [] for name in fans}
        answers = []
        for batch in parts:
            inside = batch.inside
            carry = shape.at_rest() if chunk < steps else None  # None says that it is the whole train
            so_far = {name: statistics.at_rest(train.shape[1:], len(bins)) for name, train in shape.trains.items()}
            over_time = []
            for start in range(0, steps, chunk):
                count = min(chunk, steps - start)
                carry, so_far, seen = run_chunk(params, state, *batch, jnp.int32(start), carry, so_far, count=count)
                over_time.append(jax.device_get(seen))
            counts, products = jax.device_get(finish(so_far, fans))
            for name in shape.trains:
                firing = Firing.of(counts[name], inside, steps)
                layers[name] = layers[name].joined(firing) if name in layers else firing
            for name, product in products.items():
                operations[name].append(statistics.whole(*product)[inside])
            joined = (np.concatenate(part) for part in zip(*over_time, strict=True))
            answers.append(tuple(part[:, inside] for part in joined))
        predictions, correct, margin = (np.concatenate(part, 1) for part in zip(*answers, strict=True))
        return Profile(
            steps,
            np.asarray(labels),
            tuple(connections),
            layers,
            {name: np.concatenate(parts) for name, parts in operations.items()},
            Answers(correct, margin),
            predictions[-1],
            shape.classes,
            effective,
        )

    return run


def _fans(connections: Sequence[Connection], params: Mapping | None) -> dict[str, Array]:
    return {
        c.name: jnp.asarray(fan_out(c, kernel_of(params, c) if params is not None and c.weighted else None), jnp.int32)
        for c in connections
    }
