"""Cross-entropies of the softmax of outputs, which differ in how they put the time steps together.

Each is a mean over the batch. Labels may be probabilities, so that label smoothing (`losses.smooth`) and mixed labels
go with all of them.
"""

import jax
import jax.numpy as jnp

from jaxsnn.losses.targets import targets, wide
from jaxsnn.typing import Array, ArrayLike


def per_step_cross_entropy(potentials: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the readout's potentials at every step, mean over time and batch.

    Args:
      potentials: `[T, B, classes]`.
      labels: class numbers `[B]`, or probabilities `[B, classes]`.

    Raises:
      ValueError: as `squared_error`.

    Source: the main term of temporal efficient training (TET), Deng et al. (2022), ICLR, arXiv 2202.11946; the
    regularising term (their lambda) is 0 here.
    """
    potentials = wide(potentials)
    return -jnp.mean(jnp.sum(targets(labels, potentials)[None] * jax.nn.log_softmax(potentials), -1))


def tet(potentials: Array, labels: Array, *, tet_lambda: ArrayLike = 0.05, tet_target: ArrayLike = 1.0) -> Array:
    """Temporal efficient training in full, `(1 - lambda) mean_t CE(o_t) + lambda mean (o_t - phi)^2`.

    The second term is a mean over time, batch and classes: it keeps all potentials near the target phi.

    Args:
      potentials: `[T, B, classes]`.
      labels: class numbers `[B]`, or probabilities `[B, classes]`.
      tet_lambda: 0.05 in the paper, 0.001 in its code.
      tet_target: phi, the firing threshold in the paper, 1.

    Raises:
      ValueError: as `squared_error`.

    Source: Deng et al. (2022), ICLR, arXiv 2202.11946.
    """
    potentials = wide(potentials)
    part, target = (jnp.asarray(number, potentials.dtype) for number in (tet_lambda, tet_target))
    return (1 - part) * per_step_cross_entropy(potentials, labels) + part * jnp.mean(jnp.square(potentials - target))


def rate_cross_entropy(spikes: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the output neurons' firing rates (spikes per step), mean over the batch.

    Args:
      spikes: `[T, B, classes]`, output spikes; of a readout that does not fire, its potentials (their mean over time).
      labels: class numbers `[B]`, or probabilities `[B, classes]`.

    Raises:
      ValueError: as `squared_error`.

    Source: cross-entropy of `out.mean(0)`, as SpikingJelly trains: Fang et al. (2023), Science Advances 9:eadi1480.
    """
    return per_step_cross_entropy(jnp.mean(wide(spikes), 0, keepdims=True), labels)


def count_cross_entropy(spikes: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the output neurons' spike counts, or of their potentials' sum over time.

    Args:
      spikes: `[T, B, classes]`.
      labels: class numbers `[B]`, or probabilities `[B, classes]`.

    Raises:
      ValueError: as `squared_error`.

    Source: `ce_count_loss` of snnTorch, Eshraghian et al. (2023), Proceedings of the IEEE, arXiv 2109.12894.
    """
    return per_step_cross_entropy(jnp.sum(wide(spikes), 0, keepdims=True), labels)


def max_cross_entropy(potentials: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the largest potential over time.

    The gradient goes to the step with the largest potential; several such steps share it.

    Args:
      potentials: `[T, B, classes]`.
      labels: class numbers `[B]`, or probabilities `[B, classes]`.

    Raises:
      ValueError: as `squared_error`.

    Source: Cramer et al. (2020), IEEE TNNLS, arXiv 1910.07407 (the Heidelberg spoken digits).
    """
    # The gradient divides by the number of steps that equal the largest: 0, if the compiler rounded potentials
    # otherwise where it computes them again for the comparison. The barrier makes it compute them once.
    held = jax.lax.optimization_barrier(wide(potentials))
    return per_step_cross_entropy(jnp.max(held, 0, keepdims=True), labels)


def softmax_sum_cross_entropy(potentials: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of `sum_t softmax(o_t)`: every step votes, and no step more than another.

    Args:
      potentials: `[T, B, classes]`.
      labels: class numbers `[B]`, or probabilities `[B, classes]`.

    Raises:
      ValueError: as `squared_error`.

    Source: Bittar and Garner (2022), Frontiers in Neuroscience 16:865897; Hammouamri et al. (2024), ICLR, arXiv
    2306.17670 (learned delays).
    """
    votes = jnp.sum(jax.nn.softmax(wide(potentials)), 0, keepdims=True)
    return per_step_cross_entropy(votes, labels)
