"""The potential after the spikes of a step: the resets that cells share."""

from functools import partial
from typing import Literal, get_args

import jax
from jax.lax import stop_gradient

from jaxsnn.typing import Array, ArrayLike

Reset = Literal["hard", "soft", "none"]
"""The reset of a neuron that fired: to zero, by subtraction of the threshold, or not at all."""


from_potential = partial(jax.checkpoint, prevent_cse=False)
"""Wraps a part of a step, `(params, potential, ...) -> ...`: the backward pass keeps the arguments alone, since spikes,
surrogate and reset follow from them again."""


def after_spikes(
    potential: Array,
    spikes: Array,
    threshold: ArrayLike,
    *,
    reset: str = "hard",
    detach_reset: bool = True,
    v_reset: ArrayLike | None = None,
) -> Array:
    """The potential `[B, ...]` after the reset of the neurons that fired.

    Args:
      potential: the potential that was compared with the threshold.
      spikes: zeros and ones, `[B, ...]`.
      threshold: V_th, the decrement of a soft reset.
      reset: "hard", "soft" or "none".
      detach_reset: gradients pass the reset by; only the spikes that the layer sends have a derivative then.
      v_reset: potential after a hard reset; None for zero.
    """
    if reset == "none":
        return potential
    fired = stop_gradient(spikes) if detach_reset else spikes
    if reset == "soft":
        return potential - threshold * fired
    kept = potential * (1 - fired)
    return kept if v_reset is None else kept + v_reset * fired


def check_reset(reset: str, known: tuple[str, ...] = get_args(Reset)) -> None:
    """Raises ValueError unless the reset is one that the cell knows."""
    if reset not in known:
        raise ValueError(f"reset must be one of {', '.join(known)}, got {reset!r}")
