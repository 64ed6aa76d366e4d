"""How a network answers: from the readout's potentials at every step to the evidence for each class.

A readout maps `(gathered [B, classes] or None, potentials [T, B, classes])` to what it has gathered after the last step
(None if it gathers nothing) and the evidence after every step, `[T, B, classes]`. Logits are the evidence after T steps
over `V_th T` (E6); loss, accuracy at every step, early exit and reports all ask the evidence.
"""

from collections.abc import Callable

import jax.numpy as jnp

from jaxsnn.typing import Array


def last(gathered: Array | None, potentials: Array) -> tuple[Array | None, Array]:
    """The potential itself: logits are `v_T / (V_th T)`, as in Lee et al. (2020)."""
    return None, potentials


def mean(gathered: Array | None, potentials: Array) -> tuple[Array | None, Array]:
    """The sum of the potentials so far: logits are their mean over time, over V_th."""
    sums = jnp.cumsum(potentials, 0)
    sums = sums if gathered is None else sums + gathered[None]
    return sums[-1], sums


READOUTS: dict[str, Callable[[Array | None, Array], tuple[Array | None, Array]]] = {"last": last, "mean": mean}
