"""Layers with parameters: synapses followed by neurons, `(x [T, B, ...], carry, mask) -> (y [T, B, ...], carry)`.

A carry of `None` starts from rest; handing the returned carry to the next call goes on where the last one stopped, so T
calls of one step equal one call of T steps. `mask` `[B, ...]` is the dropout of the layer before (E5), for all steps.

`spikes=True` says that a layer receives zeros and ones (before the mask): then the backward pass keeps them in one byte
each, or in one bit each if the neuron says `pack_spikes` (see `storage`).

Currents and spikes have the dtype of the input; membranes have float32 at least.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn import synapses
from jaxsnn.cells import integrate_and_fire, leaky_integrator, lif
from jaxsnn.layers.neurons import Constant, Neuron, NeuronConstants
from jaxsnn.storage import Storage
from jaxsnn.typing import Array, DTypeLike, Shape, accumulator


def normal_kernel(rngs: nnx.Rngs, shape: Shape, scale: float, dtype: DTypeLike) -> nnx.Param:
    """Normal weights with standard deviation `sqrt(scale / fan_in)`."""
    return nnx.Param(jax.nn.initializers.variance_scaling(scale, "fan_in", "normal")(rngs.params(), shape, dtype))


def _hidden(neuron: Neuron, params: lif.LIFParams, carry: Any, currents: Array) -> tuple[Array, Any]:
    if carry is None:
        carry = neuron.init_hidden(params, currents.shape[1:], accumulator(currents.dtype))
    carry, spikes = neuron.hidden(params, carry, currents)
    return spikes, carry


def kept_by(neuron: Neuron, spikes: bool) -> Storage:
    if not spikes or neuron.analog:
        return "floats"
    return "bits" if neuron.pack_spikes else "bytes"


def _flat_dense(x: Array, kernel: Array, kept: Storage, mask: Array | None) -> Array:
    mask = None if mask is None else mask.reshape(len(mask), -1)
    return synapses.dense(x.reshape(*x.shape[:2], -1), kernel, storage=kept, mask=mask)


class SpikingConv(nnx.Module):
    """Convolution without bias, then neurons: `[T, B, H, W, C]` to spikes `[T, B, H', W', features]`."""

    def __init__(
        self,
        channels: int,
        features: int,
        kernel_size: int,
        *,
        neuron: Neuron,
        rngs: nnx.Rngs,
        stride: int = 1,
        padding: synapses.Padding = "SAME",
        spikes: bool = False,
        init_scale: float = 2.0,
        param_dtype: DTypeLike = jnp.float32,
    ):
        self.kernel = normal_kernel(rngs, (kernel_size, kernel_size, channels, features), init_scale, param_dtype)
        self.constants = NeuronConstants(neuron, param_dtype)
        self.neuron, self.stride, self.padding, self.kept = neuron, stride, padding, kept_by(neuron, spikes)

    def __call__(
        self, x: Array, carry: Any = None, mask: Array | None = None, *, more: Array | None = None
    ) -> tuple[Array, Any]:
        """Runs T steps; `more` are currents `[T, B, H', W', features]` that the same membranes integrate (E4)."""
        currents = synapses.conv(
            x, self.kernel[...], stride=self.stride, padding=self.padding, storage=self.kept, mask=mask
        )
        return _hidden(self.neuron, self.constants(), carry, currents if more is None else currents + more)


class SpikingDense(nnx.Module):
    """Dense synapses without bias, then neurons: `[T, B, ...]`, flattened, to spikes `[T, B, features]`."""

    def __init__(
        self,
        inputs: int,
        features: int,
        *,
        neuron: Neuron,
        rngs: nnx.Rngs,
        spikes: bool = False,
        init_scale: float = 2.0,
        param_dtype: DTypeLike = jnp.float32,
    ):
        self.kernel = normal_kernel(rngs, (inputs, features), init_scale, param_dtype)
        self.constants = NeuronConstants(neuron, param_dtype)
        self.neuron, self.kept = neuron, kept_by(neuron, spikes)

    def __call__(self, x: Array, carry: Any = None, mask: Array | None = None) -> tuple[Array, Any]:
        currents = _flat_dense(x, self.kernel[...], self.kept, mask)
        return _hidden(self.neuron, self.constants(), carry, currents)


class AvgPool(nnx.Module):
    """Average pool without neurons: `[T, B, H, W, C]` to means `[T, B, H/window, W/window, C]`; it has no state.

    What it passes on are fractions, not spikes: the layer behind it needs `spikes=False`.
    """

    def __init__(self, window: int = 2):
        self.window = window

    def __call__(self, x: Array, carry: Any = None, mask: Array | None = None) -> tuple[Array, Any]:
        return synapses.average_pool(x if mask is None else x * mask[None].astype(x.dtype), self.window), None


class SpikingAvgPool(nnx.Module):
    """Average pool, then integrate-and-fire neurons (E3): `[T, B, H, W, C]` to `[T, B, H/window, W/window, C]`."""

    def __init__(self, window: int = 2, *, neuron: Neuron, param_dtype: DTypeLike = jnp.float32):
        self.threshold = Constant(jnp.asarray(neuron.pool_threshold, param_dtype))
        self.window, self.neuron = window, neuron

    def __call__(self, x: Array, carry: Any = None, mask: Array | None = None) -> tuple[Array, Any]:
        currents = synapses.average_pool(x if mask is None else x * mask[None].astype(x.dtype), self.window)
        params = integrate_and_fire.IFParams(self.threshold[...])
        if carry is None:
            carry = integrate_and_fire.init(params, currents.shape[1:], accumulator(currents.dtype))
        carry, spikes = self.neuron.pool(params, carry, currents)
        return spikes, carry


class Readout(nnx.Module):
    """Dense synapses, then leaky integrators that never fire (E6): `[T, B, ...]` to potentials `[T, B, classes]`."""

    def __init__(
        self,
        inputs: int,
        classes: int,
        *,
        neuron: Neuron,
        rngs: nnx.Rngs,
        spikes: bool = False,
        init_scale: float = 2.0,
        param_dtype: DTypeLike = jnp.float32,
    ):
        self.kernel = normal_kernel(rngs, (inputs, classes), init_scale, param_dtype)
        self.constants = NeuronConstants(neuron, param_dtype)
        self.neuron, self.kept = neuron, kept_by(neuron, spikes)

    def __call__(self, x: Array, carry: Any = None, mask: Array | None = None) -> tuple[Array, Any]:
        x = x.astype(self.kernel.dtype)  # small: no reason to round it
        currents = _flat_dense(x, self.kernel[...], self.kept, mask)
        params = leaky_integrator.LeakyIntegratorParams(self.constants().leak)
        if carry is None:
            carry = leaky_integrator.init(params, currents.shape[1:], currents.dtype)
        carry, potentials = self.neuron.readout(params, carry, currents)
        return potentials, carry
