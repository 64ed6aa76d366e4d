"""LIF neuron with a learned gain (KLIF): a rectified, scaled potential is compared with the threshold.

    h_t = leak v_(t-1) + (1 - leak) I_t,    u_t = max(gain h_t, 0),    s_t = 1[u_t > V_th],    v_t = (1 - s_t) u_t

With `scale_reset` the potential that remains is not scaled: `v_t = (1 - s_t) u_t / gain`.

Source: Jiang & Zhang 2023 (arXiv 2302.09238), as in SpikingJelly's KLIFNode.
"""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxsnn.cells import lif
from jaxsnn.cells.cell import POSITIVE, UNIT, Cell
from jaxsnn.cells.reset import Reset, after_spikes, check_reset, from_potential
from jaxsnn.checks import check_state
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction


class KLIFParams(NamedTuple):
    """Parameters of a KLIF neuron; each a scalar or broadcastable to the neuron shape."""

    leak: ArrayLike = 0.5
    """Membrane decay per time step, `1 - 1/tau`, in (0, 1]."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current."""
    gain: ArrayLike = 1.0
    """Factor k on the potential, where it starts."""


def init(params: KLIFParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> lif.LIFState:
    """The resting state: zero potential of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1] or a threshold known now is not positive.
    """
    return lif.init(lif.LIFParams(params.leak, params.threshold), shape, dtype)


def integrate(params: KLIFParams, state: lif.LIFState, current: Array, *, scale_input: bool = True) -> Array:
    """The potential that is compared with the threshold, `[B, ...]`."""
    return _scaled(params, _charge(params, state, current, scale_input))


def _charge(params: KLIFParams, state: lif.LIFState, current: Array, scale_input: bool) -> Array:
    membrane = lif.LIFParams(params.leak, params.threshold)
    return lif.integrate(membrane, state, current, leak_first=True, scale_input=scale_input)


def _scaled(params: KLIFParams, charge: Array) -> Array:
    return jnp.maximum(params.gain * charge, 0)


def step(
    params: KLIFParams,
    state: lif.LIFState,
    current: Array,
    *,
    spike: SpikeFunction = arctan,
    reset: Reset = "hard",
    detach_reset: bool = True,
    scale_input: bool = True,
    scale_reset: bool = False,
) -> tuple[lif.LIFState, Array]:
    """One time step: leak, integrate, scale, fire, reset.

    Args:
      params: leak, threshold, gain.
      state: membrane potential before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative.
      reset: "hard" to zero, "soft" by the threshold, or "none".
      detach_reset: the reset is not differentiated.
      scale_input: multiply the current by `1 - leak`.
      scale_reset: divide potential and threshold by the gain before the reset.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: if `current` has another shape or dtype than the state.
    """
    check_state(state.potential, current)

    def fire(params: KLIFParams, charge: Array) -> tuple[lif.LIFState, Array]:
        potential, threshold = _scaled(params, charge), params.threshold
        spikes = spike(potential - threshold)
        if scale_reset:
            potential, threshold = potential / params.gain, threshold / params.gain
        return lif.LIFState(after_spikes(potential, spikes, threshold, reset=reset, detach_reset=detach_reset)), spikes

    state, spikes = from_potential(fire)(params, _charge(params, state, current, scale_input))
    return state, spikes


def cell(
    *, reset: Reset = "hard", detach_reset: bool = True, scale_input: bool = True, scale_reset: bool = False
) -> Cell:
    """The record of this neuron; options as in `step`.

    Raises:
      ValueError: for an unknown `reset`.
    """
    check_reset(reset)
    options: dict[str, Any] = {"detach_reset": detach_reset, "scale_input": scale_input, "scale_reset": scale_reset}
    return Cell(
        KLIFParams,
        init,
        partial(step, reset=reset, **options),
        partial(integrate, scale_input=scale_input),
        {"leak": UNIT, "threshold": POSITIVE, "gain": POSITIVE},
        make=cell,
        learned=("gain",),
    )


CELL = cell()
