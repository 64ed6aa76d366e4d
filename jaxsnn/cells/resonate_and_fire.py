"""Resonate-and-fire neuron: a damped oscillator that fires where its potential is above the threshold.

    z_t = exp(-damping + i frequency) z_(t-1) + I_t,    s_t = 1[Re z_t > V_th]

z is complex, held as two real numbers. With `part="imaginary"` the imaginary part is compared with the threshold, as in
SpikingJelly; the real one is in spyx. Both reset nothing or the part that fired.

Source: Izhikevich 2001 (doi 10.1016/S0893-6080(01)00078-8).
"""

from functools import partial
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp

from jaxsnn.cells.cell import POSITIVE, REAL, Cell
from jaxsnn.cells.reset import Reset, after_spikes, check_reset
from jaxsnn.checks import check_state, check_threshold
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, SpikeFunction

Part = Literal["real", "imaginary"]


class ResonateParams(NamedTuple):
    """Parameters of a resonate-and-fire neuron; each a scalar or broadcastable to the neuron shape."""

    damping: ArrayLike = 0.1
    """Rate of decay lambda per time step, positive."""
    frequency: ArrayLike = 1.0
    """Angular frequency omega, in radians per time step."""
    threshold: ArrayLike = 1.0
    """Firing threshold V_th, in units of the input current."""


class ResonateState(NamedTuple):
    """The state that the next step needs."""

    real: Array
    """Real part of z after the last step, which takes the input, `[B, ...]`."""
    imaginary: Array
    """Imaginary part of z after the last step, `[B, ...]`."""


def init(params: ResonateParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> ResonateState:
    """The resting state: zeros of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a threshold known now is not positive.
    """
    check_threshold(params.threshold)
    return ResonateState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def _turn(params: ResonateParams, state: ResonateState, current: Array) -> ResonateState:
    decay = jnp.exp(-jnp.asarray(params.damping, current.dtype))
    frequency = jnp.asarray(params.frequency, current.dtype)
    cosine, sine = decay * jnp.cos(frequency), decay * jnp.sin(frequency)
    real = cosine * state.real - sine * state.imaginary + current
    return ResonateState(real, sine * state.real + cosine * state.imaginary)


def integrate(params: ResonateParams, state: ResonateState, current: Array, *, part: Part = "real") -> Array:
    """The part of z that is compared with the threshold, `[B, ...]`."""
    compared: Array = getattr(_turn(params, state, current), part)
    return compared


def step(
    params: ResonateParams,
    state: ResonateState,
    current: Array,
    *,
    spike: SpikeFunction = arctan,
    part: Part = "real",
    reset: Reset = "none",
    detach_reset: bool = True,
) -> tuple[ResonateState, Array]:
    """One time step: turn and decay, integrate, fire, reset.

    Args:
      params: damping, frequency, threshold.
      state: both parts of z before the step, `[B, ...]`.
      current: synaptic input of this step, `[B, ...]`.
      spike: Heaviside step with a pseudo-derivative.
      part: "real" or "imaginary", the one that is compared with the threshold, and reset.
      reset: "none", "hard" to zero, or "soft" by the threshold.
      detach_reset: the reset is not differentiated.

    Returns:
      The state after the step and the spikes in {0, 1}, `[B, ...]`, in the dtype of `current`.

    Raises:
      ValueError: if `current` has another shape or dtype than the state.
    """
    check_state(state.real, current)
    turned = _turn(params, state, current)
    potential: Array = getattr(turned, part)
    spikes = spike(potential - params.threshold)
    after = after_spikes(potential, spikes, params.threshold, reset=reset, detach_reset=detach_reset)
    return turned._replace(**{part: after}), spikes


def cell(*, part: Part = "real", reset: Reset = "none", detach_reset: bool = True) -> Cell:
    """The record of this neuron; options as in `step`.

    Raises:
      ValueError: for an unknown `part` or `reset`.
    """
    check_reset(reset)
    if part not in get_args(Part):
        raise ValueError(f"part must be one of {', '.join(get_args(Part))}, got {part!r}")
    return Cell(
        ResonateParams,
        init,
        partial(step, part=part, reset=reset, detach_reset=detach_reset),
        partial(integrate, part=part),
        {"damping": POSITIVE, "frequency": REAL, "threshold": POSITIVE},
        make=cell,
        learned=("damping:neuron", "frequency:neuron"),
    )


CELL = cell()
