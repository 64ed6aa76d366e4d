"""Izhikevich neuron in normalised units: a quadratic membrane with a recovery current.

    u_t = v_(t-1) + (I_t + curvature (v_(t-1) - v_rest) (v_(t-1) - critical) - w_(t-1)) / tau
    s_t = 1[u_t > V_th],    v_t = (1 - s_t) u_t
    w_t = w_(t-1) + (coupling (u_t - v_rest) - w_(t-1)) / recovery_tau + jump s_t

Potentials are measured from the reset potential, from which the neuron starts, so that its state is zero then.

Source: Izhikevich 2003 (doi 10.1109/TNN.2003.820440); normalised as in SpikingJelly's IzhikevichNode.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from jaxsnn.cells.cell import POSITIVE, REAL, TIME_CONSTANT, Cell
from jaxsnn.cells.reset import Reset, after_spikes, check_reset
from jaxsnn.checks import check_state, check_threshold
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction


class IzhikevichParams(NamedTuple):
    """Parameters of an Izhikevich neuron; each a scalar or broadcastable to the neuron shape."""

    tau: ArrayLike = 2.0
    """Time constant of the membrane, in steps, above 1."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current."""
    v_rest: ArrayLike = -0.1
    """Resting potential, the stable zero of the parabola."""
    critical: ArrayLike = 0.8
    """Critical potential v_c, its other zero, above which the membrane fires by itself."""
    curvature: ArrayLike = 1.0
    """Factor a_0 of the parabola."""
    recovery_tau: ArrayLike = 2.0
    """Time constant tau_w of the recovery current, in steps, above 1."""
    coupling: ArrayLike = 0.0
    """Factor a by which the recovery current follows the potential."""
    jump: ArrayLike = 0.0
    """Jump b of the recovery current with every spike."""


class IzhikevichState(NamedTuple):
    """The state that the next step needs."""

    potential: Array
    """Membrane potential v after the last step, measured from the reset potential, `[B, ...]`."""
    recovery: Array
    """Recovery current w after the last step, `[B, ...]`."""


def init(params: IzhikevichParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> IzhikevichState:
    """The state at the start: zeros of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a threshold known now is not positive.
    """
    check_threshold(params.threshold)
    return IzhikevichState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def integrate(params: IzhikevichParams, state: IzhikevichState, current: Array) -> Array:
    """The potential that is compared with the threshold, `[B, ...]`."""
    v = state.potential
    parabola = params.curvature * (v - params.v_rest) * (v - params.critical)
    return v + (current + parabola - state.recovery) / params.tau


def step(
    params: IzhikevichParams,
    state: IzhikevichState,
    current: Array,
    *,
    spike: SpikeFunction = arctan,
    reset: Reset = "hard",
    detach_reset: bool = True,
) -> tuple[IzhikevichState, Array]:
    """One time step: integrate, fire, recover, reset.

    Args:
      params: time constants, potentials, and the recovery current's coupling and jump.
      state: membrane potential and recovery current before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative.
      reset: "hard" to the reset potential, "soft" by the threshold, or "none".
      detach_reset: the reset is not differentiated; the jump of the recovery current always is.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: if `current` has another shape or dtype than the state.
    """
    check_state(state.potential, current)
    potential = integrate(params, state, current)
    spikes = spike(potential - params.threshold)
    pull = params.coupling * (potential - params.v_rest) - state.recovery
    recovery = state.recovery + pull / params.recovery_tau + params.jump * spikes
    after = after_spikes(potential, spikes, params.threshold, reset=reset, detach_reset=detach_reset)
    return IzhikevichState(after, recovery), spikes


def cell(*, reset: Reset = "hard", detach_reset: bool = True) -> Cell:
    """The record of this neuron; options as in `step`.

    Raises:
      ValueError: for an unknown `reset`.
    """
    check_reset(reset)
    bounds = {
        "tau": TIME_CONSTANT,
        "threshold": POSITIVE,
        "v_rest": REAL,
        "critical": REAL,
        "curvature": POSITIVE,
        "recovery_tau": TIME_CONSTANT,
        "coupling": REAL,
        "jump": REAL,
    }
    run = partial(step, reset=reset, detach_reset=detach_reset)
    return Cell(IzhikevichParams, init, run, integrate, bounds, make=cell)


CELL = cell()
