"""Batch normalisations with numbers of their own for each time step of a train."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers.norms.batch import BatchNorm
from jaxsnn.layers.norms.moments import Moments
from jaxsnn.typing import Array, ArrayLike, DTypeLike, accumulator


class TemporalBatchNorm(BatchNorm):
    """Temporal effective batch normalisation (TEBN): batch normalisation, then a learned factor for each step.

        y[t] = p[t] * (scale * (x[t] - mean) / sqrt(var + eps) + bias)

    with statistics over T, B, H and W. Duan et al. (2022, NeurIPS); SpikingJelly's `TemporalEffectiveBatchNorm2d`.
    Parameters as of `BatchNorm`, and `step_scale`, p, `[T]`, 1 at first. Shorter trains are the first steps.

    Args:
      steps: T of the trains.

    Raises:
      ValueError: without T; from a call, for more steps. Where only a compiled program knows how many steps came
        before, further ones are NaN.
    """

    def __init__(self, features: int, dtype: DTypeLike = jnp.float32, *, steps: int = 0, **options: Any):
        super().__init__(features, dtype, **options)
        self.step_scale = nnx.Param(jnp.ones(some("tebn", steps), accumulator(dtype)))

    once = False

    def affine(self, start: ArrayLike, steps: int) -> tuple[Array, Array]:
        factors = at(self.step_scale[...], start, steps)[:, None]
        return factors * self.scale[...][None], factors * self.bias[...][None]

    folded = None  # type: ignore[assignment]  # its factor is another at every step


class BatchNormThroughTime(BatchNorm):
    """Batch normalisation through time (BNTT): each step has statistics and a scale of its own, and no bias.

        y[t] = scale[t] * (x[t] - mean[t]) / sqrt(var[t] + eps)

    with statistics over B, H and W. Kim & Panda (2021, arXiv:2010.01729), whose `eps` is 1e-4; snnTorch's
    `BatchNormTT2d`, whose default is 1e-5. Parameter `scale` (1 at first), statistics `mean` and `var`, each
    `[T, features]`. Trains may come in chunks; shorter ones are the first steps (the paper's early exit).

    Args:
      steps: T of the trains.

    Raises:
      ValueError: without T; from a call, for more steps. Where only a compiled program knows how many steps came
        before, further ones are NaN.
    """

    span = "step"
    once = False
    axes = (1, 2)

    def __init__(
        self,
        features: int,
        dtype: DTypeLike = jnp.float32,
        *,
        steps: int = 0,
        momentum: float = 0.1,
        eps: float = 1e-4,
        **_: Any,
    ):
        shape, dtype = (some("bntt", steps), features), accumulator(dtype)
        self.scale = nnx.Param(jnp.ones(shape, dtype))
        self.mean, self.var = nnx.BatchStat(jnp.zeros(shape, dtype)), nnx.BatchStat(jnp.ones(shape, dtype))
        self.momentum, self.eps = momentum, eps

    def affine(self, start: ArrayLike, steps: int) -> tuple[Array, Array]:
        scale = at(self.scale[...], start, steps)
        return scale, jnp.zeros_like(scale)

    def running(self, start: ArrayLike, steps: int) -> Moments:
        return Moments(at(self.mean[...], start, steps), at(self.var[...], start, steps))

    def move(self, moments: Moments, start: ArrayLike) -> None:
        steps = len(moments.mean)
        for running, new, old in zip((self.mean, self.var), moments, self.running(start, steps), strict=True):
            moved = (1 - self.momentum) * old + self.momentum * new
            running[...] = jax.lax.dynamic_update_slice_in_dim(running[...], moved, start, 0)

    folded = None  # type: ignore[assignment]  # its factors are others at every step


def some(name: str, steps: int) -> int:
    """T, checked.

    Raises:
      ValueError: without it.
    """
    if steps < 1:
        raise ValueError(
            f"{name} has numbers of its own for each time step: give the network time_steps, the T of its trains"
        )
    return steps


def at(rows: Array, start: ArrayLike, steps: int) -> Array:
    """The rows `[T, ...]` of `steps` steps from `start`; NaN for steps past T that only a compiled program sees.

    Raises:
      ValueError: for steps past T.
    """
    known: Any = 0 if isinstance(start, jax.core.Tracer) else start
    last = int(known) + steps
    if last > len(rows):
        raise ValueError(
            f"this norm was built for trains of {len(rows)} steps, got {last}: give the network time_steps={last}"
        )
    numbers = jnp.asarray(start, jnp.int32) + jnp.arange(steps, dtype=jnp.int32)
    return jnp.take(rows, numbers, axis=0, mode="fill", fill_value=jnp.nan)
