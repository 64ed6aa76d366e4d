"""The LIF and pool neurons of the rule (see `jaxsnn.spikebp`)."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsnn.cells.integrate_and_fire import IFParams, IFState
from jaxsnn.cells.lif import LIFParams
from jaxsnn.checks import check_kernel, check_leak_backward, check_train
from jaxsnn.loops import cotangents, is_zero, over_time
from jaxsnn.spikebp.states import SpikeBPState, UnfinishedState, counted, last
from jaxsnn.spikebp.trains import integrate_and_fire, restored, spike_storage, store_train, walk_back, zeros
from jaxsnn.storage import Storage
from jaxsnn.synapses.pools import Window, average_pool
from jaxsnn.typing import Array, Kernel, LeakBackward

FIRED = 1e-3
"""A neuron whose filtered output is above this counts as having fired (E8)."""


def derivative(params: LIFParams, state: SpikeBPState, *, leak_correction: bool = True) -> Array:
    """The leak-corrected derivative `d` of the LIF activation (E8), one number per neuron and sample, `[B, ...]`.

    `d = (1 / V_th) (1[LF > 1e-3] + ln(leak) LF / max(gamma, 1))`; zero for a neuron that never fired. Without the
    correction (E12) the second term is left out.
    """
    filtered, spike_count = state.filtered, state.spike_count
    fired = (filtered > FIRED).astype(filtered.dtype)
    if not leak_correction:
        return fired / params.threshold
    leak = jnp.asarray(params.leak, filtered.dtype)
    return (fired + jnp.log(leak) * filtered / jnp.maximum(spike_count, 1)) / params.threshold


class _Rule(NamedTuple):
    """Settings that are fixed when the program is traced."""

    storage: Storage
    kernel: Kernel
    leak_correction: bool
    true_leak: bool
    finished_later: bool
    window: Window | None


def lif(
    params: LIFParams,
    state: SpikeBPState,
    currents: Array,
    *,
    pack_spikes: bool = False,
    leak_correction: bool = True,
    leak_backward: LeakBackward = "straight_through",
    kernel: Kernel = "scan",
) -> tuple[SpikeBPState, Array]:
    """Leaky integrate-and-fire neurons over time, with the paper's backward rule.

    Args:
      params: leak and threshold; traced arrays are welcome, their own gradients are zero.
      state: from `init`, or returned by the call for the steps before.
      currents: synaptic input `[T, B, ...]`; may be narrower than the state (bfloat16 currents, float32 membranes).
      pack_spikes: keep the spikes for the backward pass in one bit each, not one byte.
      leak_correction: the second term of `d`; without it `d` is 1 / V_th for every neuron that fired (E12).
      leak_backward: "straight_through", the paper's: between spikes the error flows back unchanged (E9); "true": it is
        multiplied by the leak at every step (E12).
      kernel: "scan", or "pallas" for one kernel over all steps in each direction (`jaxsnn.kernels`).

    Returns:
      The state after the last step, and the spikes in {0, 1}, `[T, B, ...]`, in the dtype of `currents`.
      Stored for the backward pass: the spikes and, unless the state is `unfinished`, its filtered output and count,
      from which and the spikes the ingredients of `d` (E8) are computed again; at rest they take no memory.

    Raises:
      ValueError: if T is 0, the state does not fit one step of `currents` in shape and dtype, or `leak_backward` or
        `kernel` is unknown.

    Source: Lee et al. (2020): (E2), (E8), (E9); the variants (E12) are ours.
    """
    state, spikes, _ = lif_pooled(
        params,
        state,
        currents,
        None,
        pack_spikes=pack_spikes,
        leak_correction=leak_correction,
        leak_backward=leak_backward,
        kernel=kernel,
    )
    return state, spikes


def lif_pooled(
    params: LIFParams,
    state: SpikeBPState,
    currents: Array,
    window: Window | None,
    *,
    pack_spikes: bool = False,
    leak_correction: bool = True,
    leak_backward: LeakBackward = "straight_through",
    kernel: Kernel = "scan",
) -> tuple[SpikeBPState, Array, Any]:
    """`lif` and `synapses.average_pool` of its spikes: state, spikes, and means `[T, B, ...]`.

    Arguments and errors as in both; without a window there are no means. The backward pass spreads the errors of the
    means over the windows step by step, and so never holds them for all neurons at all steps.
    """
    check_leak_backward(leak_backward)
    check_kernel(kernel)
    check_train(state.potential, currents)
    leak, threshold = (jnp.asarray(p, state.potential.dtype) for p in params)
    later = isinstance(state, UnfinishedState)
    rule = _Rule(spike_storage(pack_spikes), kernel, leak_correction, leak_backward == "true", later, window)
    last, spikes, means = _lif(rule, LIFParams(leak, threshold), SpikeBPState(*state), currents)
    return type(state)(*last), spikes, means


def pool(
    params: IFParams, state: IFState, currents: Array, *, pack_spikes: bool = False, kernel: Kernel = "scan"
) -> tuple[IFState, Array]:
    """Integrate-and-fire neurons over time with derivative 1, as behind an average pool in the paper.

    Arguments, results and errors as in `lif` (the state is that of `cells.integrate_and_fire`).

    Source: Lee et al. (2020): (E3), (E9) with d = 1.
    """
    check_kernel(kernel)
    check_train(state.potential, currents)
    threshold = jnp.asarray(params.threshold, state.potential.dtype)
    return _pool(spike_storage(pack_spikes), kernel, IFParams(threshold), state, currents)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lif(rule: _Rule, params: LIFParams, state: SpikeBPState, currents: Array) -> Any:
    state, spikes = _lif_bytes(rule.kernel, params, state, currents)
    return state, *_sent(rule, spikes, currents)


def _sent(rule: _Rule, spikes: Array, currents: Array) -> tuple[Array, Array | None]:
    sent = spikes.astype(currents.dtype)
    return sent, None if rule.window is None else average_pool(sent, rule.window)


def _lif_bytes(kernel: Kernel, params: LIFParams, state: SpikeBPState, currents: Array) -> tuple[SpikeBPState, Array]:
    def body(params: LIFParams, state: SpikeBPState, current: Array) -> tuple[SpikeBPState, Array]:
        potential, fired = integrate_and_fire(state.potential, current, params.threshold)
        spikes = fired.astype(potential.dtype)
        filtered = state.filtered * params.leak + spikes
        state = SpikeBPState(potential * params.leak, filtered, state.spike_count + spikes)
        return state, fired.astype(jnp.int8)

    def run(params: LIFParams, state: SpikeBPState, currents: Array) -> tuple[SpikeBPState, Array]:
        ran: tuple[SpikeBPState, Array] = over_time(kernel, body, params, state, currents)
        return ran

    shape = state.potential.shape

    def merged(params: LIFParams, state: SpikeBPState, currents: Array) -> tuple[SpikeBPState, Array]:
        """XLA's loops for CPUs are as long as the last axis: with channels alone, half as fast."""
        if jnp.ndim(params.leak) or jnp.ndim(params.threshold):
            params = jax.tree.map(lambda p: jnp.broadcast_to(p, shape).reshape(shape[0], -1), params)
        state = jax.tree.map(lambda a: a.reshape(shape[0], -1), state)
        state, spikes = run(params, state, currents.reshape(len(currents), shape[0], -1))
        return jax.tree.map(lambda a: a.reshape(shape), state), spikes.reshape(currents.shape)

    if len(shape) < 3 or kernel == "pallas":
        return run(params, state, currents)
    return jax.lax.platform_dependent(params, state, currents, cpu=merged, default=run)


