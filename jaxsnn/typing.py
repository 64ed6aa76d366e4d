"""Array aliases and the axis legend used by every docstring.

Axis legend
  `T` time steps, `B` batch (samples), `H, W` height and width, `C` channels, `classes` output classes.
  Sequences are time-major: images over time `[T, B, H, W, C]`, readouts over time `[T, B, classes]`.
  `[B, ...]` is one time step of any neuron shape, `[T, B, ...]` the same over time.

Units
  Time is counted in time steps; membrane potentials, thresholds and currents share one (dimensionless) unit.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

Array = jax.Array
ArrayLike = jax.typing.ArrayLike
DTypeLike = Any
"""Anything that NumPy and JAX accept as a dtype: `jnp.float32`, `"float32"`, `np.dtype(...)`."""

Shape = tuple[int, ...]
Init = Callable[..., Any]
"""`(params, shape [B, ...], dtype) -> state` at rest."""
CellStep = Callable[..., tuple[Any, Array]]
"""`(params, state, current [B, ...]) -> (state, output [B, ...])`."""
Step = Callable[[Any, Any], tuple[Any, Any]]
"""One time step: `(state, current [B, ...]) -> (state, spikes [B, ...])`, the body of a `lax.scan`."""
LeakBackward = Literal["straight_through", "true"]
"""How the leak appears in the backward pass of the paper's rule: not at all (E9), or as it is (E12)."""
Kernel = Literal["scan", "pallas"]
"""How neurons go through time: by `lax.scan`, or in one kernel for accelerators (`jaxsnn.kernels`)."""
Sends = Literal["spikes", "counts", "numbers"]
"""The values that neurons send: zeros and ones (or signed ones), small whole numbers, or any numbers."""
SpikeFunction = Callable[[Array], Array]
"""Heaviside step of `potential - threshold` with a pseudo-derivative."""


def accumulator(dtype: DTypeLike) -> DTypeLike:
    """The dtype of sums over numbers of a dtype (synapses, membranes): float32, or float64 for float64."""
    return jnp.float32 if jnp.dtype(dtype).itemsize < 4 else dtype


Apply = Callable[..., tuple[Any, Any]]
"""A model: `(params, model_state, x [T, B, ...], *, train, key, carry, record, axis_name) -> (output, new state)`."""
Gradients = Callable[..., tuple[tuple[Array, tuple[Array, Any]], Any]]
"""`(params, model_state, x [T, B, ...], labels [B], keys [B], axis_name=None) -> ((loss, (number correct, new model
state)), gradients of params)`. `axis_name` names the devices that share the batch, whose parts are summed outside."""
