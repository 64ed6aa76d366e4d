"""Leaky integrate-and-fire neuron (E2).

    u_t = v_(t-1) + I_t                      integrate
    s_t = 1[u_t > V_th]                      fire
    v_t = leak (1 - s_t) u_t                 hard reset, leak        (soft reset: leak (u_t - V_th s_t))

With `leak_first` the leak comes before the input, as in most libraries: `u_t = leak v_(t-1) + I_t`,
`v_t = (1 - s_t) u_t`.

Source: Lee et al. (2020), as discretised in the authors' code.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax.lax import stop_gradient

from jaxsnn.cells.cell import POSITIVE, UNIT, Cell
from jaxsnn.checks import check_leak, check_state, check_threshold
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction

Reset = Literal["hard", "soft"]


class LIFParams(NamedTuple):
    """Parameters of a leaky integrate-and-fire neuron; each a scalar or broadcastable to the neuron shape."""

    leak: ArrayLike = 0.99
    """Membrane decay per time step, `exp(-1/tau)`, in (0, 1]."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current."""


class LIFState(NamedTuple):
    """The state that the next step needs."""

    potential: Array
    """Membrane potential v after the last step, `[B, ...]`."""


def init(params: LIFParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> LIFState:
    """The resting state: zero potential of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1] or a threshold known now is not positive.
    """
    check_leak(params.leak)
    check_threshold(params.threshold)
    return LIFState(jnp.zeros(shape, dtype))


def integrate(params: LIFParams, state: LIFState, current: Array, *, leak_first: bool = False) -> Array:
    """The potential that is compared with the threshold, `[B, ...]`: a membrane trace shows it (see `unroll`)."""
    potential = state.potential * params.leak if leak_first else state.potential
    return potential + current


def step(
    params: LIFParams,
    state: LIFState,
    current: Array,
    *,
    spike: SpikeFunction = arctan,
    reset: Reset = "hard",
    leak_first: bool = False,
) -> tuple[LIFState, Array]:
    """One time step: integrate, fire, reset, leak.

    Args:
      params: leak and threshold.
      state: membrane potential before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative.
      reset: `"hard"` sets the potential of a neuron that fired to zero, `"soft"` subtracts the threshold. The reset is
        not differentiated: gradients pass through the spikes that the layer sends, not through their own reset.
      leak_first: the other order that most libraries use: leak, integrate, fire, reset. The paper's order leaks last.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: if `current` has another shape or dtype than the state, or `reset` is unknown.

    Source: Lee et al. (2020), as discretised in the authors' code: (E2) in docs/equations.md.
    """
    check_state(state.potential, current)
    potential = integrate(params, state, current, leak_first=leak_first)
    spikes = spike(potential - params.threshold)
    fired = stop_gradient(spikes)
    if reset == "hard":
        potential = potential * (1 - fired)
    elif reset == "soft":
        potential = potential - params.threshold * fired
    else:
        raise ValueError(f"reset must be 'hard' or 'soft', got {reset!r}")
    return LIFState(potential if leak_first else potential * params.leak), spikes


def cell(*, reset: Reset = "hard", leak_first: bool = False) -> Cell:
    """The record of this neuron; options as in `step`."""
    return Cell(
        LIFParams,
        init,
        partial(step, reset=reset, leak_first=leak_first),
        partial(integrate, leak_first=leak_first),
        {"leak": UNIT, "threshold": POSITIVE},
    )


CELL = cell()
