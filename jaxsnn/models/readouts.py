"""How a network answers: from the readout's potentials at every step to the evidence for each class.

A readout maps `(gathered or None, potentials [T, B, classes])` to what it has gathered after the last step, any pytree
whose zeros stand for nothing gathered (None if it gathers nothing), and the evidence after every step,
`[T, B, classes]`. Logits are the evidence after T steps over `V_th T` (E6); loss, accuracy at every step, early exit
and reports all ask the evidence. "Potentials" are spikes, or mean spikes of several neurons, if the readout fires.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn.typing import Array


def last(gathered: Any, potentials: Array) -> tuple[Any, Array]:
    """The potential itself: logits are `v_T / (V_th T)`, as in Lee et al. (2020)."""
    return None, potentials


def mean(gathered: Any, potentials: Array) -> tuple[Any, Array]:
    """The sum of the potentials so far: logits are their mean over time, over V_th; of spikes, the firing rate."""
    sums = jnp.cumsum(potentials, 0)
    sums = sums if gathered is None else sums + gathered[None]
    return sums[-1], sums


def largest(gathered: Any, potentials: Array) -> tuple[Any, Array]:
    """The largest potential so far, of the steps alone: the membrane at rest before them does not count."""
    peaks = jax.lax.cummax(potentials, 0)
    if gathered is not None:
        peak, seen = gathered
        peaks = jnp.where(seen, jnp.maximum(peaks, peak[None]), peaks)
    return (peaks[-1], jnp.asarray(True)), peaks


def softmax_sum(gathered: Any, potentials: Array) -> tuple[Any, Array]:
    """The sum of the softmax of every step so far: each step has one vote, which it divides among the classes."""
    return mean(gathered, jax.nn.softmax(potentials))


def first_spike(gathered: Any, potentials: Array) -> tuple[Any, Array]:
    """The number of steps since the first spike: the class that fired first answers. For a readout that fires."""
    fired = jax.lax.cummax((potentials > 0).astype(potentials.dtype), 0)
    if gathered is not None:
        fired = jnp.maximum(fired, gathered["fired"][None])
    sums, since = mean(None if gathered is None else gathered["since"], fired)
    return {"fired": fired[-1], "since": sums}, since


READOUTS: dict[str, Callable[[Any, Array], tuple[Any, Array]]] = {
    "last": last,
    "mean": mean,
    "max": largest,
    "softmax_sum": softmax_sum,
    "first_spike": first_spike,
}
