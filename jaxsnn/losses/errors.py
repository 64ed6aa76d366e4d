"""Squared errors of outputs against their targets."""

import jax.numpy as jnp

from jaxsnn.losses.targets import targets, wide
from jaxsnn.typing import Array


def squared_error(logits: Array, labels: Array) -> Array:
    """Membrane-potential squared error, `sum (output - onehot)^2` over batch and classes (E7).

    A sum, not a mean: the learning rate belongs to its batch size.

    Args:
      logits: `[B, classes]`, the readout's last potential over `V_th T`.
      labels: class numbers `[B]`, or probabilities `[B, classes]`.

    Raises:
      ValueError: if `labels` are neither integers of rank 1 nor probabilities of all classes, or (where they are
        known, outside of `jit`) outside the classes.

    Source: Lee et al. (2020).
    """
    logits = wide(logits)
    return jnp.sum(jnp.square(logits - targets(labels, logits)))


def rate_mse(spikes: Array, labels: Array, *, correct: float = 1.0, incorrect: float = 0.0) -> Array:
    """Mean squared error of the output neurons' firing rates, `mean (mean_t s_t - target)^2` over batch and classes.

    Args:
      spikes: `[T, B, classes]`, output spikes; of a readout that does not fire, its potentials (their mean over time).
      labels: class numbers `[B]`, or probabilities `[B, classes]`.
      correct, incorrect: target rate of the labelled class and of the others, in spikes per step.

    Raises:
      ValueError: as `squared_error`.

    Source: `F.mse_loss(out_fr, one_hot)`, as SpikingJelly trains: Fang et al. (2021), ICCV, arXiv 2007.05785; with
    target rates Shrestha and Orchard (2018), NeurIPS, arXiv 1810.08646.
    """
    rates = jnp.mean(wide(spikes), 0)
    target = incorrect + (correct - incorrect) * targets(labels, rates)
    return jnp.mean(jnp.square(rates - target))


def per_step_mse(potentials: Array, labels: Array) -> Array:
    """Mean squared error of the readout's potentials at every step, `mean (o_t - onehot)^2` over time, batch, classes.

    Args:
      potentials: `[T, B, classes]`.
      labels: class numbers `[B]`, or probabilities `[B, classes]`.

    Raises:
      ValueError: as `squared_error`.

    Source: the second term of Xiao et al. (2022), NeurIPS, arXiv 2210.04195 (online training through time).
    """
    potentials = wide(potentials)
    return jnp.mean(jnp.square(potentials - targets(labels, potentials)[None]))
