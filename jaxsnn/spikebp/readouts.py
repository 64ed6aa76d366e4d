"""The readout of the rule (see `jaxsnn.spikebp`)."""

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient

from jaxsnn.cells.leaky_integrator import LeakyIntegratorParams, LeakyIntegratorState
from jaxsnn.checks import check_leak_backward, check_train
from jaxsnn.typing import Array, LeakBackward


def readout(
    params: LeakyIntegratorParams,
    state: LeakyIntegratorState,
    currents: Array,
    *,
    leak_backward: LeakBackward = "straight_through",
) -> tuple[LeakyIntegratorState, Array]:
    """Leaky integrators that never fire, over time.

    Args:
      params: leak; its own gradient is zero.
      state: from `cells.leaky_integrator.init`, or returned by the call for the steps before.
      currents: `[T, B, classes]`; may be narrower than the state.
      leak_backward: "straight_through", the paper's: backward there is no leak; "true": the ordinary gradient (E12).

    Returns:
      The state after the last step, and the potential at every step, `[T, B, classes]`, in the dtype of `currents`.

    Raises:
      ValueError: as in `lif`.

    Source: Lee et al. (2020): (E6), and (E9) of the readout.
    """
    check_leak_backward(leak_backward)
    check_train(state.potential, currents)
    params = LeakyIntegratorParams(stop_gradient(jnp.asarray(params.leak, state.potential.dtype)))
    run = _integrate if leak_backward == "true" else _readout
    return run(params, state, currents)


def _integrate(params, state, currents):
    def body(potential: Array, current: Array) -> tuple[Array, Array]:
        potential = params.leak * (potential + current.astype(potential.dtype))
        return potential, potential.astype(current.dtype)

    potential, potentials = jax.lax.scan(body, state.potential, currents)
    return LeakyIntegratorState(potential), potentials


_readout = jax.custom_vjp(_integrate)


def _readout_forward(params, state, currents):
    return _integrate(params, state, currents), params


def _readout_backward(params, cotangents):
    g_state, g_potentials = cotangents
    # one sum per step, from the end: sum_{t' >= t} of the potentials' cotangents, plus that of the last potential
    wide = g_potentials.astype(g_state.potential.dtype)
    g_currents = jax.lax.cumsum(wide, axis=0, reverse=True) + g_state.potential[None]
    zeros = jax.tree.map(jnp.zeros_like, params)
    return zeros, LeakyIntegratorState(g_currents[0]), g_currents.astype(g_potentials.dtype)


_readout.defvjp(_readout_forward, _readout_backward)
