"""Dense synapses, average pool, and the merge of time and batch."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxsnn.residuals import Keep, check_keep, keep, restore
from jaxsnn.typing import Array, accumulator


def over_time(synapse: Callable[[Array], Array], x: Array) -> Array:
    """Applies a synapse on `[N, ...]` to `[T, B, ...]` with N = T * B: the one place where time and batch are merged.

    Time stays the slow axis, so merging copies nothing; inside `shard_map` (how this library runs data-parallel) it is
    local to a device. A batch sharded by `jit` alone would be gathered here.
    """
    y = synapse(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]))
    return y.reshape(*x.shape[:2], *y.shape[1:])


def dense(x: Array, kernel: Array, *, kept: Keep = "floats") -> Array:
    """`[T, B, in]` times `[in, out]` is `[T, B, out]`.

    Args:
      x: spikes or currents.
      kernel: `[in, out]`, rounded to the dtype of `x` for the product; its gradient comes in its own dtype.
      kept: how the backward pass keeps `x` (see `residuals.Keep`).

    Raises:
      ValueError: if `kept` is unknown.
    """
    check_keep(kept)
    return over_time(lambda x: _dense(kept, x, kernel), x)


def average_pool(x: Array, window: int = 2) -> Array:
    """Mean over windows of `window` x `window`, without overlap: `[T, B, H, W, C]` to `[T, B, H/window, W/window, C]`.

    Raises:
      ValueError: if H or W is not a multiple of `window`.
    """
    *lead, height, width, channels = x.shape
    if height % window or width % window:
        raise ValueError(f"average pool of {window}x{window} needs H and W divisible by {window}, got {height}x{width}")
    return x.reshape(*lead, height // window, window, width // window, window, channels).mean((-4, -2))


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, preferred_element_type=accumulator(a.dtype))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _dense(kept: Keep, x: Array, kernel: Array) -> Array:
    return _product(x, kernel.astype(x.dtype)).astype(x.dtype)


def _dense_forward(kept, x, kernel):
    return _dense(kept, x, kernel), (keep(x, kept), kernel)


def _dense_backward(kept, residuals, g):
    stored, kernel = residuals
    x = restore(stored, kept, len(g), g.dtype).astype(g.dtype)
    return _product(g, kernel.T.astype(g.dtype)).astype(g.dtype), _product(x.T, g).astype(kernel.dtype)


_dense.defvjp(_dense_forward, _dense_backward)
