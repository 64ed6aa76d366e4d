"""A time loop over neurons as one Pallas kernel: states stay in registers, every train is read or written once.

`lax.scan` on an accelerator is a loop of one program (or several) per step, each of which reads the state from the
device's memory and writes it back. Here a program takes one block of neurons through all steps. On GPUs the kernel is
compiled by Triton, on TPUs by Mosaic; on CPUs it is interpreted, for tests.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from jaxsnn.checks import check_steps
from jaxsnn.typing import Array

LANES = 128
"""The last axis of a block: a TPU's vector, and 128 neighbours in memory elsewhere."""


def loop(
    step: Callable[[Any, Any, Any], tuple[Any, Any]], numbers: Any, carry: Any, trains: Any, *, reverse: bool = False
) -> tuple[Any, Any]:
    """`lax.scan` over time for a step in which every neuron is by itself, as one kernel.

    Args:
      step: `(numbers, carry, inputs of this step) -> (carry, outputs of this step)`, element by element: it sees blocks
        of neurons, of any shape. It may close over Python's numbers, not over arrays.
      numbers: parameters, a pytree of arrays, each of one element or broadcastable to the neurons `[B, ...]`.
      carry: a pytree of arrays `[B, ...]`.
      trains: a pytree of arrays `[T, B, ...]`.
      reverse: from the last step to the first.

    Returns:
      The last carry, and the outputs of every step, `[T, B, ...]`.

    Raises:
      ValueError: if T is 0.
    """
    length = len(jax.tree.leaves(trains)[0])
    check_steps(length)
    run = partial(_run, step, length, reverse)
    return jax.lax.platform_dependent(
        numbers,
        carry,
        trains,
        cpu=partial(run, rows=8, interpret=True),
        cuda=partial(run, rows=8, triton=True),
        # whole tiles of the narrowest numbers, bytes
        tpu=partial(run, rows=32),
    )


def _run(
    step: Any,
    length: int,
    reverse: bool,
    numbers: Any,
    carry: Any,
    trains: Any,
    *,
    rows: int,
    interpret: bool = False,
    triton: bool = False,
) -> tuple[Any, Any]:
    neurons = jax.tree.leaves(carry)[0].shape
    size = math.prod(neurons)
    blocks = max(1, -(-size // (rows * LANES)))

    def tiled(x: Array) -> Array:
        """`[..., neurons]` to `[..., rows of all blocks, LANES]`."""
        lead = x.shape[: x.ndim - len(neurons)]
        flat = x.reshape(*lead, size)
        short = blocks * rows * LANES - size
        flat = jnp.pad(flat, ((0, 0),) * len(lead) + ((0, short),)) if short else flat
        return flat.reshape(*lead, blocks * rows, LANES)

    def whole(x: Array) -> Array:
        lead = x.shape[:-2]
        return x.reshape(*lead, -1)[..., :size].reshape(*lead, *neurons)

    def number(x: Array) -> Array:
        return x.reshape(1, 1) if x.size == 1 else tiled(jnp.broadcast_to(x, neurons))

    def spec(x: Any) -> pl.BlockSpec:
        if x.shape == (1, 1):
            return pl.BlockSpec((1, 1), lambda i: (0, 0))
        if x.ndim == 2:
            return pl.BlockSpec((rows, LANES), lambda i: (i, 0))
        return pl.BlockSpec((length, rows, LANES), lambda i: (0, i, 0))

    inputs = jax.tree.map(number, numbers), jax.tree.map(tiled, carry), jax.tree.map(tiled, trains)
    now = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), inputs[2])
    _, sent = jax.eval_shape(step, *inputs[:2], now)
    outputs = (
        jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), inputs[1]),
        jax.tree.map(lambda x: jax.ShapeDtypeStruct((length, *x.shape), x.dtype), sent),
    )

    def kernel(*refs: Any) -> None:
        (numbers, carry, trains), (last, sent) = jax.tree.unflatten(jax.tree.structure((inputs, outputs)), refs)
        numbers = jax.tree.map(lambda ref: ref[...], numbers)

        def body(i: Array, carry: Any) -> Any:
            t = length - 1 - i if reverse else i
            carry, now = step(numbers, carry, jax.tree.map(lambda ref: ref[t], trains))
            jax.tree.map(lambda ref, x: ref.__setitem__(t, x), sent, now)
            return carry

        carry = jax.lax.fori_loop(0, length, body, jax.tree.map(lambda ref: ref[...], carry))
        jax.tree.map(lambda ref, x: ref.__setitem__(..., x), last, carry)

    call = pl.pallas_call(
        kernel,
        jax.tree.leaves(outputs),
        grid=(blocks,),
        in_specs=[spec(x) for x in jax.tree.leaves(inputs)],
        out_specs=[spec(x) for x in jax.tree.leaves(outputs)],
        interpret=interpret,
        compiler_params=_triton() if triton else None,
    )
    results = call(*jax.tree.leaves(inputs))
    return jax.tree.map(whole, jax.tree.unflatten(jax.tree.structure(outputs), results))


def _triton() -> Any:
    """Only GPUs have it, and its import costs time."""
    from jax.experimental.pallas import triton

    return triton.CompilerParams(num_warps=4)
