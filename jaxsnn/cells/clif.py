"""Complementary LIF neuron (CLIF): a trace of its spikes, which decays with the potential, deepens the reset.

    u_t = leak v_(t-1) + I_t,    s_t = 1[u_t > V_th]
    m_t = m_(t-1) sigmoid((1 - leak) u_t) + s_t
    v_t = u_t - s_t (V_th + sigmoid(m_t))

The reset is differentiated: through the trace, gradients reach far back in time.

Source: Huang et al. 2024 (arXiv 2402.04663), as in the authors' code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsnn.cells.cell import POSITIVE, UNIT, Cell
from jaxsnn.cells.reset import from_potential
from jaxsnn.checks import check_leak, check_state, check_threshold
from jaxsnn.surrogate import boxcar
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction


class CLIFParams(NamedTuple):
    """Parameters of a complementary LIF neuron; each a scalar or broadcastable to the neuron shape."""

    leak: ArrayLike = 0.5
    """Membrane decay per time step, `1 - 1/tau`, in (0, 1]."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current."""


class CLIFState(NamedTuple):
    """The state that the next step needs."""

    potential: Array
    """Membrane potential v after the last step, `[B, ...]`."""
    complement: Array
    """Complementary potential m after the last step, `[B, ...]`."""


def init(params: CLIFParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> CLIFState:
    """The resting state: zeros of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1] or a threshold known now is not positive.
    """
    check_leak(params.leak)
    check_threshold(params.threshold)
    return CLIFState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def integrate(params: CLIFParams, state: CLIFState, current: Array) -> Array:
    """The potential that is compared with the threshold, `[B, ...]`."""
    return state.potential * params.leak + current


def step(
    params: CLIFParams, state: CLIFState, current: Array, *, spike: SpikeFunction = boxcar
) -> tuple[CLIFState, Array]:
    """One time step: leak, integrate, fire, complement, reset.

    Args:
      params: leak and threshold.
      state: membrane and complementary potential before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative, the source's by default.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: if `current` has another shape or dtype than the state.
    """
    check_state(state.potential, current)

    def fire(params: CLIFParams, potential: Array, complement: Array) -> tuple[CLIFState, Array]:
        spikes = spike(potential - params.threshold)
        complement = complement * jax.nn.sigmoid((1 - params.leak) * potential) + spikes
        return CLIFState(potential - spikes * (params.threshold + jax.nn.sigmoid(complement)), complement), spikes

    state, spikes = from_potential(fire)(params, integrate(params, state, current), state.complement)
    return state, spikes


CELL = Cell(CLIFParams, init, step, integrate, {"leak": UNIT, "threshold": POSITIVE})
