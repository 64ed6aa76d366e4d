"""Convolution of stride 1 by minimal filtering (Winograd, Toom-Cook) over rows: for CPUs.

n rows of inputs give `n + 1 - kh` rows of outputs by n products where the definition has `(n + 1 - kh) kh`: with six
rows half as many for a 3x3 kernel, 0.6 times as many for 5x5; with eight, 0.4 times for 5x5. Along the width the
windows are laid out, so the products are long enough for few channels; for few features, one product makes two
neighbouring columns. Rounding errors in float32 stay near 1e-5 of the largest result.

Source: S. Winograd, *Arithmetic Complexity of Computations*, SIAM 1980; A. Lavin, S. Gray, *Fast Algorithms for
Convolutional Neural Networks*, CVPR 2016, section 4: `y = A^T [(G k) * (B^T d)]`, `*` elementwise, summed over the
channels.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsnn.synapses.im2col import Pads, output_size, overlapped
from jaxsnn.synapses.tiles import fold_tiles, map_tiles, samples_per_tile
from jaxsnn.typing import Array, Shape

TILE_BYTES = 2**23
"""Size of the transformed inputs or outputs of one tile of samples, whichever is larger."""


class _Tiling(NamedTuple):
    """Tiles of as many input rows as there are points: where polynomials are evaluated, infinity being the last."""

    finite: np.ndarray
    """The other points."""
    window: int
    """Height of the kernel."""
    tiles: int
    """How many cover the height."""

    @property
    def points(self) -> int:
        return len(self.finite) + 1

    @property
    def rows(self) -> int:
        """Output rows of one tile."""
        return self.points + 1 - self.window

    @property
    def inputs(self) -> np.ndarray:
        """B^T: of every point, the polynomial that is zero at all others."""
        finite = [np.append(np.poly(np.delete(self.finite, i))[::-1], 0) for i in range(len(self.finite))]
        return np.stack([*finite, np.poly(self.finite)[::-1]])

    def powers(self, n: int) -> np.ndarray:
        """`[points, n]`: the powers of every point; of infinity, the highest one."""
        return np.concatenate([self.finite[:, None] ** np.arange(n), np.eye(n)[-1:]])

    def kernel(self, kernel: Array) -> Array:
        """G k, `[points, kw * C, out]`."""
        scales = [np.prod(point - np.delete(self.finite, i)) for i, point in enumerate(self.finite)]
        matrix = self.powers(self.window) / np.append(scales, 1)[:, None]
        y = jnp.einsum("ki,ijcf->kjcf", jnp.asarray(matrix, kernel.dtype), kernel)
        return y.reshape(self.points, -1, kernel.shape[-1])


SIX, EIGHT = np.array([0, 1, -1, 2, -2.0]), np.array([0, 1, -1, 2, -2, 0.5, -0.5])


def _tiling(window: int, height: int) -> _Tiling:
    """Eight points instead of six where that saves a sixth of the products at least: they round a little worse."""

    def tiling(finite: np.ndarray) -> _Tiling:
        return _Tiling(finite, window, -(-height // (len(finite) + 2 - window)))

    six, eight = tiling(SIX), tiling(EIGHT)
    return eight if 8 * eight.tiles <= 6 * six.tiles * 5 / 6 else six


def conv(pads: Pads, x: Array, kernel: Array) -> Array:
    """`[N, H, W, C]` (of any dtype) with `[kh, kw, C, out]`, kh in 2...6, to `[N, H', W', out]` like the kernel."""
    if _few(kernel.shape, pads, x.shape[2]):
        y = conv(_paired_pads(pads), _paired(x), _paired_kernel(kernel))
        return y.reshape(*y.shape[:2], -1, kernel.shape[-1])
    window, features = kernel.shape[:2], kernel.shape[-1]
    height, width = output_size(x.shape[1:3], window, 1, pads)
    tiling = _tiling(window[0], height)
    transformed = tiling.kernel(kernel)

    def tile(x: Array) -> Array:
        inputs = _inputs(tiling, x.astype(kernel.dtype), window[1], pads, width)
        y = jnp.einsum("kpc,kcf->kpf", inputs, transformed).reshape(-1, len(x), tiling.tiles, width, features)
        y = jnp.stack(_combine(tiling.powers(tiling.rows).T, list(y)), 2)
        return y.reshape(len(x), -1, width, features)[:, :height]

    return map_tiles(tile, _tile_samples(len(x), tiling, width, kernel), x)


def gradients(pads: Pads, x: Array, kernel: Array, g: Array) -> tuple[Array, Array]:
    """Gradients of `x` and of the kernel, in the dtype of the kernel, from the cotangent `g` `[N, H', W', out]`.

    The transpose of `conv`, step by step: both share the values of `g` at the points.
    """
    if _few(kernel.shape, pads, x.shape[2]):
        g_x, g_both = gradients(_paired_pads(pads), _paired(x), _paired_kernel(kernel), _paired(g))
        return g_x.reshape(x.shape), jax.linear_transpose(_paired_kernel, kernel)(g_both)[0]
    window, features = kernel.shape[:2], kernel.shape[-1]
    height, width = g.shape[1:3]
    tiling = _tiling(window[0], height)
    transformed, pull = jax.vjp(tiling.kernel, kernel)

    def tile(x: Array, g: Array) -> tuple[Array, Array]:
        errors = jnp.pad(g, ((0, 0), (0, tiling.rows * tiling.tiles - height), (0, 0), (0, 0)))
        apart = [errors[:, i :: tiling.rows] for i in range(tiling.rows)]
        errors = jnp.stack(_combine(tiling.powers(tiling.rows), apart)).reshape(len(transformed), -1, features)
        inputs = _inputs(tiling, x.astype(g.dtype), window[1], pads, width)
        g_inputs = jnp.einsum("kpf,kcf->kpc", errors, transformed)
        g_inputs = g_inputs.reshape(-1, len(x), tiling.tiles, width, *kernel.shape[1:3])
        return jnp.einsum("kpc,kpf->kcf", inputs, errors), _inputs_back(tiling, g_inputs, x.shape[1:3], pads)

    g_transformed, g_x = fold_tiles(tile, _tile_samples(len(x), tiling, width, kernel), x, g)
    return g_x, pull(g_transformed)[0]


def products(pads: Pads, size: Shape, kernel: Shape) -> int:
    """Multiplications of one sample of this height and width; of either gradient as many."""
    if _few(kernel, pads, size[1]):
        height, width, channels, features = kernel
        halves, paired = (size[0], size[1] // 2), (height, (width + 1) // 2, 2 * channels, 2 * features)
        return products(_paired_pads(pads), halves, paired)
    rows, columns = output_size(size, kernel[:2], 1, pads)
    tiling = _tiling(kernel[0], rows)
    return tiling.points * tiling.tiles * columns * math.prod(kernel[1:])


FEW = 64
"""With fewer output features than this a product is short, and a matrix library far from its speed."""


def _few(shape: Shape, pads: Pads, width: int) -> bool:
    """Whether two neighbouring columns are made at once: that takes SAME padding by an even number, an even width."""
    (_, window, _, features), (left, right) = shape, pads[1]
    return features < FEW and left == right and window == 2 * left + 1 and left % 2 == 0 and width % 2 == 0


def _paired(x: Array) -> Array:
    """`[N, H, W, C]` to `[N, H, W / 2, 2 C]`, which moves nothing."""
    return x.reshape(*x.shape[:2], x.shape[2] // 2, -1)


def _paired_pads(pads: Pads) -> Pads:
    return (pads[0], (pads[1][0] // 2, pads[1][1] // 2))


def _paired_kernel(kernel: Array) -> Array:
    """`[kh, kw, C, out]` to `[kh, (kw + 1) / 2, 2 C, 2 out]`, for paired columns: the kernel at both places."""
    height, width, channels, features = kernel.shape
    places = [jnp.pad(kernel, ((0, 0), (i, 1 - i), (0, 0), (0, 0))) for i in range(2)]
    return jnp.stack(places, 3).reshape(height, (width + 1) // 2, 2 * channels, 2 * features)


def _tile_samples(samples: int, tiling: _Tiling, width: int, kernel: Array) -> int:
    positions, longest = tiling.tiles * width, max(kernel.shape[1] * kernel.shape[2], kernel.shape[3])
    return samples_per_tile(samples, tiling.points * positions * longest * kernel.dtype.itemsize, TILE_BYTES)


def _inputs(tiling: _Tiling, x: Array, columns: int, pads: Pads, width: int) -> Array:
    """`B^T d` of every tile of rows, its windows along the width laid out: `[points, N * tiles * W', kw * C]`."""
    last = tiling.rows * (tiling.tiles - 1)
    below = last + tiling.points - x.shape[1] - pads[0][0]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (pads[0][0], below, 0), (*pads[1], 0), (0, 0, 0)))
    apart = [lax.slice_in_dim(x, i, i + last + 1, tiling.rows, 1) for i in range(tiling.points)]
    at_points = jnp.stack(_combine(tiling.inputs, apart))
    windows = jnp.concatenate([at_points[..., j : j + width, :] for j in range(columns)], -1)
    return windows.reshape(tiling.points, -1, windows.shape[-1])


def _inputs_back(tiling: _Tiling, g: Array, size: Shape, pads: Pads) -> Array:
    """The transpose of `_inputs`: `[points, N, tiles, W', kw, C]` to `[N, H, W, C]`, overlapping windows added."""
    columns = overlapped([g[..., j, :] for j in range(g.shape[-2])], 3, 1, pads[1][0], size[1])
    return overlapped(_combine(tiling.inputs.T, list(columns)), 1, tiling.rows, pads[0][0], size[0])


def _combine(matrix: np.ndarray, xs: Sequence[Array]) -> list[Array]:
    """`matrix @ xs` along the first axis, without the zeros."""
    return [sum(float(factor) * x for factor, x in zip(row, xs, strict=True) if factor) for row in matrix]  # type: ignore[misc]
