"""Gated LIF neuron (GLIF): learned gates mix two kinds of leak, of input and of reset.

    f = 1 - leak_gate (1 - leak)
    u_t = v_(t-1) - (1 - leak_gate) linear_decay + (1 - input_gate (1 - conductance)) I_t,    s_t = 1[u_t > V_th]
    v_t = f u_t (1 - reset_gate s_t) - (1 - reset_gate) decrement s_t

The source's gates are alpha (leak), beta (input) and gamma (reset), all sigmoids, and it has a conductance for each
step; here there is one for all steps.

Source: Yao et al. 2022 (arXiv 2210.13768), as in SpikingJelly's GatedLIFNode.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax.lax import stop_gradient

from jaxsnn.cells.cell import UNIT, Cell
from jaxsnn.cells.lif import LIFState
from jaxsnn.cells.reset import from_potential
from jaxsnn.checks import check_leak, check_state, check_threshold
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction


class GLIFParams(NamedTuple):
    """Parameters of a gated LIF neuron, all in (0, 1); each a scalar or broadcastable to the neuron shape."""

    leak_gate: ArrayLike = 0.5
    """Gate alpha: 1 leaks exponentially, 0 by the linear decay."""
    input_gate: ArrayLike = 0.5
    """Gate beta: 1 multiplies the input by the conductance, 0 takes it as it is."""
    reset_gate: ArrayLike = 0.5
    """Gate gamma: 1 resets to zero, 0 subtracts the decrement."""
    leak: ArrayLike = 0.25
    """Exponential decay tau of the membrane per time step."""
    threshold: ArrayLike = 0.5
    """Firing threshold V_th, in units of the input current."""
    linear_decay: ArrayLike = 0.05
    """Linear decay per time step, in units of the input current; `V_th / (2 T)` in the source."""
    decrement: ArrayLike = 0.5
    """Subtracted after a spike, in units of the input current; V_th in the source."""
    conductance: ArrayLike = 0.5
    """Factor g on the input."""


def init(params: GLIFParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> LIFState:
    """The resting state: zero potential of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1] or a threshold known now is not positive.
    """
    check_leak(params.leak)
    check_threshold(params.threshold)
    return LIFState(jnp.zeros(shape, dtype))


def integrate(params: GLIFParams, state: LIFState, current: Array) -> Array:
    """The potential that is compared with the threshold, `[B, ...]`."""
    scaled = current * (1 - params.input_gate * (1 - params.conductance))
    return state.potential - (1 - params.leak_gate) * params.linear_decay + scaled


def step(
    params: GLIFParams, state: LIFState, current: Array, *, spike: SpikeFunction = arctan, detach_reset: bool = False
) -> tuple[LIFState, Array]:
    """One time step: integrate, fire, reset, leak.

    Args:
      params: gates, leaks, threshold, decrement and conductance.
      state: membrane potential before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative.
      detach_reset: the reset is not differentiated; in the source it is.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: if `current` has another shape or dtype than the state.
    """
    check_state(state.potential, current)

    def fire(params: GLIFParams, potential: Array) -> tuple[LIFState, Array]:
        spikes = spike(potential - params.threshold)
        fired = stop_gradient(spikes) if detach_reset else spikes
        leaked = potential * (1 - params.leak_gate * (1 - params.leak))
        after = leaked * (1 - fired * params.reset_gate) - fired * ((1 - params.reset_gate) * params.decrement)
        return LIFState(after), spikes

    state, spikes = from_potential(fire)(params, integrate(params, state, current))
    return state, spikes


def cell(*, detach_reset: bool = False) -> Cell:
    """The record of this neuron; the option as in `step`."""
    bounds = dict.fromkeys(GLIFParams._fields, UNIT)
    learned = tuple(f"{name}:channel" for name in GLIFParams._fields)
    return Cell(
        GLIFParams, init, partial(step, detach_reset=detach_reset), integrate, bounds, make=cell, learned=learned
    )


CELL = cell()
