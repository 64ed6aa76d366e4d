"""Losses on a network's outputs. Labels are class numbers `[B]`.

`LOSSES` holds every loss by name; an entry that is added there is found by its name everywhere. Losses are computed in
float32 at least, whatever the dtype of the output.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxsnn.checks import check_labels
from jaxsnn.typing import Array, accumulator


class Loss(NamedTuple):
    """A loss, and the facts that its users need."""

    function: Callable[[Any, Array], Array]
    """`(output, labels [B]) -> scalar`; `output` has `logits` `[B, classes]` and `potentials` `[T, B, classes]`."""
    reduction: Literal["sum", "mean"]
    """Over the batch: whether the losses of parts of a batch are added up or averaged."""
    readout: Literal["last", "mean"]
    """The answer that belongs to it: the largest potential of the last step, or the largest mean over the steps."""


def squared_error(logits: Array, labels: Array) -> Array:
    """Membrane-potential squared error, `sum (output - onehot)^2` over batch and classes (E7).

    A sum, not a mean: the learning rate belongs to its batch size.

    Args:
      logits: `[B, classes]`, the readout's last potential over `V_th T`.
      labels: `[B]`, integers.

    Raises:
      ValueError: if `labels` are not integers of rank 1, or (where they are known, outside of `jit`) outside the
        classes.

    Source: Lee et al. (2020).
    """
    logits = _wide(logits)
    return jnp.sum(jnp.square(logits - _one_hot(labels, logits)))


def per_step_cross_entropy(potentials: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the readout's potentials at every step, mean over time and batch.

    Args:
      potentials: `[T, B, classes]`.
      labels: `[B]`, integers.

    Raises:
      ValueError: as `squared_error`.

    Source: the main term of temporal efficient training (TET), Deng et al. (2022), ICLR, arXiv 2202.11946; the
    regularising term (their lambda) is 0 here.
    """
    potentials = _wide(potentials)
    return -jnp.mean(jnp.sum(_one_hot(labels, potentials)[None] * jax.nn.log_softmax(potentials), -1))


def rate_cross_entropy(spikes: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the output neurons' firing rates (spikes per step), mean over the batch.

    Args:
      spikes: `[T, B, classes]`, output spikes; of a readout that does not fire, its potentials (their mean over time).
      labels: `[B]`, integers.

    Raises:
      ValueError: as `squared_error`.

    Source: cross-entropy of `out.mean(0)`, as SpikingJelly trains: Fang et al. (2023), Science Advances 9:eadi1480.
    """
    return per_step_cross_entropy(jnp.mean(_wide(spikes), 0, keepdims=True), labels)


LOSSES: dict[str, Loss] = {
    "squared_error": Loss(lambda output, labels: squared_error(output.logits, labels), "sum", "last"),
    "per_step_cross_entropy": Loss(
        lambda output, labels: per_step_cross_entropy(output.potentials, labels), "mean", "mean"
    ),
    "rate_cross_entropy": Loss(lambda output, labels: rate_cross_entropy(output.potentials, labels), "mean", "mean"),
}
"""Every loss by its name."""


def _wide(x: Array) -> Array:
    return x.astype(accumulator(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32)


def _one_hot(labels: Array, like: Array) -> Array:
    check_labels(labels, classes := like.shape[-1])
    return jax.nn.one_hot(labels, classes, dtype=like.dtype)
