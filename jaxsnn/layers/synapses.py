"""Synapses with parameters: `(x [T, B, ...], storage=, mask=) -> currents [T, B, ...]`; no bias, no state.

`storage` is how the backward pass stores `x` (see `storage`); `mask` `[B, ...]` is the dropout of the layer before
(E5), the same for all steps. Currents have the dtype of `x`; products are added up in float32 at least.
"""

import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn import synapses
from jaxsnn.storage import Storage
from jaxsnn.synapses import Connection, Precision, output_size, resolve_padding
from jaxsnn.synapses.linear import check_precision
from jaxsnn.typing import Array, DTypeLike, Shape

NO_PADS = ((0, 0), (0, 0))


class Synapse(Protocol):
    """The contract of the modules in this file."""

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array: ...

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        """Itself as plain data, for inputs of this shape (without time and batch)."""


def normal_kernel(rngs: nnx.Rngs, shape: Shape, scale: float, dtype: DTypeLike) -> nnx.Param:
    """Normal weights with standard deviation `sqrt(scale / fan_in)`."""
    return nnx.Param(jax.nn.initializers.variance_scaling(scale, "fan_in", "normal")(rngs.params(), shape, dtype))


class Conv(nnx.Module):
    """Convolution without bias: `[T, B, H, W, C]` to `[T, B, H', W', features]`."""

    def __init__(
        self,
        channels: int,
        features: int,
        kernel_size: int,
        *,
        rngs: nnx.Rngs,
        stride: int = 1,
        padding: synapses.Padding = "SAME",
        init_scale: float = 2.0,
        param_dtype: DTypeLike = jnp.float32,
        precision: Precision = "default",
    ):
        check_precision(precision)
        self.kernel = normal_kernel(rngs, (kernel_size, kernel_size, channels, features), init_scale, param_dtype)
        self.stride, self.padding, self.precision = stride, padding, precision

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        options: dict[str, Any] = {"stride": self.stride, "padding": self.padding, "precision": self.precision}
        return synapses.conv(x, self.kernel[...], storage=storage, mask=mask, **options)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        if len(input_shape) != 3:
            raise ValueError(
                f"{name} is a convolution and needs maps [H, W, C], but {source} sends {list(input_shape)}"
            )
        kernel = self.kernel.get_value().shape
        if kernel[2] != input_shape[2]:
            raise ValueError(f"{name} has a kernel for {kernel[2]} channels, but {source} sends {list(input_shape)}")
        pads = resolve_padding(input_shape[:2], kernel[:2], self.stride, self.padding)
        reached = (*output_size(input_shape[:2], kernel[:2], self.stride, pads), kernel[3])
        return Connection(name, source, target, "conv", kernel, self.stride, pads, input_shape, reached)


class Dense(nnx.Module):
    """Dense synapses without bias: `[T, B, ...]`, flattened, to `[T, B, features]`."""

    def __init__(
        self,
        inputs: int,
        features: int,
        *,
        rngs: nnx.Rngs,
        init_scale: float = 2.0,
        param_dtype: DTypeLike = jnp.float32,
        precision: Precision = "default",
    ):
        check_precision(precision)
        self.kernel = normal_kernel(rngs, (inputs, features), init_scale, param_dtype)
        self.precision = precision

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        mask = None if mask is None else mask.reshape(len(mask), -1)
        x = x.reshape(*x.shape[:2], -1)
        return synapses.dense(x, self.kernel[...], storage=storage, mask=mask, precision=self.precision)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        kernel = self.kernel.get_value().shape
        if math.prod(input_shape) != kernel[0]:
            raise ValueError(
                f"{name} has weights for {kernel[0]} inputs, but {source} sends {list(input_shape)}, "
                f"{math.prod(input_shape)} numbers"
            )
        return Connection(name, source, target, "dense", kernel, 1, NO_PADS, input_shape, kernel[1:])


class AvgPool(nnx.Module):
    """Average pool: `[T, B, H, W, C]` to means `[T, B, H/window, W/window, C]`; it has no parameters."""

    def __init__(self, window: int = 2):
        self.window = window

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        return synapses.average_pool(x if mask is None else x * mask[None].astype(x.dtype), self.window)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        if len(input_shape) != 3 or min(input_shape[:2]) < self.window:
            raise ValueError(
                f"{name} pools windows of {self.window}x{self.window}, but {source} sends {list(input_shape)}: it "
                "needs maps [H, W, C] of that size at least"
            )
        height, width, channels = input_shape
        reached = (height // self.window, width // self.window, channels)
        window = (self.window, self.window)
        return Connection(name, source, target, "pool", window, self.window, NO_PADS, input_shape, reached)


class Subsample(nnx.Module):
    """Every `stride`-th row and column: `[T, B, H, W, C]` to `[T, B, ceil(H/stride), ceil(W/stride), C]`."""

    def __init__(self, stride: int):
        self.stride = stride

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        return synapses.subsample(x, mask, stride=self.stride)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        if len(input_shape) != 3:
            raise ValueError(f"{name} subsamples maps [H, W, C], but {source} sends {list(input_shape)}")
        height, width, channels = input_shape
        reached = (-(-height // self.stride), -(-width // self.stride), channels)
        return Connection(name, source, target, "subsample", (), self.stride, NO_PADS, input_shape, reached)
