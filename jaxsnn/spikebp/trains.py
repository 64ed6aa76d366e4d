"""Spike trains and their way back, which LIF and pool neurons of the rule share."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn.loops import over_time
from jaxsnn.storage import Storage, restore, store
from jaxsnn.synapses.pools import Window, errors
from jaxsnn.typing import Array, ArrayLike, Kernel


def spike_storage(pack_spikes: bool) -> Storage:
    """How the backward pass keeps spikes."""
    return "bits" if pack_spikes else "bytes"


def integrate_and_fire(potential: Array, current: Array, threshold: ArrayLike) -> tuple[Array, Array]:
    """One step without leak: the potential after a hard reset, and whether the neuron fired."""
    potential = potential + current.astype(potential.dtype)
    fired = potential > threshold
    return jnp.where(fired, jnp.zeros_like(potential), potential), fired


def walk_back(
    g_potential: Array,
    g_spikes: Array | None,
    g_means: Array | None,
    kernel: Kernel,
    spikes: Array,
    scale: Array | None,
    leak: Array | None = None,
    window: Window | None = None,
) -> tuple[Array, Array]:
    """(E9): cotangents of the first potential and of every current, from those of the last potential, of the spikes
    and of their means.

    Args:
      g_potential: of the last potential, `[B, ...]`.
      g_spikes, g_means: of the spikes `[T, B, ...]` and of their means over windows; one of them may be None.
      kernel: "scan" or "pallas".
      spikes: zero where a neuron did not fire, `[T, B, ...]`.
      scale: the derivative `d` of every neuron, `[B, ...]`; None for 1.
      leak: of the error between spikes; None for none.
      window: of the means; None if there are none.
    """
    dtype = next(g.dtype for g in (g_spikes, g_means) if g is not None)
    if kernel == "pallas":  # its blocks of neurons are no windows
        g_spikes, g_means = errors(g_spikes, g_means, spikes.shape, window), None

    def body(numbers: Any, g_next: Array, xs: Any) -> tuple[Array, Array]:
        (scale, leak), (g_out, g_mean, fired) = numbers, xs
        g_out = errors(g_out, g_mean, fired.shape, window).astype(g_next.dtype)
        if scale is not None:
            g_out = g_out * scale
        if leak is not None:
            g_next = g_next * leak
        g = jnp.where(fired != 0, g_out, g_next)
        return g, g.astype(dtype)

    back: tuple[Array, Array]
    back = over_time(kernel, body, (scale, leak), g_potential, (g_spikes, g_means, spikes), reverse=True)
    return back


def store_train(storage: Storage, spikes: Array) -> Array:
    """Bits are packed over merged time and batch: a chunk of few steps wastes none."""
    return store(spikes.reshape(-1, *spikes.shape[2:]), storage)


def restored(storage: Storage, stored: Array, like: Array) -> Array:
    """The spikes `[T, B, ...]` that `store_train` kept, in bytes."""
    merged = like.shape[0] * (like.shape[1] if like.ndim > 1 else 1)
    return restore(stored, storage, merged, jnp.int8).reshape(like.shape)


def zeros(params: Any) -> Any:
    """The cotangents of leak and threshold, which the rule does not differentiate."""
    return jax.tree.map(jnp.zeros_like, params)
