"""Dense synapses, and the merge of time and batch."""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import lax

from jaxsnn.storage import Storage, check_storage, restore, store
from jaxsnn.typing import Array, accumulator

Precision = Literal["default", "exact"]
"""Precision of the synapses' products: the platform's fastest, or a precision whose sums of integers are exact."""


def over_time(synapse: Callable[[Array], Array], x: Array) -> Array:
    """Applies a synapse on `[N, ...]` to `[T, B, ...]` with N = T * B: the one place where time and batch are merged.

    Time stays the slow axis, so merging copies nothing; inside `shard_map` (how this library runs data-parallel) it is
    local to a device. A batch sharded by `jit` alone would be gathered here.
    """
    y = synapse(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]))
    return y.reshape(*x.shape[:2], *y.shape[1:])


def masked(x: Array, mask: Array | None) -> Array:
    """`[N, ...]` of merged time and batch times a mask `[B, ...]`, the same at every step; None is all ones."""
    if mask is None:
        return x
    return (x.reshape(-1, *mask.shape) * mask[None].astype(x.dtype)).reshape(x.shape)


def check_precision(precision: str) -> None:
    """Raises ValueError unless this is a `Precision`."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")


def product_precision(precision: Precision) -> lax.Precision | None:
    """How XLA multiplies: without rounding factors, as accelerators do, or as jax is configured."""
    return lax.Precision.HIGHEST if precision == "exact" else None


def dense(
    x: Array,
    kernel: Array,
    *,
    storage: Storage = "floats",
    mask: Array | None = None,
    precision: Precision = "default",
) -> Array:
    """`[T, B, in]` times `[in, out]` is `[T, B, out]`.

    Args:
      x: spikes or currents.
      kernel: `[in, out]`, rounded to the dtype of `x` for the product; its gradient comes in its own dtype.
      storage: how the backward pass keeps `x` (see `storage.Storage`).
      mask: `[B, in]`, multiplies the input of every step (E5), kept beside it; a constant, its gradient is zero.
      precision: "default", or "exact": sums of integers below 2^24 (float32) are those integers. On a CPU both are the
        same; accelerators may round the factors of float32 products by default, and are slower when they do not.

    Raises:
      ValueError: if `storage` or `precision` is unknown.
    """
    check_storage(storage)
    check_precision(precision)
    return over_time(lambda x: _dense(storage, precision, x, mask, kernel), x)


def _product(a: Array, b: Array, precision: Precision) -> Array:
    return jnp.matmul(a, b, precision=product_precision(precision), preferred_element_type=accumulator(a.dtype))


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _dense(storage: Storage, precision: Precision, x: Array, mask: Array | None, kernel: Array) -> Array:
    return _product(masked(x, mask), kernel.astype(x.dtype), precision).astype(x.dtype)


def _dense_forward(storage, precision, x, mask, kernel):
    return _dense(storage, precision, x, mask, kernel), (store(x, storage), mask, kernel)


def _dense_backward(storage, precision, residuals, g):
    stored, mask, kernel = residuals
    x = masked(restore(stored, storage, len(g), g.dtype).astype(g.dtype), mask)
    g_x = masked(_product(g, kernel.T.astype(g.dtype), precision).astype(g.dtype), mask)
    return g_x, jax.tree.map(jnp.zeros_like, mask), _product(x.T, g, precision).astype(kernel.dtype)


_dense.defvjp(_dense_forward, _dense_backward)
