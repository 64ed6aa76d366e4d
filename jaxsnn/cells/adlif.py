"""LIF neuron with an adaptation current (adLIF), which follows the potential and jumps with every spike.

    u_t = leak v_(t-1) + (1 - leak) (I_t - w_t),    s_t = 1[u_t > V_th],    v_t = u_t - V_th s_t
    w_(t+1) = adaptation_leak w_t + coupling u_t + jump s_t

With recurrent synapses it is the RadLIF of the source, where leaks start and stay in narrow ranges and states start at
random; here states start at zero.

Source: Bittar & Garner 2022 (doi 10.3389/fnins.2022.865897), as in the authors' code, sparch.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from jaxsnn.cells.cell import POSITIVE, UNIT, Cell, interval
from jaxsnn.cells.reset import Reset, after_spikes, check_reset
from jaxsnn.checks import check_leak, check_state, check_threshold
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction


class AdLIFParams(NamedTuple):
    """Parameters of an adLIF neuron; each a scalar or broadcastable to the neuron shape."""

    leak: ArrayLike = 0.9
    """Membrane decay alpha per time step, in (0, 1]; in the source between exp(-1/5) and exp(-1/25)."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current."""
    adaptation_leak: ArrayLike = 0.98
    """Decay beta of the adaptation current, in (0, 1]; in the source between exp(-1/30) and exp(-1/120)."""
    coupling: ArrayLike = 0.0
    """Subthreshold coupling a, in (-1, 1)."""
    jump: ArrayLike = 1.0
    """Jump b of the adaptation current with every spike, in (0, 2)."""


class AdLIFState(NamedTuple):
    """The state that the next step needs."""

    potential: Array
    """Membrane potential v after the last step, `[B, ...]`."""
    adaptation: Array
    """Adaptation current w of the next step, `[B, ...]`."""


def init(params: AdLIFParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> AdLIFState:
    """The resting state: zeros of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1] or a threshold known now is not positive.
    """
    check_leak(params.leak)
    check_leak(params.adaptation_leak)
    check_threshold(params.threshold)
    return AdLIFState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def integrate(params: AdLIFParams, state: AdLIFState, current: Array) -> Array:
    """The potential that is compared with the threshold, `[B, ...]`."""
    return state.potential * params.leak + (current - state.adaptation) * (1 - params.leak)


def step(
    params: AdLIFParams,
    state: AdLIFState,
    current: Array,
    *,
    spike: SpikeFunction = arctan,
    reset: Reset = "soft",
    detach_reset: bool = False,
) -> tuple[AdLIFState, Array]:
    """One time step: leak, integrate, fire, reset, adapt.

    Args:
      params: leaks, threshold, coupling and jump.
      state: membrane potential and adaptation current before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative.
      reset: "soft", as in the source, "hard" or "none".
      detach_reset: the reset is not differentiated; in the source it is, as the adaptation always is.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: if `current` has another shape or dtype than the state.
    """
    check_state(state.potential, current)
    potential = integrate(params, state, current)
    spikes = spike(potential - params.threshold)
    adaptation = state.adaptation * params.adaptation_leak + potential * params.coupling + spikes * params.jump
    after = after_spikes(potential, spikes, params.threshold, reset=reset, detach_reset=detach_reset)
    return AdLIFState(after, adaptation), spikes


def cell(*, reset: Reset = "soft", detach_reset: bool = False) -> Cell:
    """The record of this neuron; options as in `step`.

    Raises:
      ValueError: for an unknown `reset`.
    """
    check_reset(reset)
    bounds = {
        "leak": UNIT,
        "threshold": POSITIVE,
        "adaptation_leak": UNIT,
        "coupling": interval(-1, 1),
        "jump": interval(0, 2),
    }
    learned = ("leak", "adaptation_leak", "coupling", "jump")
    scoped = tuple(f"{name}:neuron" for name in learned)
    run = partial(step, reset=reset, detach_reset=detach_reset)
    return Cell(AdLIFParams, init, run, integrate, bounds, make=cell, learned=scoped)


CELL = cell()
