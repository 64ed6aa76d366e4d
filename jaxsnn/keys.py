"""Random keys, one for a batch or one for each sample: what a sample draws from its own does not depend on the batch.

All keys here are derived by `fold_in` alone. `jax.random.split(key)[n]` is `fold_in(key, n)`, so that both of one key
could draw the same numbers.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxsnn.typing import Array, ArrayLike, Shape


def fold_in(key: Array, number: ArrayLike) -> Array:
    """`jax.random.fold_in` of one key or of each of `[B]`, with one number or one for each sample, `[B]`."""
    axes = tuple(0 if jnp.ndim(x) else None for x in (key, number))
    return jax.random.fold_in(key, number) if axes == (None, None) else jax.vmap(jax.random.fold_in, axes)(key, number)


def draw(sampler: Callable[[Array, Shape], Array], key: Array, shape: Shape) -> Array:
    """`sampler(key, shape)` for `[B, ...]` from one key, or the part `[...]` of each sample from its own of `[B]`."""
    return jax.vmap(lambda key: sampler(key, shape[1:]))(key) if jnp.ndim(key) else sampler(key, shape)


def check_key(key: Array, batch: int) -> Array:
    """The key, or the keys, as typed ones (`jax.random.key`), also where raw ones (`jax.random.PRNGKey`) came.

    Raises:
      TypeError: if there is no random key.
      ValueError: if there are several keys, and not one per sample.
    """
    if not isinstance(key, jax.Array):
        raise TypeError(f"key must be a random key, as jax.random.key(0), got {type(key).__name__} {key!r}")
    key = key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)
    if key.shape not in ((), (batch,)):
        raise ValueError(f"expected one random key, or one per sample [{batch}], got keys of shape {key.shape}")
    return key
