"""Convolution as a product with every window laid out as a row (im2col), in tiles of samples: for CPUs."""

import functools
import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax

from jaxsnn.synapses.tiles import fold_tiles, map_tiles, samples_per_tile
from jaxsnn.typing import Array, Shape

TILE_BYTES = 2**22
"""Size of the windows of one tile."""

Pads = tuple[tuple[int, int], tuple[int, int]]


def conv(stride: int, pads: Pads, x: Array, kernel: Array, precision: lax.Precision | None = None) -> Array:
    """`[N, H, W, C]` (of any dtype) with `[kh, kw, C, out]` to `[N, H', W', out]` in the dtype of the kernel."""
    window, matrix = kernel.shape[:2], kernel.reshape(-1, kernel.shape[-1])
    grid = output_size(x.shape[1:3], window, stride, pads)

    def tile(x: Array) -> Array:
        return jnp.matmul(_windows(x.astype(kernel.dtype), window, stride, pads), matrix, precision=precision)

    return map_tiles(tile, _tile_samples(len(x), grid, kernel.shape, kernel.dtype.itemsize), x)


def kernel_gradient(
    stride: int, pads: Pads, x: Array, g: Array, shape: Shape, precision: lax.Precision | None = None
) -> Array:
    """Gradient of a kernel of this shape, from its input `[N, H, W, C]` and the cotangent `[N, H', W', out]`."""
    window, (channels, features) = shape[:2], shape[2:]

    def tile(x: Array, g: Array) -> tuple[Array, None]:
        x, g = x.astype(g.dtype), g.reshape(-1, features)
        if channels == 1:  # the window as the slow axis: contiguous copies, twice as fast
            windows = _windows(x, window, stride, pads, axis=0).reshape(-1, len(g))
            return jnp.matmul(windows, g, precision=precision).T, None
        windows = _windows(x, window, stride, pads).reshape(len(g), -1)
        return jnp.matmul(g.T, windows, precision=precision), None

    total, _ = fold_tiles(tile, _tile_samples(len(x), g.shape[1:3], shape, g.dtype.itemsize), x, g)
    return total.T.reshape(shape)


def input_gradient(
    stride: int, pads: Pads, g: Array, kernel: Array, size: Shape, precision: lax.Precision | None = None
) -> Array:
    """Gradient of an input `[N, H, W, C]` of this height and width, from the cotangent `[N, H', W', out]`.

    The transpose of `conv`: one product of the errors with the kernel, whose windows are added where they overlap.
    """
    (rows, columns, channels), matrix = kernel.shape[:3], kernel.reshape(-1, kernel.shape[-1]).T

    def tile(g: Array) -> Array:
        y = jnp.matmul(g, matrix, precision=precision).reshape(*g.shape[:3], rows, columns, channels)
        y = overlapped([y[:, :, :, :, j] for j in range(columns)], 2, stride, pads[1][0], size[1])
        return overlapped([y[:, :, :, i] for i in range(rows)], 1, stride, pads[0][0], size[0])

    return map_tiles(tile, _tile_samples(len(g), g.shape[1:3], kernel.shape, kernel.dtype.itemsize), g)


def overlapped(parts: Sequence[Array], axis: int, stride: int, before: int, size: int) -> Array:
    """Adds part i up at the places `i + stride * (0, 1, 2, ...) - before` of an axis of this size, those inside it: the
    transpose of strided slices from 0, 1, 2, ... on of an axis with `before` zeros in front."""
    if stride == 1:
        return _sum([_shifted(part, axis, i - before, size) for i, part in enumerate(parts)])
    length = -(-(before + size) // stride)
    shifted = [_shifted(part, axis, i // stride, length) for i, part in enumerate(parts)]
    places = [_sum(shifted[i::stride] or [jnp.zeros_like(shifted[0])]) for i in range(stride)]
    joined = jnp.stack(places, axis + 1)
    joined = joined.reshape(*joined.shape[:axis], length * stride, *joined.shape[axis + 2 :])
    return lax.slice_in_dim(joined, before, before + size, axis=axis)


def _sum(terms: Sequence[Array]) -> Array:
    return functools.reduce(jnp.add, terms)


def _shifted(x: Array, axis: int, first: int, length: int) -> Array:
    """`x` at `first` of an axis of that length, zeros around it; parts outside are left out."""
    around = [(0, 0, 0)] * x.ndim
    around[axis] = (first, length - first - x.shape[axis], 0)
    return lax.pad(x, jnp.zeros((), x.dtype), around)


def output_size(size: Shape, window: Shape, stride: int, pads: Pads) -> tuple[int, int]:
    """Height and width of the result."""
    height, width = ((n + sum(p) - k) // stride + 1 for n, p, k in zip(size, pads, window, strict=True))
    return height, width


def _tile_samples(samples: int, grid: Shape, shape: Shape, itemsize: int) -> int:
    return samples_per_tile(samples, math.prod((*grid, *shape[:3], itemsize)), TILE_BYTES)


def _windows(x: Array, window: Shape, stride: int, pads: Pads, axis: int = -1) -> Array:
    """Every window of `[N, H, W, C]` as a row: `[N, H', W', kh * kw * C]`; `axis=0` puts the window first."""
    rows, columns = (slice(stride * (n - 1) + 1) for n in output_size(x.shape[1:3], window, stride, pads))
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0)))
    return jnp.concatenate(
        [x[:, i:, j:][:, rows, columns][:, ::stride, ::stride] for i in range(window[0]) for j in range(window[1])],
        axis,
    )
