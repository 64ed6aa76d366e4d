"""3x3 convolution of stride 1 by Winograd's minimal filtering F(2x2, 3x3): 16 products where the definition has 36.

Tiles of 4x4 inputs, two apart, give tiles of 2x2 outputs. Source: A. Lavin, S. Gray, *Fast Algorithms for Convolutional
Neural Networks*, CVPR 2016, section 4.1: `Y = A^T [(G k G^T) * (B^T d B)] A`, `*` elementwise, summed over channels.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsnn.synapses.im2col import Pads, output_size
from jaxsnn.synapses.pieces import map_pieces, samples_per_piece, sum_pieces
from jaxsnn.typing import Array, Shape

PIECE_BYTES = 2**23
"""Size of the transformed inputs or outputs of one piece, whichever is larger."""

INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
"""B^T."""
KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""G."""
OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
"""A^T."""


def conv(pads: Pads, x: Array, kernel: Array) -> Array:
    """`[N, H, W, C]` (of any dtype) with `[3, 3, C, out]` to `[N, H', W', out]` in the dtype of the kernel."""
    height, width = output_size(x.shape[1:3], (3, 3), 1, pads)
    tiles = _tiles(height, width)
    into = jnp.asarray(KERNEL, kernel.dtype)
    transformed = jnp.einsum("ia,jb,abcf->ijcf", into, into, kernel).reshape(16, *kernel.shape[2:])

    def piece(x: Array) -> Array:
        y = jnp.einsum("kpc,kcf->kpf", _input_tiles(x.astype(kernel.dtype), pads, tiles), transformed)
        y = y.reshape(4, 4, len(x), *tiles, kernel.shape[-1])
        rows = [_combine(OUTPUT, row) for row in _combine(OUTPUT, y)]
        whole = jnp.stack([jnp.stack(row, 3) for row in rows], 2)  # [n, tiles, 2, tiles, 2, out]
        return whole.reshape(len(x), 2 * tiles[0], 2 * tiles[1], -1)[:, :height, :width]

    return map_pieces(piece, _piece(len(x), tiles, kernel.shape, kernel.dtype.itemsize), x)


def kernel_gradient(pads: Pads, x: Array, g: Array, shape: Shape) -> Array:
    """Gradient of a kernel `[3, 3, C, out]`, from its input and the cotangent `[N, H', W', out]` of its output."""
    height, width = g.shape[1:3]
    tiles = _tiles(height, width)

    def piece(x: Array, g: Array) -> Array:
        errors = jnp.pad(g, ((0, 0), (0, 2 * tiles[0] - height), (0, 2 * tiles[1] - width), (0, 0)))
        rows = _combine(OUTPUT.T, [errors[:, i::2] for i in range(2)])
        spread = jnp.stack([tile for row in rows for tile in _combine(OUTPUT.T, [row[:, :, j::2] for j in range(2)])])
        return jnp.einsum(
            "kpc,kpf->kcf", _input_tiles(x.astype(g.dtype), pads, tiles), spread.reshape(16, -1, shape[-1])
        )

    total = sum_pieces(piece, _piece(len(x), tiles, shape, g.dtype.itemsize), x, g)
    into = jnp.asarray(KERNEL, g.dtype)
    return jnp.einsum("ia,jb,ijcf->abcf", into, into, total.reshape(4, 4, *shape[2:]))


def _tiles(height: int, width: int) -> tuple[int, int]:
    return -(-height // 2), -(-width // 2)


def _piece(samples: int, tiles: Shape, shape: Shape, itemsize: int) -> int:
    return samples_per_piece(samples, 16 * tiles[0] * tiles[1] * max(shape[2:]) * itemsize, PIECE_BYTES)


def _input_tiles(x: Array, pads: Pads, tiles: Shape) -> Array:
    """`B^T d B` of every tile d: `[16, N * tiles, C]`."""
    more = [(p[0], 2 * t + 2 - n - p[0], 0) for n, p, t in zip(x.shape[1:3], pads, tiles, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *more, (0, 0, 0)))

    def apart(x: Array, axis: int) -> list[Array]:
        return [lax.slice_in_dim(x, i, i + 2 * tiles[axis - 1] - 1, 2, axis) for i in range(4)]

    rows = _combine(INPUT, apart(x, 1))
    return jnp.stack([tile for row in rows for tile in _combine(INPUT, apart(row, 2))]).reshape(16, -1, x.shape[-1])


def _combine(matrix: np.ndarray, xs: Sequence[Array] | Array) -> list[Array]:
    """`matrix @ xs` along the first axis, for entries 0, 1 and -1: additions only."""
    results = []
    for row in matrix:
        terms = [x if sign > 0 else -x for sign, x in zip(row, xs, strict=True) if sign]
        results.append(sum(terms[1:], start=terms[0]))
    return results
