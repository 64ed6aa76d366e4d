"""Batch normalisation: statistics of each feature over the batch, the map and time."""

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers.norms.moments import Moments, count_of, normalise
from jaxsnn.typing import Array, DTypeLike, accumulator


class BatchNorm(nnx.Module):
    """Batch normalisation over time, batch and map: `y = scale * (x - mean) / sqrt(var + eps) + bias`.

    Training takes mean and biased variance of the batch over T, B, H and W; the running statistics move by `momentum`
    towards mean and unbiased variance; evaluation takes them. Ioffe & Szegedy (2015, arXiv:1502.03167); with time in
    the batch as in SpikingJelly's multi-step `BatchNorm2d`, and as `torch.nn.BatchNorm2d` on `[T*B, C, H, W]`.

    Parameters `scale` (1 at first) and `bias` (0); statistics `mean` and `var`; each `[features]`, float32 at least.

    Args:
      features: size of the last axis.
      dtype: of the network's parameters.
      momentum: weight of a batch in the running statistics.
      eps: added to the variance.
    """

    span = "train"

    def __init__(self, features: int, dtype: DTypeLike = jnp.float32, *, momentum: float = 0.1, eps: float = 1e-5):
        dtype = accumulator(dtype)
        self.scale, self.bias = nnx.Param(jnp.ones(features, dtype)), nnx.Param(jnp.zeros(features, dtype))
        self.mean, self.var = nnx.BatchStat(jnp.zeros(features, dtype)), nnx.BatchStat(jnp.ones(features, dtype))
        self.momentum, self.eps = momentum, eps

    def __call__(self, currents: Array, *, train: bool, axis_name: str | None = None) -> Array:
        """Currents `[T, B, ..., features]` to the same shape and dtype.

        Raises:
          ValueError: in training, for one value per feature, whose variance is no number.
        """
        x = currents.reshape(*currents.shape[:2], -1, currents.shape[-1])
        scale, bias = self.scale[...].reshape(1, 1, 1, -1), self.bias[...].reshape(1, 1, 1, -1)
        if train:
            axes = (0, 1, 2)
            count = several(x.shape, axes, axis_name)
            y, moments = normalise(x, scale, bias, axes, self.eps, axis_name)
            self._move(moments, count)
        else:
            inverse = jax.lax.rsqrt(self.var[...] + self.eps)
            y = (x.astype(inverse.dtype) - self.mean[...].reshape(scale.shape)) * (scale * inverse) + bias
        return y.astype(currents.dtype).reshape(currents.shape)

    def _move(self, moments: Moments, count: int) -> None:
        mean, var = (moment.reshape(-1) for moment in moments)
        self.mean[...] += self.momentum * (mean - self.mean[...])
        self.var[...] += self.momentum * (var * (count / (count - 1)) - self.var[...])


def several(shape: tuple[int, ...], axes: tuple[int, ...], axis_name: str | None) -> int:
    """The number of values of one feature.

    Raises:
      ValueError: for one.
    """
    count = count_of(shape, axes, axis_name)
    if count < 2:
        raise ValueError(
            f"a norm over the batch needs more than one value per feature in training, got currents {list(shape)} as "
            "[T, B, map, features]: train with a larger batch"
        )
    return count
