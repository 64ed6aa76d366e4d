"""Batch normalisation: statistics of each feature over the batch, the map and time; and its kin."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxsnn.layers.neurons import Constant
from jaxsnn.layers.norms.moments import Axes, Moments, count_of, normalise
from jaxsnn.typing import Array, ArrayLike, DTypeLike, accumulator


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
      eps: added to the variance, in squared units of the currents.
    """

    span = "train"
    once = True
    axes: Axes = (0, 1, 2)
    """Statistics are taken along these axes of `[T, B, map, features]`."""

    def __init__(
        self, features: int, dtype: DTypeLike = jnp.float32, *, momentum: float = 0.1, eps: float = 1e-5, **_: Any
    ):
        dtype = accumulator(dtype)
        self.scale, self.bias = nnx.Param(jnp.ones(features, dtype)), nnx.Param(jnp.zeros(features, dtype))
        self.mean, self.var = nnx.BatchStat(jnp.zeros(features, dtype)), nnx.BatchStat(jnp.ones(features, dtype))
        self.momentum, self.eps = momentum, eps

    def __call__(
        self,
        currents: Array,
        *,
        train: bool,
        axis_name: str | None = None,
        start: ArrayLike = 0,
        steps: int | None = None,
    ) -> Array:
        """Currents `[T, B, ..., features]` to the same shape and dtype.

        Args:
          currents: summed synaptic currents; of one step, if all `steps` are equal.
          train: take the statistics of the batch, and move the running ones.
          axis_name: mesh axis of the devices that share the batch.
          start: steps before the first of these.
          steps: T; None for the length of `currents`.

        Raises:
          ValueError: in training, for one value per feature, whose variance is no number.
        """
        x = currents.reshape(*currents.shape[:2], -1, currents.shape[-1])
        steps = steps or len(x)
        scale, bias = self.affine(start, len(x))
        scale, bias = _over_maps(scale), _over_maps(bias)
        if train:
            count = several((steps, *x.shape[1:]), self.axes, axis_name)
            y, moments = normalise(x, scale, bias, self.axes, self.eps, axis_name)
            rows = 1 if 0 in self.axes else steps
            mean, var = (jnp.broadcast_to(moment[:, 0, 0], (rows, x.shape[-1])) for moment in moments)
            self.move(Moments(mean, var * (count / (count - 1))), start)
        else:
            mean, var = (_over_maps(moment) for moment in self.running(start, len(x)))
            y = (x.astype(mean.dtype) - mean) * (scale * jax.lax.rsqrt(var + self.eps)) + bias
        return y.astype(currents.dtype).reshape(currents.shape)

    def affine(self, start: ArrayLike, steps: int) -> tuple[Array, Array]:
        """Factors of the normalised numbers, and numbers that are added: `[1, features]`, or a row for each step."""
        return self.scale[...][None], self.bias[...][None]

    def running(self, start: ArrayLike, steps: int) -> Moments:
        """The running statistics, `[1, features]`, or a row for each step."""
        return Moments(self.mean[...][None], self.var[...][None])

    def move(self, moments: Moments, start: ArrayLike) -> None:
        """Moves the running statistics towards those of a batch, `[1, features]`, or a row for each step, in order."""
        steps = len(moments.mean)
        weights = self.momentum * (1 - self.momentum) ** np.arange(steps)[::-1]
        for running, moment in ((self.mean, moments.mean), (self.var, moments.var)):
            new = jnp.sum(moment * jnp.asarray(weights, moment.dtype)[:, None], 0)
            running[...] = (1 - self.momentum) ** steps * running[...] + new

    def folded(self) -> tuple[Array, Array]:
        """Factor and offset `[features]`, of which evaluation is `factor * x + offset`."""
        (scale,), (bias,) = self.affine(0, 1)
        factor = scale * jax.lax.rsqrt(self.var[...] + self.eps)
        return factor, bias - factor * self.mean[...]


class StepBatchNorm(BatchNorm):
    """Batch normalisation of each step by itself: the steps of a train share parameters and running statistics.

    Training takes the statistics of a step over B, H and W, and moves the running ones T times a batch, as a loop over
    single steps does (SpikingJelly's `BatchNorm2d` in single-step mode; so train SLTT, arXiv:2302.14311, and CLIF,
    arXiv:2402.04663). Trains may come in chunks.
    """

    span = "step"
    axes = (1, 2)


class ThresholdBatchNorm(BatchNorm):
    """Threshold-dependent batch normalisation (tdBN): the currents are in units of the threshold.

        y = scale * (alpha * V_th * (x - mean) / sqrt(var + eps)) + bias

    Zheng et al. (2021, arXiv:2011.05280), with `alpha = 1 / sqrt(branches)`. SpikingJelly's
    `ThresholdDependentBatchNorm2d` starts a batch normalisation at `scale = alpha * V_th` instead: the same function at
    first; a gradient step on its scale moves the currents by `1 / (alpha * V_th) ** 2` of this.

    Args:
      threshold: V_th of the layer's neurons, a scalar or `[features]`. A learned one counts as it starts.
      branches: normalised currents that are added before the neurons.

    Raises:
      ValueError: without a threshold.
    """

    def __init__(
        self,
        features: int,
        dtype: DTypeLike = jnp.float32,
        *,
        threshold: ArrayLike | None = None,
        branches: int = 1,
        **options: Any,
    ):
        super().__init__(features, dtype, **options)
        if threshold is None or jnp.shape(threshold) not in ((), (features,)):
            raise ValueError(
                f"tdbn takes currents in units of the neurons' threshold, one number or one for each of {features} "
                f"features, got {'none' if threshold is None else jnp.shape(threshold)}: use bn, or give one"
            )
        self.unit = Constant(jnp.asarray(threshold, accumulator(dtype)) / branches**0.5)

    def affine(self, start: ArrayLike, steps: int) -> tuple[Array, Array]:
        return (self.scale[...] * self.unit[...])[None], self.bias[...][None]


def _over_maps(rows: Array) -> Array:
    """Rows `[T or 1, features]` against `[T, B, map, features]`."""
    return rows[:, None, None]


def several(shape: tuple[int, ...], axes: Axes, axis_name: str | None) -> int:
    """How many numbers a variance is of.

    Raises:
      ValueError: for one.
    """
    count = count_of(shape, axes, axis_name)
    if count < 2:
        raise ValueError(
            f"a norm over the batch needs more than one value per feature in training, got currents {list(shape)} "
            "([T, B, map, features]): train with a larger batch"
        )
    return count
