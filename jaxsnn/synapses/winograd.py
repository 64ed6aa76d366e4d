"""Convolution of stride 1 by minimal filtering (Winograd, Toom-Cook) over rows: for CPUs.

Six rows of inputs give `7 - kh` rows of outputs by six products where the definition has `(7 - kh) kh`: half as many
for a 3x3 kernel, 0.6 times as many for 5x5. Along the width the windows are laid out, so the products are long enough
for few channels; for few features, one product makes two neighbouring columns. Rounding errors in float32 stay near
1e-5 of the largest result.

Source: S. Winograd, *Arithmetic Complexity of Computations*, SIAM 1980; A. Lavin, S. Gray, *Fast Algorithms for
Convolutional Neural Networks*, CVPR 2016, section 4: `y = A^T [(G k) * (B^T d)]`, `*` elementwise, summed over the
channels.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsnn.synapses.im2col import Pads, output_size
from jaxsnn.synapses.pieces import map_pieces, samples_per_piece, sum_pieces
from jaxsnn.typing import Array, Shape

PIECE_BYTES = 2**23
"""Size of the transformed inputs or outputs of one piece, whichever is larger."""

INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
"""B^T for polynomials evaluated at 0, 1, -1, 2, -2 and infinity."""
POINTS = np.array([0, 1, -1, 2, -2])
SCALES = np.array([1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24])


def _at_points(powers: int) -> np.ndarray:
    """`[6, powers]`: the powers of every point; of infinity, the highest one."""
    finite = POINTS[:, None] ** np.arange(powers)
    return np.concatenate([finite, np.eye(powers, dtype=int)[-1:]])


def _kernel_matrix(window: int) -> np.ndarray:
    """G, `[6, window]`."""
    return _at_points(window) * np.append(SCALES, 1)[:, None]


def conv(pads: Pads, x: Array, kernel: Array) -> Array:
    """`[N, H, W, C]` (of any dtype) with `[kh, kw, C, out]`, kh in 2...6, to `[N, H', W', out]` like the kernel."""
    if _few(kernel.shape, pads, x.shape[2]):
        y = conv(_paired_pads(pads), _paired(x), _paired_kernel(kernel))
        return y.reshape(*y.shape[:2], -1, kernel.shape[-1])
    window, features = kernel.shape[:2], kernel.shape[-1]
    height, width = output_size(x.shape[1:3], window, 1, pads)
    rows, tiles = _tiles(window[0], height)
    into = jnp.asarray(_kernel_matrix(window[0]), kernel.dtype)
    transformed = jnp.einsum("ki,ijcf->kjcf", into, kernel).reshape(6, -1, features)

    def piece(x: Array) -> Array:
        inputs = _inputs(x.astype(kernel.dtype), window, pads, rows, tiles, width)
        y = jnp.einsum("kpc,kcf->kpf", inputs, transformed).reshape(6, len(x), tiles, width, features)
        y = jnp.stack(_combine(_at_points(rows).T, list(y)), 2)
        return y.reshape(len(x), rows * tiles, width, features)[:, :height]

    return map_pieces(piece, _piece(len(x), tiles * width, kernel.shape, kernel.dtype.itemsize), x)


def kernel_gradient(pads: Pads, x: Array, g: Array, shape: Shape) -> Array:
    """Gradient of a kernel of this shape, from its input and the cotangent `[N, H', W', out]` of its output."""
    if _few(shape, pads, x.shape[2]):
        kernel = jax.ShapeDtypeStruct(shape, g.dtype)
        both = jax.eval_shape(_paired_kernel, kernel).shape
        found = kernel_gradient(_paired_pads(pads), _paired(x), _paired(g), both)
        return jax.linear_transpose(_paired_kernel, kernel)(found)[0]
    window, features = shape[:2], shape[-1]
    height, width = g.shape[1:3]
    rows, tiles = _tiles(window[0], height)

    def piece(x: Array, g: Array) -> Array:
        errors = jnp.pad(g, ((0, 0), (0, rows * tiles - height), (0, 0), (0, 0)))
        spread = jnp.stack(_combine(_at_points(rows), [errors[:, i::rows] for i in range(rows)]))
        inputs = _inputs(x.astype(g.dtype), window, pads, rows, tiles, width)
        return jnp.einsum("kpc,kpf->kcf", inputs, spread.reshape(6, -1, features))

    total = sum_pieces(piece, _piece(len(x), tiles * width, shape, g.dtype.itemsize), x, g)
    into = jnp.asarray(_kernel_matrix(window[0]), g.dtype)
    return jnp.einsum("ki,kjcf->ijcf", into, total.reshape(6, *shape[1:]))


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


def _tiles(window: int, height: int) -> tuple[int, int]:
    """Output rows of one tile, and how many tiles cover the height."""
    rows = 7 - window
    return rows, -(-height // rows)


def _piece(samples: int, positions: int, shape: Shape, itemsize: int) -> int:
    return samples_per_piece(samples, 6 * positions * max(shape[1] * shape[2], shape[3]) * itemsize, PIECE_BYTES)


def _inputs(x: Array, window: Shape, pads: Pads, rows: int, tiles: int, width: int) -> Array:
    """`B^T d` of every tile of six rows, its windows along the width laid out: `[6, N * tiles * W', kw * C]`."""
    below = rows * (tiles - 1) + 6 - x.shape[1] - pads[0][0]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (pads[0][0], below, 0), (*pads[1], 0), (0, 0, 0)))
    windows = jnp.concatenate([x[:, :, j : j + width] for j in range(window[1])], -1)
    apart = [lax.slice_in_dim(windows, i, i + rows * (tiles - 1) + 1, rows, 1) for i in range(6)]
    return jnp.stack(_combine(INPUT, apart)).reshape(6, -1, windows.shape[-1])


def _combine(matrix: np.ndarray, xs: Sequence[Array]) -> list[Array]:
    """`matrix @ xs` along the first axis, without the zeros."""
    return [sum(float(factor) * x for factor, x in zip(row, xs, strict=True) if factor) for row in matrix]  # type: ignore[misc]
