"""Work on the samples of `[N, ...]` in tiles that stay in the cache of a CPU."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn import loops
from jaxsnn.typing import Array


def samples_per_tile(samples: int, sample_bytes: int, limit_bytes: int) -> int:
    """The most samples that stay below the limit; a divisor of `samples` if there is one above half of that.

    Without a remainder there is only one program to compile.
    """
    most = min(samples, max(1, limit_bytes // sample_bytes))
    return next((n for n in range(most, most // 2, -1) if samples % n == 0), most)


def map_tiles(function: Callable[[Array], Array], n: int, x: Array) -> Array:
    """Applies `function` to tiles of `n` samples and joins the results."""
    if n == len(x):
        return function(x)
    tiles, rest = _split(n, x)
    _, y = loops.scan(lambda _, x: (None, function(x)), None, tiles)
    y = y.reshape(-1, *y.shape[2:])
    return jnp.concatenate([y, function(rest)]) if len(rest) else y


def fold_tiles(function: Callable[[Array, Array], tuple[Array, Any]], n: int, x: Array, g: Array) -> tuple[Array, Any]:
    """`function(x tile, g tile)` returns a sum over tiles of `n` samples, and results to be joined (or None)."""
    if n == len(x):
        return function(x, g)
    (xs, x_rest), (gs, g_rest) = _split(n, x), _split(n, g)
    zero = jax.eval_shape(function, xs[0], gs[0])[0]

    def body(total: Array, xg: tuple[Array, Array]) -> tuple[Array, Any]:
        summed, joined = function(*xg)
        return total + summed, joined

    total, joined = loops.scan(body, jnp.zeros(zero.shape, zero.dtype), (xs, gs))
    joined = jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:]), joined)
    if len(x_rest):
        summed, rest = function(x_rest, g_rest)
        total, joined = total + summed, jax.tree.map(lambda *parts: jnp.concatenate(parts), joined, rest)
    return total, joined


def _split(n: int, x: Array) -> tuple[Array, Array]:
    whole = len(x) - len(x) % n
    return x[:whole].reshape(whole // n, n, *x.shape[1:]), x[whole:]
