"""Parts of every pass over a set: batches of one size, and the outline of a network before its first step."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.checks import check_count
from jaxsnn.keys import fold_in
from jaxsnn.typing import Apply, Array, ArrayLike

Encode = Callable[[Array, Array, ArrayLike, int], Array]
"""`(keys [B], samples [B, ...], start, steps) -> x [steps, B, ...]`: input of the steps from `start` on."""


class Batch(NamedTuple):
    """Samples of a set; the last batch is filled up with its last sample."""

    keys: Array
    """For the input, one per sample, `[B]`."""
    samples: Array
    """`[B, ...]`."""
    labels: Array
    """`[B]`."""
    inside: np.ndarray
    """Which of the samples count, bool `[B]`."""


def batches(key: Array, samples: Array, labels: Array, batch_size: int) -> Iterator[Batch]:
    """The batches of a set, in its order; none is larger than the set.

    Args:
      key: each sample gets its own, by its number, so that nothing drawn for it depends on the batches.
      samples: `[N, ...]`.
      labels: `[N]`.
      batch_size: samples per batch.

    Raises:
      ValueError: if there is no sample, as many labels as there are not samples, or `batch_size` is not at least 1.
    """
    check_count("batch_size", batch_size)
    if not len(labels):
        raise ValueError("cannot run a network on an empty set: no samples came")
    if len(samples) != len(labels):
        raise ValueError(f"expected one label for each sample, got {len(samples)} samples and {len(labels)} labels")
    size = min(batch_size, len(labels))

    def padded() -> Iterator[Batch]:
        for begin in range(0, len(labels), size):
            index = begin + np.arange(size)
            inside, index = index < len(labels), np.minimum(index, len(labels) - 1)
            yield Batch(fold_in(key, index), samples[index], labels[index], inside)

    return padded()


class Outline(NamedTuple):
    """The trains and the state of a network, found without running it."""

    trains: dict[str, jax.ShapeDtypeStruct]
    """Layer name (`input` first, then network order) to its spike train `[T, B, ...]`."""
    carry: Any
    """The neurons' state, as shapes."""
    classes: int
    """Number of classes of the readout."""

    def at_rest(self) -> Any:
        """The carry of neurons at rest, all zeros."""
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.carry)


def outline(apply: Apply, params: Any, state: Any, x: Any) -> Outline:
    """The outline of a network for inputs like `x` `[T, B, ...]`, an array or its shape; nothing is run.

    Raises:
      TypeError: if the model does not name its layers.
    """
    names = layer_names(apply)

    def run(x: Array) -> tuple[dict[str, Array], Any, Array]:
        output, _ = apply(params, state, x, record=True)
        return output.spikes, output.carry, output.answers

    trains, carry, answers = jax.eval_shape(run, x)
    return Outline({name: trains[name] for name in names}, carry, answers.shape[-1])


def layer_names(apply: Apply) -> tuple[str, ...]:
    """`input` and the layers that send spikes, in network order.

    Raises:
      TypeError: if the model does not name its layers.
    """
    names: tuple[str, ...] | None = getattr(apply, "names", None)
    if names is None:
        raise TypeError(
            f"the model is a {type(apply).__name__} that names no layer which sends spikes: give one from "
            "models.functionalize(models.Network(...))"
        )
    return ("input", *names)
