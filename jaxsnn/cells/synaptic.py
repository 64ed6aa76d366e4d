"""LIF neuron with an exponentially decaying synaptic current (CuBa LIF, "synaptic").

    i_t = synaptic_leak i_(t-1) + I_t
    u_t = v_(t-1) + i_t,    s_t = 1[u_t > V_th],    v_t = leak (1 - s_t) u_t

The membrane is that of `lif`, with its options: `reset="delayed"` is snnTorch's Synaptic, `reset="hard"` is
SpikingJelly's CUBALIFNode, with `scale_input=True` it is Norse's LIF, where `i_t` is the current after its jump.

Source: Eshraghian et al. 2023 (arXiv 2109.12894); Pehle & Pedersen 2021 (Norse).
"""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxsnn.cells import lif
from jaxsnn.cells.cell import POSITIVE, UNIT, Cell
from jaxsnn.checks import check_leak, check_state
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction


class SynapticParams(NamedTuple):
    """Parameters of a LIF neuron with synaptic currents; each a scalar or broadcastable to the neuron shape."""

    synaptic_leak: ArrayLike = 0.9
    """Decay of the synaptic current per time step, `exp(-1/tau_syn)`, in (0, 1]."""
    leak: ArrayLike = 0.8
    """Membrane decay per time step, `exp(-1/tau_mem)`, in (0, 1]."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current."""


class SynapticState(NamedTuple):
    """The state that the next step needs."""

    current: Array
    """Synaptic current i after the last step, `[B, ...]`."""
    potential: Array
    """Membrane potential v after the last step, `[B, ...]`."""


def init(params: SynapticParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> SynapticState:
    """The resting state: zeros of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1] or a threshold known now is not positive.
    """
    check_leak(params.synaptic_leak)
    return SynapticState(jnp.zeros(shape, dtype), lif.init(_membrane(params), shape, dtype).potential)


def _membrane(params: SynapticParams) -> lif.LIFParams:
    return lif.LIFParams(params.leak, params.threshold)


def _filtered(params: SynapticParams, state: SynapticState, current: Array) -> Array:
    return state.current * params.synaptic_leak + current


def integrate(params: SynapticParams, state: SynapticState, current: Array, **order: Any) -> Array:
    """The potential that is compared with the threshold, `[B, ...]`; options as in `lif.integrate`."""
    filtered = _filtered(params, state, current)
    return lif.integrate(_membrane(params), lif.LIFState(state.potential), filtered, **order)


def step(
    params: SynapticParams, state: SynapticState, current: Array, *, spike: SpikeFunction = arctan, **options: Any
) -> tuple[SynapticState, Array]:
    """One time step: the current decays and jumps, the membrane is a `lif.step` with it.

    Args:
      params: leaks and threshold.
      state: synaptic current and membrane potential before the step, `[B, ...]`.
      current: input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative.
      options: as in `lif.step`, but no `reset="value"`.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: as in `lif.step`.
    """
    check_state(state.potential, current)
    filtered = _filtered(params, state, current)
    after, spikes = lif.step(_membrane(params), lif.LIFState(state.potential), filtered, spike=spike, **options)
    return SynapticState(filtered, after.potential), spikes


def cell(
    *,
    reset: lif.Reset = "delayed",
    leak_first: bool = False,
    detach_reset: bool = True,
    scale_input: bool = False,
) -> Cell:
    """The record of this neuron; options as in `step`.

    Raises:
      ValueError: for a `reset` that it does not have, or "delayed" with `leak_first`.
    """
    lif.check_options(reset, leak_first, value=False)
    order: dict[str, Any] = {"leak_first": leak_first, "scale_input": scale_input}
    return Cell(
        SynapticParams,
        init,
        partial(step, reset=reset, detach_reset=detach_reset, **order),
        partial(integrate, **order),
        {"synaptic_leak": UNIT, "leak": UNIT, "threshold": POSITIVE},
        make=cell,
        options={"reset": reset, **order},
    )


CELL = cell()