def _lif_forward(rule, params, state, currents):
    params, state, currents = jax.tree.map(lambda x: x.value, (params, state, currents))
    after, spikes = _lif_bytes(rule.kernel, params, state, currents)
    before = None if rule.finished_later else state._replace(potential=None)
    return (after, *_sent(rule, spikes, currents)), (params, store_train(rule.storage, spikes), before)


def _lif_backward(rule, residuals, g):
    params, stored, before = residuals
    g_state, g_spikes, g_means = cotangents(g)
    spikes = restored(rule.storage, stored, g_spikes)
    # a later chunk of the train has sent its last state in the cotangents of counts, which have no gradient
    g_state = g_state if before is None else last(g_state, counted(params, before, spikes))
    d = derivative(params, g_state, leak_correction=rule.leak_correction)
    leak = params.leak if rule.true_leak else None
    g_out = None if rule.window is not None and is_zero(g[1]) else g_spikes
    g_potential, g_currents = walk_back(g_state.potential, g_out, g_means, rule.kernel, spikes, d, leak, rule.window)
    return zeros(params), g_state._replace(potential=g_potential), g_currents


_lif.defvjp(_lif_forward, _lif_backward, symbolic_zeros=True)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _pool(storage: Storage, kernel: Kernel, params: IFParams, state: IFState, currents: Array) -> tuple[IFState, Array]:
    state, spikes = _pool_bytes(kernel, params, state, currents)
    return state, spikes.astype(currents.dtype)


def _pool_bytes(kernel: Kernel, params: IFParams, state: IFState, currents: Array) -> tuple[IFState, Array]:
    def body(params: IFParams, state: IFState, current: Array) -> tuple[IFState, Array]:
        potential, fired = integrate_and_fire(state.potential, current, params.threshold)
        return IFState(potential), fired.astype(jnp.int8)

    ran: tuple[IFState, Array] = over_time(kernel, body, params, state, currents)
    return ran


def _pool_forward(storage, kernel, params, state, currents):
    state, spikes = _pool_bytes(kernel, params, state, currents)
    return (state, spikes.astype(currents.dtype)), (params, store_train(storage, spikes))


def _pool_backward(storage, kernel, residuals, cotangents):
    params, stored = residuals
    g_state, g_spikes = cotangents
    spikes = restored(storage, stored, g_spikes)
    g_potential, g_currents = walk_back(g_state.potential, g_spikes, None, kernel, spikes, None)
    return zeros(params), IFState(g_potential), g_currents


_pool.defvjp(_pool_forward, _pool_backward)
