"""Parallel spiking neurons (PSN): no reset, so that a product over time gives all potentials at once.

    H = W I + B,    S = 1[H > 0]        (I: currents of T steps; W is [T, T], B is [T], -1 at first)

The masked PSN lets step t see its last `order` steps alone: `W` times a mask, or, on the way there, times a mixture of
the mask and ones. The sliding PSN has the same weights at every step, `h_t = sum_i w_i I_(t-i) + b`, for any T: it
alone can come in chunks of time. W and B are trained always, one for the whole layer.

Source: Fang et al. 2023 (arXiv 2304.12760), as in SpikingJelly.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsnn.checks import check_count, check_steps
from jaxsnn.neurons.neuron import Neuron
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, DTypeLike, Shape, SpikeFunction, accumulator


class PSNParams(NamedTuple):
    """Parameters of a parallel spiking neuron."""

    weight: Any = None
    """W, from the currents of step s to the potential of step t, `[T, T]`; of a sliding PSN `[order]`, oldest first."""
    bias: Any = None
    """B, `[T]`; of a sliding PSN a number. Its negative is the threshold."""


class MaskedPSNParams(NamedTuple):
    """Parameters of a masked PSN."""

    weight: Any = None
    """W, `[T, T]`."""
    bias: Any = None
    """B, `[T]`."""
    masking: Any = 1.0
    """How much of the weights outside the mask is removed: 1 all (then it is causal), 0 nothing (then it is a PSN)."""


class SlidingState(NamedTuple):
    """The state that the next step of a sliding PSN needs."""

    currents: tuple[Array, ...]
    """The currents of the last `order - 1` steps, oldest first, each `[B, ...]`."""


def psn(steps: int, *, spike: SpikeFunction = arctan) -> Neuron:
    """Parallel spiking neurons for trains of exactly T steps, each of which sees all others: not in chunks.

    Args:
      steps: T.
      spike: surrogate, called with the potential.

    Raises:
      ValueError: unless `steps` is an integer of at least 1; from `run`, for trains of another length.
    """
    check_steps(steps)

    def run(params: PSNParams, carry: tuple[()], currents: Array) -> tuple[tuple[()], Array]:
        return carry, _fire(params.weight, params.bias, currents, steps, spike)

    weights = {"weight": _uniform(steps), "bias": lambda key: jnp.full(steps, -1.0)}
    return Neuron(PSNParams(), _stateless, run, causal=False, weights=weights)


def masked_psn(steps: int, *, order: int = 2, spike: SpikeFunction = arctan) -> Neuron:
    """Parallel spiking neurons for trains of exactly T steps, each of which sees the last `order`: not in chunks.

    Args:
      steps: T.
      order: number of steps that a step sees, itself included.
      spike: surrogate, called with the potential.

    Raises:
      ValueError: unless both are integers of at least 1; from `run`, for trains of another length.
    """
    check_steps(steps)
    check_count("the order of a masked PSN", order)
    lag = jnp.arange(steps)[:, None] - jnp.arange(steps)[None]

    def run(params: MaskedPSNParams, carry: tuple[()], currents: Array) -> tuple[tuple[()], Array]:
        inside = ((lag >= 0) & (lag < order)).astype(params.weight.dtype)
        weight = params.weight * (1 - params.masking * (1 - inside))
        return carry, _fire(weight, params.bias, currents, steps, spike)

    weights = {"weight": _uniform(steps), "bias": lambda key: jnp.full(steps, -1.0)}
    return Neuron(MaskedPSNParams(), _stateless, run, causal=False, weights=weights)


def sliding_psn(*, order: int = 4, spike: SpikeFunction = arctan) -> Neuron:
    """Parallel spiking neurons with the same weights at every step, for trains of any length, also in chunks.

    Args:
      order: number of steps that a step sees, itself included; the weights start as 1, 1/2, 1/4, ... of the last.
      spike: surrogate, called with the potential.

    Raises:
      ValueError: unless `order` is an integer of at least 1.
    """
    check_count("the order of a sliding PSN", order)

    def init(params: PSNParams, shape: Shape, dtype: DTypeLike) -> SlidingState:
        return SlidingState(tuple(jnp.zeros(shape, dtype) for _ in range(order - 1)))

    def run(params: PSNParams, carry: SlidingState, currents: Array) -> tuple[SlidingState, Array]:
        steps, wide = len(currents), accumulator(currents.dtype)
        seen = currents.astype(wide)
        if order > 1:
            seen = jnp.concatenate([jnp.stack(carry.currents).astype(wide), seen])
        potential = sum((params.weight[i] * seen[i : i + steps] for i in range(order)), params.bias)
        after = tuple(seen[steps + i].astype(old.dtype) for i, old in enumerate(carry.currents))
        return SlidingState(after), spike(potential).astype(currents.dtype)

    weights = {"weight": lambda key: 0.5 ** jnp.arange(order - 1.0, -1, -1), "bias": lambda key: jnp.asarray(-1.0)}
    return Neuron(PSNParams(), init, run, weights=weights)


def _fire(weight: Array, bias: Array, currents: Array, steps: int, spike: SpikeFunction) -> Array:
    if len(currents) != steps:
        raise ValueError(f"these neurons were made for trains of {steps} steps, got {len(currents)}")
    wide = currents.astype(accumulator(currents.dtype)).reshape(steps, -1)
    # T is small: exact products cost little
    potential = jnp.matmul(weight.astype(wide.dtype), wide, precision=jax.lax.Precision.HIGHEST)
    potential = potential + bias.astype(wide.dtype)[:, None]
    return spike(potential).astype(currents.dtype).reshape(currents.shape)


def _stateless(params: Any, shape: Shape, dtype: DTypeLike) -> tuple[()]:
    return ()


def _uniform(steps: int) -> Callable[[Array], Array]:
    """PyTorch's initial weights of a linear layer, which the source keeps: uniform in +-1 / sqrt(T)."""
    limit = 1 / math.sqrt(steps)
    return lambda key: jax.random.uniform(key, (steps, steps), minval=-limit, maxval=limit)


PARALLEL: dict[str, Callable[..., Neuron]] = {"psn": psn, "masked_psn": masked_psn, "sliding_psn": sliding_psn}
"""Name of a neuron that is no cell to its maker, `(spike=..., **options)`, with `steps` for those of fixed length."""
