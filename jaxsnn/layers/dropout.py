"""Dropout of spikes over time (E5)."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn.keys import draw, fold_in
from jaxsnn.layers.neurons import Constant
from jaxsnn.typing import Array, ArrayLike, DTypeLike, Shape, accumulator

Masks = Literal["fixed", "fresh"]


def _bernoulli(key: Array, probability: Array, shape: Shape) -> Array:
    """True with this probability, `shape` `[B, ...]`, from one key, or each sample from its own of `[B]`."""
    return draw(lambda key, shape: jax.random.bernoulli(key, probability, shape), key, shape)


class Dropout(nnx.Module):
    """Inverted dropout: one mask per sample and neuron for all steps (E5), or a fresh one at every step.

    Keys may be one, or one per sample, `[B]`: then what a sample loses does not depend on the batch that it is in.

    Args:
      rate: probability that a neuron (or, with fresh masks, a spike) is dropped.
      masks: "fixed", the paper's, or "fresh".

    Raises:
      ValueError: for a rate outside [0, 1), or unknown `masks`.
    """

    def __init__(self, rate: float, *, masks: Masks = "fixed", param_dtype: DTypeLike = jnp.float32):
        if not 0 <= rate < 1:
            raise ValueError(f"dropout rate must lie in [0, 1), got {rate}")
        if masks not in get_args(Masks):
            raise ValueError(f"dropout masks must be 'fixed' or 'fresh', got {masks!r}")
        # in float32 at least: bfloat16 knows no probability between 0.996 and 1
        self.rate, self.masks = Constant(jnp.asarray(rate, accumulator(param_dtype))), masks

    def mask(self, key: Array, shape: Shape) -> Array:
        """0 or `1 / (1 - rate)` for neurons of `shape` `[B, ...]`; the same for every chunk of a train."""
        kept = 1 - self.rate[...]
        return _bernoulli(key, kept, shape).astype(kept.dtype) / kept

    def split(self, x: Array, key: Array, start: ArrayLike = 0) -> tuple[Array, Array]:
        """The spikes `[T, B, ...]` that the layer behind receives, and the `mask` `[B, ...]` that multiplies them.

        Fixed masks leave the spikes alone. Fresh ones remove spikes, so that zeros and ones remain, and the mask is the
        scale `1 / (1 - rate)`. Step t draws from `fold_in(key, t)`, so a train in chunks is the same train.

        Args:
          x: spikes.
          key: random key; the same for all chunks of one train.
          start: number of the first step.
        """
        shape = x.shape[1:]
        if self.masks == "fixed":
            return x, self.mask(key, shape)
        kept = 1 - self.rate[...]
        sent = jax.vmap(lambda t: _bernoulli(fold_in(key, t), kept, shape))(
            start + jnp.arange(x.shape[0], dtype=jnp.int32)
        )
        return jnp.where(sent, x, jnp.zeros_like(x)), jnp.broadcast_to(1 / kept, shape)

    def __call__(self, x: Array, key: Array, start: ArrayLike = 0) -> Array:
        """Drops spikes `[T, B, ...]`; arguments as in `split`."""
        x, mask = self.split(x, key, start)
        return x * mask[None].astype(x.dtype)
