"""A cell over time that keeps its potentials alone for the backward pass, which evaluates the cell itself once more.

There is no second copy of a neuron's equations. The loop is a scan, or one Pallas kernel (`jaxsnn.kernels`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn.cells.cell import Cell
from jaxsnn.checks import check_state, check_steps
from jaxsnn.heaviside import Surrogate, fires
from jaxsnn.loops import UNROLLED, cotangents, is_zero, over_time
from jaxsnn.surrogate import arctan
from jaxsnn.synapses.pools import Window, average_pool, errors
from jaxsnn.typing import Array, Kernel, SpikeFunction

Run = Callable[[Any, Any, Array], tuple[Any, Array]]
RunPooled = Callable[[Any, Any, Array, Window], tuple[Any, Array, Array]]


def refusal(cell: Cell, spike: SpikeFunction | None, kernel: Kernel) -> str:
    """Why `by_hand` cannot run this cell under this surrogate; empty if it can."""
    if cell.fire is None or cell.membrane is None:
        return (
            "is for cells whose state is the membrane alone, lif and integrate_and_fire, got a cell "
            f"with {', '.join(cell.params()._fields)}: take kernel='scan'"
        )
    made = _made(spike)
    if not isinstance(made.func, Surrogate) or made.args:
        return (
            f"takes a surrogate of jaxsnn.surrogate, or partial(surrogate, slope=...) of one, got {spike!r}: take "
            "kernel='scan'"
        )
    slope = made.keywords.get("slope")
    if kernel == "pallas" and slope is not None and jnp.size(slope) != 1:
        return f"takes one slope for all neurons, got {jnp.shape(slope)}: take kernel='scan'"
    return ""


def by_hand(
    cell: Cell, spike: SpikeFunction | None, kernel: Kernel, other: Callable[[SpikeFunction], Run]
) -> tuple[Run, RunPooled]:
    """`Neuron.run` and `Neuron.run_pooled` of a cell.

    Args:
      cell, spike, kernel: those that `refusal` lets pass; the slope may be traced.
      other: the run under a surrogate with JAX's own derivative, for parameters that are differentiated.

    Raises:
      ValueError: from both, when a parameter of the neurons is differentiated through a Pallas kernel, or if T is 0 or
        the carry does not fit one step of the currents.
    """
    membrane, fire = cell.membrane, cell.fire
    assert membrane is not None
    assert fire is not None
    made = _made(spike)
    surrogate = partial(made.func, **{name: x for name, x in made.keywords.items() if name != "slope"})
    slope = made.keywords.get("slope")
    slope = made.func.slope if slope is None else slope  # type: ignore[attr-defined]
    step = partial(fires, inclusive=made.keywords.get("inclusive", False))

    def integrate_and_fire(params: Any, state: Any, current: Array) -> tuple[Any, tuple[Array, Array]]:
        potential = membrane(params, state, current.astype(jnp.result_type(*jax.tree.leaves(state))))
        state, spikes = fire(params, potential, spike=step)
        return state, (spikes.astype(current.dtype), potential)

    def potential_only(params: Any, state: Any, current: Array) -> tuple[Any, Array]:
        state, (_, potential) = integrate_and_fire(params, state, current)
        return state, potential

    def fire_only(params: Any, state: Any, current: Array) -> tuple[Any, Array]:
        state, (spikes, _) = integrate_and_fire(params, state, current)
        return state, spikes

    def walk_back(window: Window | None, numbers: Any, g_state: Any, now: tuple[Array, Any, Any]) -> tuple[Any, Array]:
        (params, slope), (potential, g_spikes, g_means) = numbers, now
        g_spikes = errors(g_spikes, g_means, potential.shape, window)
        _, pull = jax.vjp(lambda u: fire(params, u, spike=partial(surrogate, slope=slope)), potential)
        (g_potential,) = pull((g_state, g_spikes.astype(potential.dtype)))
        # linear: its derivative is the same at rest
        rest = jax.tree.map(jnp.zeros_like, g_state), jnp.zeros_like(potential)
        g_state, g_current = jax.vjp(partial(membrane, params), *rest)[1](g_potential)
        return g_state, g_current.astype(g_spikes.dtype)

    loop = partial(over_time, kernel, unrolled=UNROLLED)

    def means(window: Window | None, spikes: Array) -> Array | None:
        return None if window is None else average_pool(spikes, window)

    @partial(jax.custom_vjp, nondiff_argnums=(0,))
    def run(window: Window | None, params: Any, slope: Array, carry: Any, currents: Array) -> Any:
        carry, spikes = loop(fire_only, params, carry, currents)
        return carry, spikes, means(window, spikes)

    def forward(window: Window | None, params: Any, slope: Any, carry: Any, currents: Any) -> Any:
        learned = [name for name, x in params._asdict().items() if x.perturbed]
        params, slope, carry, currents = jax.tree.map(lambda x: x.value, (params, slope, carry, currents))
        if kernel == "pallas":
            if learned:
                raise ValueError(
                    f"kernel='pallas' has no gradient of {', '.join(learned)}: neurons that learn them take "
                    "kernel='scan'"
                )
            carry, (spikes, potentials) = loop(integrate_and_fire, params, carry, currents)
        elif learned:
            (carry, spikes), pull = jax.vjp(other(partial(surrogate, slope=slope)), params, carry, currents)
            return (carry, spikes, means(window, spikes)), (slope, pull, None)
        else:
            carry, potentials = loop(potential_only, params, carry, currents)
            # outside of the loop, where whatever takes the spikes makes them from the potentials
            spikes = jax.vmap(lambda u: fire(params, u, spike=step)[1])(potentials).astype(currents.dtype)
        return (carry, spikes, means(window, spikes)), (slope, None, (params, potentials))

    def backward(window: Window | None, residuals: Any, g: Any) -> Any:
        slope, pull, kept = residuals
        g_carry, g_spikes, g_means = cotangents(g)
        g_spikes = None if window is not None and is_zero(g[1]) else g_spikes
        size = g[1].shape
        if pull is not None:
            g_params, g_carry, g_currents = pull((g_carry, errors(g_spikes, g_means, size, window)))
            return g_params, jnp.zeros_like(slope), g_carry, g_currents
        params, potentials = kept
        trains = potentials, g_spikes, g_means
        if kernel == "pallas":  # its blocks of neurons are no windows
            trains = potentials, errors(g_spikes, g_means, size, window), None
        g_carry, g_currents = loop(partial(walk_back, window), (params, slope), g_carry, trains, reverse=True)
        return *jax.tree.map(jnp.zeros_like, (params, slope)), g_carry, g_currents

    run.defvjp(forward, backward, symbolic_zeros=True)

    def checked(window: Window | None, params: Any, carry: Any, currents: Array) -> Any:
        check_steps(len(currents))
        potential = jax.tree.leaves(carry)[0]
        check_state(potential, jax.ShapeDtypeStruct(currents.shape[1:], potential.dtype))
        wide = jnp.result_type(*jax.tree.leaves(carry))
        params = jax.tree.map(lambda x: jnp.asarray(x, wide), params)
        return run(window, params, jnp.asarray(slope, wide), carry, currents)

    return (
        lambda *train: checked(None, *train)[:2],
        lambda params, carry, currents, window: checked(window, params, carry, currents),
    )


def _made(spike: SpikeFunction | None) -> partial[Any]:
    """The surrogate with its options; arctan if there is none."""
    return spike if isinstance(spike, partial) else partial(arctan if spike is None else spike)
