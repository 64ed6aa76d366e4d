"""Integrate-and-fire neuron: the LIF neuron without leak; the paper's pooling neuron (E3).

u_t = v_(t-1) + I_t,    s_t = 1[u_t > V_th],    v_t = (1 - s_t) u_t        (soft reset: u_t - V_th s_t)
"""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxsnn.cells import lif
from jaxsnn.cells.cell import POSITIVE, Cell
from jaxsnn.cells.reset import Reset, check_reset
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction


class IFParams(NamedTuple):
    """Parameters of an integrate-and-fire neuron; a scalar or broadcastable to the neuron shape."""

    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current (0.75 in the paper's pooling layers)."""


IFState = lif.LIFState


def init(params: IFParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> IFState:
    """The resting state: zero potential of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a threshold known now is not positive.
    """
    return lif.init(lif.LIFParams(1.0, params.threshold), shape, dtype)


def step(
    params: IFParams,
    state: IFState,
    current: Array,
    *,
    spike: SpikeFunction = arctan,
    reset: Reset = "hard",
    detach_reset: bool = True,
) -> tuple[IFState, Array]:
    """One time step: integrate, fire, reset; arguments and errors as in `lif.step`.

    Source: Lee et al. (2020): (E3) in docs/equations.md.
    """
    whole = lif.LIFParams(1.0, params.threshold)
    return lif.step(whole, state, current, spike=spike, reset=reset, detach_reset=detach_reset)


def fire(params: IFParams, potential: Array, **options: Any) -> tuple[IFState, Array]:
    """The rest of a step behind `integrate`: fire, reset; options as in `step`."""
    return lif.fire(lif.LIFParams(1.0, params.threshold), potential, **options)


def integrate(params: IFParams, state: IFState, current: Array) -> Array:
    """The potential that is compared with the threshold, `[B, ...]`."""
    return state.potential + current


def cell(*, reset: Reset = "hard", detach_reset: bool = True) -> Cell:
    """The record of this neuron; options as in `lif.step`.

    Raises:
      ValueError: for an unknown `reset`.
    """
    check_reset(reset)
    reset_of: dict[str, Any] = {"reset": reset, "detach_reset": detach_reset}
    return Cell(
        IFParams,
        init,
        partial(step, **reset_of),
        integrate,
        {"threshold": POSITIVE},
        make=cell,
        options={"reset": reset},
        fire=partial(fire, **reset_of),
    )


CELL = cell()
