"""Leaky integrator that never fires: the readout of a network (E6).

v_t = leak (v_(t-1) + I_t)        with `leak_first`: v_t = leak v_(t-1) + I_t
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from jaxsnn.cells.cell import UNIT, Cell
from jaxsnn.checks import check_leak, check_state
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape


class LeakyIntegratorParams(NamedTuple):
    """Parameters of a leaky integrator; a scalar or broadcastable to the neuron shape."""

    leak: ArrayLike = 0.99
    """Membrane decay per time step, in (0, 1]."""


class LeakyIntegratorState(NamedTuple):
    """The state that the next step needs."""

    potential: Array
    """Membrane potential v after the last step, `[B, ...]`."""


def init(params: LeakyIntegratorParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> LeakyIntegratorState:
    """The resting state: zero potential of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1].
    """
    check_leak(params.leak)
    return LeakyIntegratorState(jnp.zeros(shape, dtype))


def step(
    params: LeakyIntegratorParams, state: LeakyIntegratorState, current: Array, *, leak_first: bool = False
) -> tuple[LeakyIntegratorState, Array]:
    """One time step, `v = leak (v + I)`, or `v = leak v + I` with `leak_first`.

    Args:
      params: leak.
      state: membrane potential before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      leak_first: leak before the input is added, the order that most libraries use.

    Returns:
      The state after the step, and its potential `[B, ...]` (where a firing cell returns spikes).

    Raises:
      ValueError: if `current` has another shape or dtype than the state.

    Source: Lee et al. (2020): (E6) in docs/equations.md.
    """
    check_state(state.potential, current)
    potential = state.potential if leak_first else state.potential + current
    potential = potential * params.leak
    potential = potential + current if leak_first else potential
    return LeakyIntegratorState(potential), potential


def cell(*, leak_first: bool = False) -> Cell:
    """The record of this neuron; `leak_first` as in `step`."""
    run = partial(step, leak_first=leak_first)
    options = {"leak_first": leak_first}
    return Cell(LeakyIntegratorParams, init, run, bounds={"leak": UNIT}, make=cell, fires=False, options=options)


CELL = cell()
