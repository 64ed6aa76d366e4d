"""Losses on the time of the first output spike, for a readout that fires."""

import jax
import jax.numpy as jnp

from jaxsnn.losses.cross_entropies import per_step_cross_entropy
from jaxsnn.losses.targets import targets, wide
from jaxsnn.typing import Array


@jax.custom_vjp
def first_spike_times(spikes: Array) -> Array:
    """The step of each neuron's first spike, from 0; T - 1 if it never fires. `[T, B, N]` to `[B, N]`.

    A time is no differentiable function of spikes. Backward, the derivative with respect to the spike at that time is
    taken as -1 (a larger potential fires earlier), and as 0 with respect to all others; a neuron that never fired
    gets it at the last step, so that it can learn to fire.

    Source: the sign estimator of snnTorch, Eshraghian et al. (2023), Proceedings of the IEEE, arXiv 2109.12894.
    """
    fired = spikes != 0
    steps = jnp.where(jnp.any(fired, 0), jnp.argmax(fired, 0), len(spikes) - 1)
    return steps.astype(spikes.dtype)


def _forward(spikes):
    times = first_spike_times(spikes)
    return times, (times, len(spikes))


def _backward(kept, g):
    times, steps = kept
    here = jnp.arange(steps, dtype=times.dtype).reshape(-1, *(1,) * times.ndim) == times[None]
    return (jnp.where(here, -g[None], jnp.zeros_like(g)[None]),)


first_spike_times.defvjp(_forward, _backward)


def first_spike_cross_entropy(spikes: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of minus the first spikes' times: the labelled class fires first.

    Args:
      spikes: `[T, B, classes]`, output spikes.
      labels: class numbers `[B]`, or probabilities `[B, classes]`.

    Raises:
      ValueError: as `squared_error`.

    Source: `ce_temporal_loss` of snnTorch (see `first_spike_times`); Mostafa (2018), arXiv 1606.08165.
    """
    return per_step_cross_entropy(-first_spike_times(wide(spikes))[None], labels)


def first_spike_mse(spikes: Array, labels: Array) -> Array:
    """Mean squared error of the first spikes' times over T, `mean ((t - target) / T)^2` over batch and classes.

    The labelled class should fire at step 0, the others at the last step, T - 1.

    Args:
      spikes: `[T, B, classes]`, output spikes.
      labels: class numbers `[B]`, or probabilities `[B, classes]`.

    Raises:
      ValueError: as `squared_error`.

    Source: `mse_temporal_loss` of snnTorch (see `first_spike_times`).
    """
    steps, times = len(spikes), first_spike_times(wide(spikes))
    target = (steps - 1) * (1 - targets(labels, times))
    return jnp.mean(jnp.square((times - target) / steps))
