"""Leaky integrate-and-fire neuron (E2).

    u_t = v_(t-1) + I_t                      integrate
    s_t = 1[u_t > V_th]                      fire
    v_t = leak (1 - s_t) u_t                 hard reset, leak        (soft reset: leak (u_t - V_th s_t))

With `leak_first` the leak comes before the input, as in most libraries: `u_t = leak v_(t-1) + I_t`,
`v_t = (1 - s_t) u_t`. Reset to zero, both orders fire alike. Potentials are measured from the resting potential, to
which the membrane leaks and from which it starts: a neuron that rests at `v_rest` and fires at `V` has the threshold
`V - v_rest`, and a reset to its resting potential is a hard one. docs/equivalence.md has the names of other libraries.

Source: Lee et al. (2020), as discretised in the authors' code.
"""

from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp

from jaxsnn.cells import reset as reset_of
from jaxsnn.cells.cell import POSITIVE, REAL, UNIT, Cell
from jaxsnn.cells.reset import after_spikes, check_reset, from_potential
from jaxsnn.checks import check_leak, check_state, check_threshold
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction

Reset = Literal["hard", "soft", "none", "delayed", "value"]
"""The reset of a neuron that fired, see `step`."""


class LIFParams(NamedTuple):
    """Parameters of a leaky integrate-and-fire neuron; each a scalar or broadcastable to the neuron shape."""

    leak: ArrayLike = 0.99
    """Membrane decay per time step, `exp(-1/tau)`, in (0, 1]."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current."""


class ResetParams(NamedTuple):
    """Parameters of a LIF neuron with `reset="value"`; each a scalar or broadcastable to the neuron shape."""

    leak: ArrayLike = 0.99
    """Membrane decay per time step, in (0, 1]."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, measured from the resting potential."""
    v_reset: ArrayLike = 0.0
    """Potential after a spike, measured from the resting potential."""


class LIFState(NamedTuple):
    """The state that the next step needs."""

    potential: Array
    """Membrane potential v after the last step, `[B, ...]`."""


def init(params: LIFParams | ResetParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> LIFState:
    """The resting state: zero potential of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1] or a threshold known now is not positive.
    """
    check_leak(params.leak)
    check_threshold(params.threshold)
    return LIFState(jnp.zeros(shape, dtype))


def integrate(
    params: LIFParams | ResetParams,
    state: LIFState,
    current: Array,
    *,
    leak_first: bool = False,
    scale_input: bool = False,
) -> Array:
    """The potential that is compared with the threshold, `[B, ...]`: a membrane trace shows it (see `unroll`)."""
    potential = state.potential * params.leak if leak_first else state.potential
    return potential + ((1 - params.leak) * current if scale_input else current)


def step(
    params: LIFParams | ResetParams,
    state: LIFState,
    current: Array,
    *,
    spike: SpikeFunction = arctan,
    reset: Reset = "hard",
    leak_first: bool = False,
    detach_reset: bool = True,
    scale_input: bool = False,
) -> tuple[LIFState, Array]:
    """One time step: integrate, fire, reset, leak.

    Args:
      params: leak and threshold; `ResetParams` for `reset="value"`.
      state: membrane potential before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative; `partial(arctan, inclusive=True)` fires at `>=`.
      reset: of the potential of a neuron that fired: `"hard"` to zero, `"value"` to the parameter `v_reset`, `"soft"`
        by subtraction of the threshold, `"delayed"` the same after the leak instead of before, so that
        `u_t = leak u_(t-1) + I_t - V_th s_(t-1)` (not with `leak_first`), `"none"` not at all.
      leak_first: the other order that most libraries use: leak, integrate, fire, reset. The paper's order leaks last.
      detach_reset: the reset is not differentiated: gradients pass through the spikes that the layer sends, not
        through their own reset. False: through both.
      scale_input: multiply the current by `1 - leak`, so that a constant one settles at itself.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: if `current` has another shape or dtype than the state, `reset` is unknown, or "delayed" with
        `leak_first`.

    Source: Lee et al. (2020), as discretised in the authors' code: (E2) in docs/equations.md. "delayed": Eshraghian et
    al. 2023 (arXiv 2109.12894). `scale_input`: Fang et al. 2021 (arXiv 2007.05785).
    """
    check_state(state.potential, current)
    check_options(reset, leak_first)
    potential = integrate(params, state, current, leak_first=leak_first, scale_input=scale_input)
    behind = partial(fire, spike=spike, reset=reset, leak_first=leak_first, detach_reset=detach_reset)
    state, spikes = from_potential(behind)(params, potential)
    return state, spikes


def fire(
    params: LIFParams | ResetParams,
    potential: Array,
    *,
    spike: SpikeFunction = arctan,
    reset: Reset = "hard",
    leak_first: bool = False,
    detach_reset: bool = True,
) -> tuple[LIFState, Array]:
    """The rest of a step behind `integrate`: fire, reset, leak; arguments and results as in `step`."""
    spikes = spike(potential - params.threshold)
    delayed = reset == "delayed"
    potential = after_spikes(
        potential * params.leak if delayed else potential,
        spikes,
        params.threshold,
        reset=plain(reset),
        detach_reset=detach_reset,
        v_reset=params.v_reset if isinstance(params, ResetParams) else None,
    )
    return LIFState(potential if leak_first or delayed else potential * params.leak), spikes


def plain(reset: Reset) -> reset_of.Reset:
    """The reset from which this one differs by when it happens ("delayed"), or by where to ("value")."""
    return "soft" if reset == "delayed" else "hard" if reset == "value" else reset


def check_options(reset: str, leak_first: bool = False, *, value: bool = True) -> None:
    """Raises ValueError unless these options of `step` go together; `value`: whether `reset="value"` may be."""
    known = get_args(Reset)
    check_reset(reset, known if value else tuple(name for name in known if name != "value"))
    if reset == "delayed" and leak_first:
        raise ValueError("a delayed reset subtracts after the leak: it goes without leak_first, which leaks earlier")


def cell(
    *,
    reset: Reset = "hard",
    leak_first: bool = False,
    detach_reset: bool = True,
    scale_input: bool = False,
) -> Cell:
    """The record of this neuron; options as in `step`.

    Raises:
      ValueError: for an unknown `reset`, or "delayed" with `leak_first`.
    """
    check_options(reset, leak_first)
    order: dict[str, Any] = {"leak_first": leak_first, "scale_input": scale_input}
    bounds = {"leak": UNIT, "threshold": POSITIVE}
    return Cell(
        ResetParams if reset == "value" else LIFParams,
        init,
        partial(step, reset=reset, detach_reset=detach_reset, **order),
        partial(integrate, **order),
        bounds | {"v_reset": REAL} if reset == "value" else bounds,
        make=cell,
        options={"reset": reset, **order},
        fire=partial(fire, reset=reset, detach_reset=detach_reset, leak_first=leak_first),
    )


CELL = cell()
