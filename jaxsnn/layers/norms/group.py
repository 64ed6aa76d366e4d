"""Norms of each sample at each step by itself: no running statistics, the same in training and evaluation."""

from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers.norms.moments import normalise
from jaxsnn.typing import Array, DTypeLike, accumulator


class GroupNorm(nnx.Module):
    """Group normalisation: `y = scale * (x - mean) / sqrt(var + eps) + bias`.

    Statistics over the map and a group of features. Wu & He (2018, arXiv:1803.08494); `torch.nn.GroupNorm(groups, C)`
    on `[T*B, C, H, W]`. One group is layer normalisation of the whole map. Parameters `scale` (1 at first) and `bias`
    (0), `[features]`, float32 at least.

    Args:
      features: size of the last axis.
      dtype: of the network's parameters.
      groups: of neighbouring features; they divide `features`.
      eps: added to the variance, in squared units of the currents.

    Raises:
      ValueError: if the groups do not divide the features.
    """

    span = "step"
    once = True

    def __init__(self, features: int, dtype: DTypeLike = jnp.float32, *, groups: int = 8, eps: float = 1e-5, **_: Any):
        if groups < 1 or features % groups:
            raise ValueError(f"{features} features cannot be divided into {groups} groups: give other norm_groups")
        dtype = accumulator(dtype)
        self.scale, self.bias = nnx.Param(jnp.ones(features, dtype)), nnx.Param(jnp.zeros(features, dtype))
        self.groups, self.eps = groups, eps

    def __call__(self, currents: Array, **_: Any) -> Array:
        """Currents `[T, B, ..., features]` to the same shape and dtype; training or not makes no difference."""
        steps, batch, features = *currents.shape[:2], currents.shape[-1]
        x = currents.reshape(steps, batch, -1, self.groups, features // self.groups)
        scale, bias = (number[...].reshape(1, 1, 1, *x.shape[3:]) for number in (self.scale, self.bias))
        return normalise(x, scale, bias, (2, 4), self.eps, None)[0].reshape(currents.shape)


class LayerNorm(nnx.Module):
    """Layer normalisation: `y = scale * (x - mean) / sqrt(var + eps) + bias`, statistics over the features of a place.

    Ba et al. (2016, arXiv:1607.06450); `torch.nn.LayerNorm(features)`, channels last. Parameters `scale` (1 at first)
    and `bias` (0), `[features]`, float32 at least. `GroupNorm` with one group takes whole maps.

    Args:
      features: size of the last axis.
      dtype: of the network's parameters.
      eps: added to the variance, in squared units of the currents.
    """

    span = "step"
    once = True

    def __init__(self, features: int, dtype: DTypeLike = jnp.float32, *, eps: float = 1e-5, **_: Any):
        dtype = accumulator(dtype)
        self.scale, self.bias = nnx.Param(jnp.ones(features, dtype)), nnx.Param(jnp.zeros(features, dtype))
        self.eps = eps

    def __call__(self, currents: Array, **_: Any) -> Array:
        """Currents `[T, B, ..., features]` to the same shape and dtype; training or not makes no difference."""
        scale, bias = (number[...].reshape(*(1,) * (currents.ndim - 1), -1) for number in (self.scale, self.bias))
        return normalise(currents, scale, bias, (currents.ndim - 1,), self.eps, None)[0]
