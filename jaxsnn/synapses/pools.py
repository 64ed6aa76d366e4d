"""Pools over windows without overlap, and subsampling: no weights."""

from functools import partial, reduce

import jax
import jax.numpy as jnp

from jaxsnn.storage import Storage, check_storage, restore, store
from jaxsnn.synapses.linear import over_time
from jaxsnn.typing import Array, Shape, accumulator

Window = int | tuple[int, int]
"""Height and width of a window; one number for both."""


def average_pool(x: Array, window: Window = 2) -> Array:
    """Mean over windows without overlap: `[T, B, H, W, C]` to `[T, B, H/height, W/width, C]`.

    Rows and columns that fill no window are left out: 17 x 17 becomes 8 x 8.

    Raises:
      ValueError: if H or W is smaller than the window.
    """
    size = _sides(window)
    x = _whole(x, size, "average")
    return _average(size, x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32))


def errors(g_spikes: Array | None, g_means: Array | None, size: Shape, window: Window | None) -> Array:
    """The errors of spikes `[T, B, H, W, C]` (or `[B, H, W, C]`), of which the means over windows are used as well.

    They are the sum of `g_spikes` and, at every place of a window, its `g_means` over the number of these places.

    Args:
      g_spikes: errors of the spikes themselves; None for none.
      g_means: errors of `average_pool` of them; None for none, but then there must be `g_spikes`.
      size: shape of the spikes.
      window: as in `average_pool`; None if there are no means.
    """
    if g_means is None or window is None:
        assert g_spikes is not None
        return g_spikes
    (spread,) = jax.vjp(partial(average_pool, window=window), jnp.zeros(size, g_means.dtype))[1](g_means)
    return spread if g_spikes is None else g_spikes + spread


def max_pool(x: Array, window: Window = 2, *, storage: Storage = "floats") -> Array:
    """Largest value in windows without overlap: `[T, B, H, W, C]` to `[T, B, H/height, W/width, C]`; of spikes, any.

    The error goes to the first of the largest values of a window, row by row, as in PyTorch.

    Args:
      x: spikes or numbers; rows and columns that fill no window are left out.
      window: height and width.
      storage: how the backward pass keeps `x` (see `storage.Storage`).

    Raises:
      ValueError: if H or W is smaller than the window, or `storage` is unknown.
    """
    check_storage(storage)
    size = _sides(window)
    return over_time(lambda x: _max(size, storage, x), _whole(x, size, "max"))


def _sides(window: Window) -> tuple[int, int]:
    return (window, window) if isinstance(window, int) else window


def _whole(x: Array, size: tuple[int, int], kind: str) -> Array:
    """Without the rows and columns that fill no window."""
    (height, width), (rows, columns) = x.shape[-3:-1], size
    if height < rows or width < columns:
        raise ValueError(f"{kind} pool of {rows}x{columns} needs maps of that size at least, got {height}x{width}")
    return x[..., : height - height % rows, : width - width % columns, :]


def _parts(x: Array, size: tuple[int, int]) -> list[Array]:
    """The first value of every window, the second, and so on, row by row."""
    return [x[..., i :: size[0], j :: size[1], :] for i in range(size[0]) for j in range(size[1])]


def _joined(parts: list[Array], size: tuple[int, int]) -> Array:
    """The inverse of `_parts`."""
    *lead, height, width, channels = parts[0].shape
    stacked = jnp.stack(parts, -2).reshape(*lead, height, width, *size, channels)
    return jnp.swapaxes(stacked, -4, -3).reshape(*lead, height * size[0], width * size[1], channels)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _max(size: tuple[int, int], storage: Storage, x: Array) -> Array:
    return reduce(jnp.maximum, _parts(x, size))


def _max_forward(size, storage, x):
    return _max(size, storage, x), store(x, storage)


def _max_backward(size, storage, stored, g):
    parts = _parts(restore(stored, storage, len(g), g.dtype), size)
    largest = reduce(jnp.maximum, parts)
    free = jnp.ones(g.shape, bool)
    errors = []
    for part in parts:
        hit = free & (part == largest)
        free &= ~hit
        errors.append(jnp.where(hit, g, jnp.zeros_like(g)))
    return (_joined(errors, size),)


_max.defvjp(_max_forward, _max_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _average(size: tuple[int, int], x: Array) -> Array:
    """Sums of slices, which XLA fuses with the producer of `x`: a reduction over two axes it does not on a CPU."""
    wide = x.astype(accumulator(x.dtype))
    rows = reduce(jnp.add, [wide[..., i :: size[0], :, :] for i in range(size[0])])
    total = reduce(jnp.add, [rows[..., i :: size[1], :] for i in range(size[1])])
    return (total / (size[0] * size[1])).astype(x.dtype)


def _average_forward(size, x):
    return _average(size, x), None


def _average_backward(size, _, g):
    # not left to transposing, which adds up padded copies
    *lead, height, width, channels = g.shape
    g = (g / (size[0] * size[1]))[..., :, None, :, None, :]
    spread = jnp.broadcast_to(g, (*lead, height, size[0], width, size[1], channels))
    return (spread.reshape(*lead, height * size[0], width * size[1], channels),)


_average.defvjp(_average_forward, _average_backward)


def subsample(x: Array, mask: Array | None = None, *, stride: int) -> Array:
    """Every `stride`-th row and column: `[T, B, H, W, C]` to `[T, B, ceil(H/stride), ceil(W/stride), C]`.

    Args:
      x: spikes or currents.
      mask: `[B, H, W, C]`, multiplies the input of every step (E5).
      stride: in both directions.
    """
    part = x[:, :, ::stride, ::stride]
    return part if mask is None else part * mask[None, :, ::stride, ::stride].astype(x.dtype)
