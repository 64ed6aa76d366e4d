"""Work on the samples of `[N, ...]` in pieces that stay in the cache of a CPU."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxsnn.typing import Array


def samples_per_piece(samples: int, sample_bytes: int, limit_bytes: int) -> int:
    """The most samples that stay below the limit; a divisor of `samples` if there is one above half of that.

    Without a remainder there is only one piece of program to compile.
    """
    most = min(samples, max(1, limit_bytes // sample_bytes))
    return next((n for n in range(most, most // 2, -1) if samples % n == 0), most)


def map_pieces(function: Callable[[Array], Array], n: int, x: Array) -> Array:
    """`function` on pieces of `n` samples, results joined."""
    if n == len(x):
        return function(x)
    pieces, rest = _split(n, x)
    y = lax.map(function, pieces)
    y = y.reshape(-1, *y.shape[2:])
    return jnp.concatenate([y, function(rest)]) if len(rest) else y


def sum_pieces(function: Callable[[Array, Array], Array], n: int, x: Array, g: Array) -> Array:
    """The sum of `function(x piece, g piece)` over pieces of `n` samples."""
    if n == len(x):
        return function(x, g)
    (xs, x_rest), (gs, g_rest) = _split(n, x), _split(n, g)
    zero = jax.eval_shape(function, xs[0], gs[0])
    total, _ = lax.scan(lambda total, xg: (total + function(*xg), None), jnp.zeros(zero.shape, zero.dtype), (xs, gs))
    return total + function(x_rest, g_rest) if len(x_rest) else total


def _split(n: int, x: Array) -> tuple[Array, Array]:
    whole = len(x) - len(x) % n
    return x[:whole].reshape(whole // n, n, *x.shape[1:]), x[whole:]
