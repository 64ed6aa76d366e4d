"""Two-dimensional convolution with its own gradients.

On a CPU, XLA's convolution is slow where SNNs need it: its weight gradient takes 14 times as long as the product here
for 5x5 kernels on 14x14 maps, and far longer inside `lax.scan`. So there it is a product in tiles (3x3 to 5x5 of
stride 1: Winograd, others: im2col; docs/decisions/0003), elsewhere `lax.conv_general_dilated`. The platform is chosen
when the program is lowered. `precision="exact"` is the product with im2col on every platform.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxsnn.storage import Storage, check_storage, restore, store
from jaxsnn.synapses import im2col, winograd
from jaxsnn.synapses.im2col import Pads
from jaxsnn.synapses.linear import Precision, check_precision, masked, over_time, product_precision
from jaxsnn.typing import Array, Shape, accumulator

Padding = str | int | Pads


class Grid(NamedTuple):
    """Which inputs a convolution's outputs read."""

    stride: int
    pads: Pads
    groups: int = 1
    dilation: int = 1

    @property
    def plain(self) -> bool:
        """Whether every output reads one solid window of all channels."""
        return self.groups == self.dilation == 1


def conv(
    x: Array,
    kernel: Array,
    *,
    stride: int = 1,
    padding: Padding = "SAME",
    groups: int = 1,
    dilation: int = 1,
    storage: Storage = "floats",
    mask: Array | None = None,
    precision: Precision = "default",
) -> Array:
    """Two-dimensional convolution (cross-correlation) at every step: `[T, B, H, W, C]` to `[T, B, H', W', out]`.

    Args:
      x: spikes or currents.
      kernel: `[kh, kw, C / groups, out]` (HWIO), rounded to the dtype of `x` for the product; its gradient comes in its
        own.
      stride: of the output grid, the same in both directions.
      padding: `"SAME"`, `"VALID"`, the number of zero rows and columns on every side, or
        `((above, below), (left, right))`.
      groups: channels and features are divided into this many groups, each convolved on its own; `groups=C` is the
        depthwise convolution.
      dilation: distance of neighbouring taps of the kernel.
      storage: how the backward pass keeps `x` (see `storage.Storage`).
      mask: `[B, H, W, C]`, multiplies the input of every step (E5), kept beside it; a constant, its gradient is zero.
      precision: "default", the fastest product of the platform, whose float32 sums are off by about 1e-5 of the
        largest; or "exact": sums of integers below 2^24 (float32) are those integers, as integer weights and spikes of
        0 and 1 give. Exact 3x3 to 5x5 convolutions do two to two and a half times the products on a CPU
        (`python -m benchmarks.conv`), and leave the platform's own convolution unused elsewhere.

    Raises:
      ValueError: if the channels of `x`, `kernel` and `groups` disagree, or `padding`, `storage` or `precision` is
        unknown.
    """
    check_storage(storage)
    check_precision(precision)
    if x.shape[-1] != kernel.shape[2] * groups:
        expected = f"{kernel.shape[2]}" + (f" in each of {groups} groups" if groups > 1 else "")
        raise ValueError(f"conv: input has {x.shape[-1]} channels, the kernel {kernel.shape} expects {expected}")
    if groups > 1 and kernel.shape[3] % groups:
        raise ValueError(f"conv: {kernel.shape[3]} features cannot be divided into {groups} groups")
    pads = resolve_padding(x.shape[-3:-1], extent(kernel.shape[:2], dilation), stride, padding)
    grid = Grid(stride, pads, groups, dilation)
    return over_time(lambda x: _conv(grid, storage, precision, x, mask, kernel), x)


def extent(window: Shape, dilation: int) -> tuple[int, int]:
    """Rows and columns that the taps of a kernel span."""
    rows, columns = (dilation * (n - 1) + 1 for n in window)
    return rows, columns


def resolve_padding(size: Shape, window: Shape, stride: int, padding: Padding) -> Pads:
    """Zero rows (above, below) and columns (left, right) that `conv` puts around a map of `size`.

    Raises:
      ValueError: if `padding` is unknown.
    """
    if isinstance(padding, int):
        return ((padding, padding), (padding, padding))
    if isinstance(padding, tuple) and [isinstance(side, tuple) and len(side) for side in padding] == [2, 2]:
        return padding
    if padding not in ("SAME", "VALID"):
        raise ValueError(
            f"padding must be 'SAME', 'VALID', a number of pixels, or ((above, below), (left, right)), got {padding!r}"
        )
    return tuple(lax.padtype_to_pads(size, window, (stride, stride), padding))  # type: ignore[return-value]


