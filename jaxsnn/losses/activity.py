"""Regularisers of activity: penalties on the firing rates of hidden layers, added to a loss."""

from collections.abc import Mapping

import jax.numpy as jnp

from jaxsnn.losses.targets import wide
from jaxsnn.typing import Array, ArrayLike


def rate_penalty(
    counts: Mapping[str, Array] | None, steps: int, *, lower: ArrayLike = 0.0, upper: ArrayLike = 1.0
) -> Array:
    """Penalty on neurons that fire too seldom or too often, for each sample, `[B]`.

    With the rate r of a neuron (spikes per step), `max(0, lower - r)^2 + max(0, r - upper)^2`, a mean over the neurons
    of each layer, summed over layers. The lower bound alone works against silence, the upper one against power; with
    `lower` equal to `upper` it is the squared distance from a target rate. Every sample counts on its own, so that
    parts of a batch add up.

    Args:
      counts: layer name to spikes of each neuron over all steps, `[B, ...]`: `Output.neuron_counts`, of a network that
        was called with `count=True`.
      steps: T.
      lower, upper: bounds of the rate, in spikes per step.

    Raises:
      ValueError: if there are no counts.

    Source: Zenke and Vogels (2021), Neural Computation 33:899, whose upper bound is on the mean of a layer.
    """
    if not counts:
        raise ValueError("no spikes were counted: call the network with count=True; a network without neurons has none")

    def layer(count: Array) -> Array:
        rates = wide(count) / steps
        rates = rates.reshape(len(rates), -1)
        low, high = (jnp.asarray(bound, rates.dtype) for bound in (lower, upper))
        silent, busy = jnp.maximum(low - rates, 0), jnp.maximum(rates - high, 0)
        return jnp.mean(jnp.square(silent) + jnp.square(busy), 1)

    penalties = [layer(count) for count in counts.values()]
    return jnp.sum(jnp.stack(penalties), 0)
