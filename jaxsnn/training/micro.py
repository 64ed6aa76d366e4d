"""Gradient accumulation: a batch in micro-batches, one after another, in the memory of one."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn.typing import Array, Gradients


def check_micro_batch(batch_size: int, size: int) -> None:
    """Checks that a batch can be divided into micro-batches of `size` samples; one as large as the batch is the batch.

    Raises:
      ValueError: if `size` is not at least 1, or the batch is no multiple of it.
    """
    if size < 1:
        raise ValueError(f"a micro-batch has at least 1 sample, got {size}")
    if size < batch_size and batch_size % size:
        divisors = [number for number in range(1, batch_size) if batch_size % number == 0]
        raise ValueError(
            f"a batch of {batch_size} samples on a device cannot be divided into micro-batches of {size}: choose one "
            f"of {', '.join(map(str, divisors))}"
        )


def micro_batches(gradients: Gradients, size: int, *, mean: bool) -> Gradients:
    """Makes `gradients` of a batch out of those of its micro-batches, which run one after another.

    The spikes and potentials that the backward pass keeps, `[T, B, ...]`, are in memory for one micro-batch at a time.
    Loss and gradients are those of the whole batch, up to rounding: with n micro-batches `B_i`, and a loss that is a
    sum over the batch, `L(B) = sum_i L(B_i)`; with one that is a mean, `L(B) = sum_i L(B_i) / n`. Dropout has a key per
    sample, so its masks are the same. But a norm takes the statistics of each micro-batch, and moves its running
    statistics n times in a step, from one micro-batch to the next.

    Args:
      gradients: of a part of the batch, from `backpropagation`. Spread over devices afterwards
        (`parallel.data_parallel`), so that each device divides its own part.
      size: samples in a micro-batch; as large as the batch or larger, `gradients` takes the batch whole.
      mean: whether the loss is a mean over the batch (the cross-entropies) or a sum over it (`squared_error`).

    Raises:
      ValueError: if `size` is not at least 1; from the function returned, when it is traced, if it does not divide the
        batch.
    """
    check_micro_batch(size, size)

    @functools.wraps(gradients)
    def whole(
        params: Any, model_state: Any, x: Array, labels: Array, keys: Array, axis_name: str | None = None
    ) -> tuple[tuple[Array, tuple[Array, Any]], Any]:
        options = {} if axis_name is None else {"axis_name": axis_name}
        check_micro_batch(len(labels), size)
        if size >= len(labels):
            return gradients(params, model_state, x, labels, keys, **options)
        count = len(labels) // size

        def take(array: Array, start: Array, axis: int) -> Array:
            return jax.lax.dynamic_slice_in_dim(array, start, size, axis)

        def add(carried: tuple[Any, Any], start: Array) -> tuple[tuple[Any, Any], tuple[Array, Array]]:
            slopes, state = carried
            answers, own = jax.tree.map(lambda array: take(array, start, 0), (labels, keys))
            (loss, (correct, state)), more = gradients(params, state, take(x, start, 1), answers, own, **options)
            return (jax.tree.map(jnp.add, slopes, more), state), (loss, correct)

        carried = (jax.tree.map(jnp.zeros_like, params), model_state)
        starts = size * jnp.arange(count, dtype=jnp.int32)
        (slopes, state), (losses, hits) = jax.lax.scan(add, carried, starts)
        loss, correct = jnp.sum(losses), jnp.sum(hits, dtype=hits.dtype)
        if mean:
            loss, slopes = jax.tree.map(lambda total: total / count, (loss, slopes))
        return (loss, (correct, state)), slopes

    return whole
