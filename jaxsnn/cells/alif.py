"""Adaptive LIF neuron (ALIF): every spike raises the threshold, which falls back slowly.

    theta_t = V_th + adaptation b_t
    u_t = v_(t-1) + (1 - leak) I_t,    s_t = 1[u_t > theta_t]
    v_t = leak u_t - theta_t s_t
    b_(t+1) = adaptation_leak b_t + (1 - adaptation_leak) s_t

Source: Bellec et al. 2018, LSNN (arXiv 1803.09574), equations (1) to (3), as in the authors' code; their surrogate is
`triangle` with slope `1 / V_th` and height 0.3.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from jaxsnn.cells import lif
from jaxsnn.cells.cell import POSITIVE, UNIT, Cell
from jaxsnn.checks import check_leak, check_state, check_threshold
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction


class ALIFParams(NamedTuple):
    """Parameters of an adaptive LIF neuron; each a scalar or broadcastable to the neuron shape."""

    leak: ArrayLike = 0.95
    """Membrane decay per time step, `exp(-1/tau_mem)`, in (0, 1]; tau_mem is 20 steps in the paper."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th of a neuron that was silent for long, in units of the input current."""
    adaptation_leak: ArrayLike = 0.995
    """Decay of the adaptation per time step, `exp(-1/tau_a)`, in (0, 1]; tau_a is 200 steps in the authors' code."""
    adaptation: ArrayLike = 1.6
    """Rise of the threshold beta, in units of the threshold: by `beta (1 - adaptation_leak)` with every spike."""


class ALIFState(NamedTuple):
    """The state that the next step needs."""

    potential: Array
    """Membrane potential v after the last step, `[B, ...]`."""
    adaptation: Array
    """Adaptation b for the next step, in spikes, `[B, ...]`."""


def init(params: ALIFParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> ALIFState:
    """The resting state: zeros of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1] or a threshold known now is not positive.
    """
    check_leak(params.leak)
    check_leak(params.adaptation_leak)
    check_threshold(params.threshold)
    return ALIFState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def _scaled(params: ALIFParams, current: Array, scale_input: bool) -> Array:
    return current * (1 - params.leak) if scale_input else current


def excess(params: ALIFParams, state: ALIFState, current: Array, *, scale_input: bool = True) -> Array:
    """The potential less the rise of the threshold, which is compared with V_th, `[B, ...]`."""
    return state.potential + _scaled(params, current, scale_input) - state.adaptation * params.adaptation


def step(
    params: ALIFParams,
    state: ALIFState,
    current: Array,
    *,
    spike: SpikeFunction = arctan,
    reset: lif.Reset = "delayed",
    detach_reset: bool = True,
    scale_input: bool = True,
) -> tuple[ALIFState, Array]:
    """One time step: integrate, fire, leak and reset, adapt.

    Args:
      params: leaks, threshold, adaptation.
      state: membrane potential and adaptation before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative.
      reset: as in `lif.step`, but "value"; a subtraction is by the threshold at that time.
      detach_reset: the reset is not differentiated; the adaptation always is.
      scale_input: multiply the current by `1 - leak`.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: if `current` has another shape or dtype than the state.
    """
    check_state(state.potential, current)
    threshold = params.threshold + params.adaptation * state.adaptation
    current = _scaled(params, current, scale_input)
    membrane, before = lif.LIFParams(params.leak, threshold), lif.LIFState(state.potential)
    after, spikes = lif.step(membrane, before, current, spike=spike, reset=reset, detach_reset=detach_reset)
    adaptation = state.adaptation * params.adaptation_leak + spikes * (1 - params.adaptation_leak)
    return ALIFState(after.potential, adaptation), spikes


def cell(*, reset: lif.Reset = "delayed", detach_reset: bool = True, scale_input: bool = True) -> Cell:
    """The record of this neuron; options as in `step`.

    Raises:
      ValueError: for an unknown `reset`.
    """
    lif.check_options(reset, value=False)
    return Cell(
        ALIFParams,
        init,
        partial(step, reset=reset, detach_reset=detach_reset, scale_input=scale_input),
        partial(excess, scale_input=scale_input),
        {"leak": UNIT, "threshold": POSITIVE, "adaptation_leak": UNIT, "adaptation": POSITIVE},
        make=cell,
    )


CELL = cell()