def products(size: Shape, kernel: Shape, *, stride: int = 1, padding: Padding = "SAME") -> int:
    """Multiplications that each of the gradients of `conv` does on a CPU for one sample and step.

    Those of `conv` itself are as many, but for narrow layers, which are left to XLA (see `NARROW`).

    Args:
      size: height and width of the input.
      kernel: `[kh, kw, C, out]`.
      stride, padding: as in `conv`.
    """
    pads = resolve_padding(size, kernel[:2], stride, padding)
    if _winograd(stride, kernel):
        return winograd.products(pads, size, kernel)
    return math.prod(im2col.output_size(size, kernel[:2], stride, pads)) * math.prod(kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _conv(grid: Grid, storage: Storage, precision: Precision, x: Array, mask: Array | None, kernel: Array) -> Array:
    def on_cpu(x: Array, kernel: Array) -> Array:
        # spikes that come as bytes from the neurons are not widened before they are used
        inputs = x if storage == "floats" or mask is not None else x.astype(jnp.int8)
        return _product_conv(grid, inputs, _rounded(kernel, x), precision).astype(x.dtype)

    def elsewhere(x: Array, kernel: Array) -> Array:
        return _lax_conv(grid, x, kernel.astype(x.dtype))

    if precision == "exact":
        return on_cpu(masked(x, mask), kernel)
    return lax.platform_dependent(masked(x, mask), kernel, cpu=on_cpu, default=elsewhere)


def _conv_forward(grid, storage, precision, x, mask, kernel):
    return _conv(grid, storage, precision, x, mask, kernel), (store(x, storage), mask, kernel)


def _conv_backward(grid, storage, precision, residuals, g):
    stored, mask, kernel = residuals
    x = restore(stored, storage, len(g), g.dtype)
    if mask is not None:
        x = masked(x.astype(g.dtype), mask)

    def on_cpu(x: Array, kernel: Array, g: Array) -> tuple[Array, Array]:
        g_x, g_kernel = _product_gradients(grid, x, _rounded(kernel, g), g, precision)
        return g_x.astype(g.dtype), g_kernel.astype(kernel.dtype)

    def elsewhere(x: Array, kernel: Array, g: Array) -> tuple[Array, Array]:
        g_x, g_kernel = _lax_gradients(grid, x.astype(g.dtype), kernel.astype(g.dtype), g)
        return g_x, g_kernel.astype(kernel.dtype)

    if precision == "exact":
        g_x, g_kernel = on_cpu(x, kernel, g)
    else:
        g_x, g_kernel = lax.platform_dependent(x, kernel, g, cpu=on_cpu, default=elsewhere)
    return masked(g_x, mask), jax.tree.map(jnp.zeros_like, mask), g_kernel


_conv.defvjp(_conv_forward, _conv_backward)


def _rounded(kernel: Array, like: Array) -> Array:
    """The kernel with the precision of `like`, in the accumulator's dtype, as accelerators multiply it."""
    return kernel.astype(like.dtype).astype(accumulator(like.dtype))


def _lax_conv(grid: Grid, x: Array, kernel: Array, precision: Precision = "default") -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (grid.stride, grid.stride),
        grid.pads,
        rhs_dilation=(grid.dilation, grid.dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=grid.groups,
        precision=product_precision(precision),
    )


def _lax_gradients(
    grid: Grid, x: Array, kernel: Array, g: Array, precision: Precision = "default"
) -> tuple[Array, Array]:
    _, pull = jax.vjp(partial(_lax_conv, grid, precision=precision), x, kernel)
    g_x, g_kernel = pull(g)
    return g_x, g_kernel


NARROW = 32
"""For 3x3 kernels to this many features or fewer, XLA's own convolution is faster forward: products are too short."""


def _winograd(stride: int, shape: Shape) -> bool:
    return stride == 1 and 3 <= shape[0] <= 5 and shape[2] > 1


def _left_to_xla(shape: Shape) -> bool:
    """Whether a CPU is left to XLA's own convolution: rows of one window of one channel are short too."""
    return shape[2] == 1 or (shape[:2] == (3, 3) and shape[3] <= NARROW)


def _product_conv(grid: Grid, x: Array, kernel: Array, precision: Precision) -> Array:
    if not grid.plain:
        return _lax_conv(grid, x.astype(kernel.dtype), kernel, precision)
    stride, pads = grid.stride, grid.pads
    if precision == "exact":
        return im2col.conv(stride, pads, x, kernel, product_precision(precision))
    if _left_to_xla(kernel.shape):
        return _lax_conv(grid, x.astype(kernel.dtype), kernel)
    if _winograd(stride, kernel.shape):
        return winograd.conv(pads, x, kernel)
    return im2col.conv(stride, pads, x, kernel)


def _product_gradients(grid: Grid, x: Array, kernel: Array, g: Array, precision: Precision) -> tuple[Array, Array]:
    stride, pads = grid.stride, grid.pads
    errors = g.astype(kernel.dtype)
    if not grid.plain:
        return _lax_gradients(grid, x.astype(kernel.dtype), kernel, errors, precision)
    if _winograd(stride, kernel.shape) and precision != "exact":
        return winograd.gradients(pads, x, kernel, errors)
    g_kernel = im2col.kernel_gradient(stride, pads, x, errors, kernel.shape, product_precision(precision))
    g_x = im2col.input_gradient(stride, pads, errors, kernel, x.shape[1:3], product_precision(precision))
    return g_x, g_kernel
