"""Everything that a training run carries from step to step, as one pytree."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxsnn.keys import fold_in
from jaxsnn.typing import Array, ArrayLike

# One stream of random numbers per purpose, so that none depends on how often another was used: initial weights, order
# of the samples by epoch, input and dropout by step, input by set that is evaluated, other looks at a network, and what
# is drawn once for each sample of the training set.
INIT, ORDER, INPUT, DROPOUT, EVALUATE, LOOK, SAMPLE = range(7)


class Totals(NamedTuple):
    """Sums over the steps of the current epoch, kept on the device."""

    loss: Array
    """Sum of the loss over steps."""
    correct: Array
    """Number of samples classified correctly."""
    bad_step: Array
    """First step of the run whose loss was not finite; -1 if none."""


class TrainState(NamedTuple):
    """A training run at one moment: the content of a checkpoint, and all that a resumed run needs."""

    step: Array
    """Number of finished steps, int32."""
    seed: Array
    """Seed of the run, uint32; every random number comes from it and `step`."""
    params: Any
    """Trained parameters, nested dicts."""
    model_state: Any
    """The model's other arrays (leaks, thresholds, running statistics), not trained by gradients."""
    optimizer: Any
    """State of the optax transformation."""
    totals: Totals
    average: Any = None
    """Running means of `(params, model_state)`; None if there are none."""

    @property
    def weights(self) -> tuple[Any, Any]:
        """The parameters and model state of evaluation: the running means where there are some."""
        return (self.params, self.model_state) if self.average is None else self.average


def key_for(seed: ArrayLike, purpose: int, *numbers: ArrayLike) -> Array:
    """The random key of a purpose and, within it, of numbers: of epoch, step or set, then one per sample, `[B]`.

    Every random number of a run comes from here: each purpose draws from keys with as many numbers as it always has.

    Args:
      seed: of the run.
      purpose: `INIT`, `ORDER`, `INPUT`, `DROPOUT`, `EVALUATE`, `LOOK` or `SAMPLE`.
      numbers: integers, or arrays of them, `[B]`, for a key each.
    """
    key = jax.random.fold_in(jax.random.key(seed), purpose)
    for number in numbers:
        key = fold_in(key, number)
    return key


def no_totals() -> Totals:
    """The totals at the start of an epoch."""
    return Totals(jnp.float32(0), jnp.int32(0), jnp.int32(-1))


def init_state(
    params: Any, model_state: Any, optimizer: optax.GradientTransformation, seed: int, *, ema: float = 0.0
) -> TrainState:
    """A run before its first step; with running means of its weights if `ema` is above 0."""
    average = jax.tree.map(jnp.array, (params, model_state)) if ema else None  # copies: a step donates its state
    return TrainState(jnp.int32(0), jnp.uint32(seed), params, model_state, optimizer.init(params), no_totals(), average)


def moved(average: Any, weights: Any, decay: ArrayLike, step: ArrayLike) -> Any:
    """Running means after a step, `m + (1 - d) (w - m)` with `d = min(decay, step / (step + 10))`.

    The smaller decay of early steps, which count from 0, forgets the initial weights: the first mean is `weights`.
    Numbers that are not floating are those of `weights`.
    """
    step = jnp.asarray(step, jnp.float32)
    part = 1 - jnp.minimum(jnp.float32(decay), step / (step + 10))

    def toward(mean: Array, value: Array) -> Array:
        if not jnp.issubdtype(value.dtype, jnp.floating):
            return value
        return jnp.where(part == 1, value, mean + part.astype(mean.dtype) * (value - mean))

    return jax.tree.map(toward, average, weights)
