"""A cell over time in one kernel (`jaxsnn.kernels`), forward and backward, with the numbers of the scan.

The kernel of the forward pass writes spikes and potentials before each spike; that of the backward pass needs nothing
but them. Both evaluate the cell itself, so that there is no second copy of a neuron's equations.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn import kernels
from jaxsnn.cells.cell import Cell
from jaxsnn.heaviside import Surrogate, fires
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, SpikeFunction

Run = Callable[[Any, Any, Array], tuple[Any, Array]]


def fused(cell: Cell, spike: SpikeFunction | None = None) -> Run:
    """`Neuron.run` of a cell: `(params, carry, currents [T, B, ...]) -> (carry, spikes [T, B, ...])`.

    Args:
      cell: one with `fire`: LIF and integrate-and-fire cells, any reset and order.
      spike: a surrogate of `surrogate.SURROGATES`, or `partial(surrogate, slope=...)` of one; None for arctan. The
        slope is one number, which may be traced.

    Raises:
      ValueError: for another cell or spike function; from `run`, when a parameter of the neurons is differentiated.
    """
    if cell.fire is None or cell.membrane is None:
        raise ValueError(
            "kernel='pallas' is for cells whose state is the membrane alone, lif and integrate_and_fire, got a cell "
            f"with {', '.join(cell.params()._fields)}: take kernel='scan'"
        )
    membrane, fire = cell.membrane, cell.fire
    surrogate, slope = _surrogate(arctan if spike is None else spike)
    step = partial(fires, inclusive=surrogate.keywords.get("inclusive", False))

    def integrate_and_fire(params: Any, state: Any, current: Array) -> tuple[Any, tuple[Array, Array]]:
        potential = membrane(params, state, current.astype(jnp.result_type(*jax.tree.leaves(state))))
        state, spikes = fire(params, potential, spike=step)
        return state, (spikes.astype(current.dtype), potential)

    def fire_only(params: Any, state: Any, current: Array) -> tuple[Any, Array]:
        state, (spikes, _) = integrate_and_fire(params, state, current)
        return state, spikes

    def walk_back(numbers: Any, g_state: Any, now: tuple[Array, Array]) -> tuple[Any, Array]:
        (params, slope), (potential, g_spikes) = numbers, now
        _, pull = jax.vjp(lambda u: fire(params, u, spike=partial(surrogate, slope=slope)), potential)
        (g_potential,) = pull((g_state, g_spikes.astype(potential.dtype)))
        # linear: its derivative is the same at rest
        rest = jax.tree.map(jnp.zeros_like, g_state), jnp.zeros_like(potential)
        g_state, g_current = jax.vjp(partial(membrane, params), *rest)[1](g_potential)
        return g_state, g_current.astype(g_spikes.dtype)

    @jax.custom_vjp
    def run(params: Any, slope: Array, carry: Any, currents: Array) -> tuple[Any, Array]:
        return kernels.loop(fire_only, params, carry, currents)

    def forward(params: Any, slope: Any, carry: Any, currents: Any) -> Any:
        learned = [name for name, x in params._asdict().items() if x.perturbed]
        if learned:
            raise ValueError(
                f"kernel='pallas' has no gradient of {', '.join(learned)}: neurons that learn them take kernel='scan'"
            )
        params, slope, carry, currents = jax.tree.map(lambda x: x.value, (params, slope, carry, currents))
        carry, (spikes, potentials) = kernels.loop(integrate_and_fire, params, carry, currents)
        return (carry, spikes), (params, slope, potentials)

    def backward(residuals: Any, cotangents: Any) -> Any:
        params, slope, potentials = residuals
        g_carry, g_spikes = jax.tree.map(_array, cotangents)
        g_carry, g_currents = kernels.loop(walk_back, (params, slope), g_carry, (potentials, g_spikes), reverse=True)
        return *jax.tree.map(jnp.zeros_like, (params, slope)), g_carry, g_currents

    run.defvjp(forward, backward, symbolic_zeros=True)

    def over_time(params: Any, carry: Any, currents: Array) -> tuple[Any, Array]:
        wide = jnp.result_type(*jax.tree.leaves(carry))
        params = jax.tree.map(lambda x: jnp.asarray(x, wide), params)
        result: tuple[Any, Array] = run(params, jnp.asarray(slope, wide), carry, currents)
        return result

    return over_time


def _surrogate(spike: SpikeFunction) -> tuple[partial[Array], Any]:
    """The surrogate with its options, and its slope."""
    made = spike if isinstance(spike, partial) else partial(spike)
    if not isinstance(made.func, Surrogate) or made.args:
        raise ValueError(
            "kernel='pallas' takes a surrogate of jaxsnn.surrogate, or partial(surrogate, slope=...) of one, got "
            f"{spike!r}: take kernel='scan'"
        )
    options = dict(made.keywords)
    slope = options.pop("slope", None)
    slope = made.func.slope if slope is None else slope
    if jnp.size(slope) != 1:
        raise ValueError(f"kernel='pallas' takes one slope for all neurons, got {jnp.shape(slope)}: take kernel='scan'")
    return partial(made.func, **options), slope


def _array(cotangent: Any) -> Array:
    zero = isinstance(cotangent, jax.custom_derivatives.SymbolicZero)
    return jnp.zeros(cotangent.shape, cotangent.dtype) if zero else cotangent
