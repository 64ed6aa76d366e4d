"""Synapses with parameters: `(x [T, B, ...], storage=, mask=) -> currents [T, B, ...]`; no state.

`storage` is how the backward pass stores `x` (see `storage`); `mask` `[B, ...]` is the dropout of the layer before
(E5), the same for all steps. Currents have the dtype of `x`; products are added up in float32 at least.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn import synapses
from jaxsnn.compiling import quick_options
from jaxsnn.storage import Storage
from jaxsnn.synapses import Connection, Precision, extent, output_size, resolve_padding
from jaxsnn.synapses.linear import check_precision
from jaxsnn.typing import Array, DTypeLike, Shape, accumulator

NO_PADS = ((0, 0), (0, 0))


class Synapse(Protocol):
    """The contract of the modules in this file."""

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array: ...

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        """Itself as plain data, for inputs of this shape (without time and batch)."""


def normal_kernel(rngs: nnx.Rngs, shape: Shape, scale: float, dtype: DTypeLike) -> nnx.Param:
    """Normal weights with standard deviation `sqrt(scale / fan_in)`."""
    deviation = jnp.sqrt(jnp.array(scale / math.prod(shape[:-1]), dtype))
    key = rngs.params()
    draw = _scaled if isinstance(key, jax.core.Tracer) else _normal()  # options are for outermost programs
    return nnx.Param(draw(key, deviation, shape, dtype))


def _scaled(key: Array, deviation: Array, shape: Shape, dtype: DTypeLike) -> Array:
    # The barrier keeps the last bits of a product computed on its own: fused with the draw they would be others.
    return jax.lax.optimization_barrier(jax.random.normal(key, shape, dtype)) * deviation


@functools.cache
def _normal() -> Callable[..., Array]:
    """`_scaled` as one program that XLA compiles sooner: most of the time that a new network takes."""
    return jax.jit(_scaled, static_argnums=(2, 3), compiler_options=quick_options())


def zero_bias(features: int, dtype: DTypeLike) -> nnx.Param:
    """A number added to every current of each feature at every step, zero at first; of float32 at least."""
    return nnx.Param(jnp.zeros(features, accumulator(dtype)))


def standardised(kernel: Array, gain: Array, eps: float = 1e-4) -> Array:
    """Weights of mean 0 and variance `gain ** 2 / fan_in` for each feature (the last axis): scaled standardisation.

        gain * (kernel - mean) / sqrt(fan_in * var + eps)

    with the unbiased variance. Brock et al. (2021, arXiv:2101.08692), with OTTT's place of eps (Xiao et al. 2022,
    arXiv:2210.04195), as SpikingJelly's `WSConv2d` and `WSLinear`.
    """
    axes, wide = tuple(range(kernel.ndim - 1)), kernel.astype(gain.dtype)
    centred = wide - jnp.mean(wide, axes, keepdims=True)
    fan_in = math.prod(kernel.shape[:-1])
    var = jnp.sum(centred**2, axes, keepdims=True) / (fan_in - 1)
    return (centred * (jax.lax.rsqrt(fan_in * var + eps) * gain.reshape(var.shape[:-1] + gain.shape))).astype(
        kernel.dtype
    )


def _gain(standardise: bool, kernel: nnx.Param) -> nnx.Param | None:
    """The trained factor of the standardised weights of each feature, one at first; of float32 at least."""
    if not standardise:
        return None
    *inputs, features = kernel.get_value().shape
    if math.prod(inputs) < 2:
        raise ValueError("standardise takes the variance of a feature's weights, of which there is one: leave it out")
    return nnx.Param(jnp.ones(features, accumulator(kernel.get_value().dtype)))


def _weights(kernel: nnx.Param, gain: nnx.Param | None) -> Array:
    return kernel[...] if gain is None else standardised(kernel[...], gain[...])


def _biased(currents: Array, bias: nnx.Param | None) -> Array:
    if bias is None:
        return currents
    wide = accumulator(currents.dtype)
    return (currents.astype(wide) + jnp.broadcast_to(bias[...].astype(wide), currents.shape)).astype(currents.dtype)


class Conv(nnx.Module):
    """Convolution: `[T, B, H, W, C]` to `[T, B, H', W', features]`.

    Args:
      channels, features: of input and output.
      kernel_size: height and width of the kernel.
      rngs: for the weights, normal with standard deviation `sqrt(init_scale / fan_in)`.
      stride, padding, groups, dilation, precision: as in `synapses.conv`.
      bias: add a trained number per feature, at every step.
      standardise: use the weights as `standardised` makes them, with a trained parameter `gain` per feature.
      init_scale: see `rngs`.
      param_dtype: of the weights.

    Raises:
      ValueError: if `groups` does not divide channels and features, `precision` is unknown, or a feature has one weight
        to be standardised.
    """

    def __init__(
        self,
        channels: int,
        features: int,
        kernel_size: int | tuple[int, int],
        *,
        rngs: nnx.Rngs,
        stride: int = 1,
        padding: synapses.Padding = "SAME",
        groups: int = 1,
        dilation: int = 1,
        bias: bool = False,
        standardise: bool = False,
        init_scale: float = 2.0,
        param_dtype: DTypeLike = jnp.float32,
        precision: Precision = "default",
    ):
        check_precision(precision)
        if groups < 1 or channels % groups or features % groups:
            raise ValueError(f"groups={groups} does not divide {channels} channels and {features} features")
        window = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.kernel = normal_kernel(rngs, (*window, channels // groups, features), init_scale, param_dtype)
        self.bias = zero_bias(features, param_dtype) if bias else None
        self.gain = _gain(standardise, self.kernel)
        self.stride, self.padding, self.groups, self.dilation = stride, padding, groups, dilation
        self.precision = precision

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        options: dict[str, Any] = {
            name: getattr(self, name) for name in ("stride", "padding", "groups", "dilation", "precision")
        }
        kernel = _weights(self.kernel, self.gain)
        return _biased(synapses.conv(x, kernel, storage=storage, mask=mask, **options), self.bias)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        if len(input_shape) != 3:
            raise ValueError(
                f"{name} is a convolution and needs maps [H, W, C], but {source} sends {list(input_shape)}"
            )
        kernel = self.kernel.get_value().shape
        channels = kernel[2] * self.groups
        if channels != input_shape[2]:
            raise ValueError(f"{name} has a kernel for {channels} channels, but {source} sends {list(input_shape)}")
        window = extent(kernel[:2], self.dilation)
        pads = resolve_padding(input_shape[:2], window, self.stride, self.padding)
        reached = (*output_size(input_shape[:2], window, self.stride, pads), kernel[3])
        if min(reached) < 1:
            raise ValueError(
                f"{name}: a kernel that spans {list(window)} does not fit maps {list(input_shape)} of {source}"
            )
        options: dict[str, Any] = {
            "groups": self.groups,
            "dilation": self.dilation,
            "bias": self.bias is not None,
        }
        return Connection(name, source, target, "conv", kernel, self.stride, pads, input_shape, reached, **options)


class Dense(nnx.Module):
    """Dense synapses: `[T, B, ...]`, flattened, to `[T, B, features]`; arguments as in `Conv`."""

    def __init__(
        self,
        inputs: int,
        features: int,
        *,
        rngs: nnx.Rngs,
        bias: bool = False,
        standardise: bool = False,
        init_scale: float = 2.0,
        param_dtype: DTypeLike = jnp.float32,
        precision: Precision = "default",
    ):
        check_precision(precision)
        self.kernel = normal_kernel(rngs, (inputs, features), init_scale, param_dtype)
        self.bias = zero_bias(features, param_dtype) if bias else None
        self.gain = _gain(standardise, self.kernel)
        self.precision = precision

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        mask = None if mask is None else mask.reshape(len(mask), -1)
        x = x.reshape(*x.shape[:2], -1)
        kernel = _weights(self.kernel, self.gain)
        currents = synapses.dense(x, kernel, storage=storage, mask=mask, precision=self.precision)
        return _biased(currents, self.bias)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        kernel = self.kernel.get_value().shape
        if math.prod(input_shape) != kernel[0]:
            raise ValueError(
                f"{name} has weights for {kernel[0]} inputs, but {source} sends {list(input_shape)}, "
                f"{math.prod(input_shape)} numbers"
            )
        bias = self.bias is not None
        return Connection(name, source, target, "dense", kernel, 1, NO_PADS, input_shape, kernel[1:], bias=bias)
