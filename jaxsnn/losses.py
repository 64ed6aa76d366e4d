"""Losses on what a network puts out. Labels are class numbers `[B]`."""

import jax
import jax.numpy as jnp

from jaxsnn.typing import Array


def _one_hot(labels: Array, classes: int, dtype) -> Array:
    if not jnp.issubdtype(jnp.result_type(labels), jnp.integer) or jnp.ndim(labels) != 1:
        raise ValueError(
            f"labels must be class numbers: integers of shape [B], got {jnp.result_type(labels)} {jnp.shape(labels)}"
        )
    return jax.nn.one_hot(labels, classes, dtype=dtype)


def squared_error(logits: Array, labels: Array) -> Array:
    """Membrane-potential squared error, `sum (output - onehot)^2` over batch and classes (E7).

    A sum, not a mean: the learning rate belongs to its batch size.

    Args:
      logits: `[B, classes]`, the readout's last potential over `V_th T`.
      labels: `[B]`, integers.

    Raises:
      ValueError: if `labels` are not integers of rank 1.

    Source: Lee et al. (2020).
    """
    return jnp.sum(jnp.square(logits - _one_hot(labels, logits.shape[-1], logits.dtype)))


def potential_cross_entropy(potentials: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the readout's potentials at every step, mean over time and batch.

    Args:
      potentials: `[T, B, classes]`.
      labels: `[B]`, integers.

    Raises:
      ValueError: if `labels` are not integers of rank 1.
    """
    target = _one_hot(labels, potentials.shape[-1], potentials.dtype)
    return -jnp.mean(jnp.sum(target[None] * jax.nn.log_softmax(potentials), -1))


def rate_cross_entropy(spikes: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the output neurons' firing rates (spikes per step), mean over the batch.

    Args:
      spikes: `[T, B, classes]`, output spikes; of a readout that does not fire, its potentials (their mean over time).
      labels: `[B]`, integers.

    Raises:
      ValueError: if `labels` are not integers of rank 1.
    """
    return potential_cross_entropy(jnp.mean(spikes, 0, keepdims=True), labels)
