"""How XLA is asked to compile large programs: on a CPU, its operations in the order that needs the least memory."""

import functools
from typing import Any

import jax

SEQUENTIAL: dict[str, Any] = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}


@functools.cache
def compiler_options() -> dict[str, Any]:
    """Options for `jax.jit(step, compiler_options=...)` and `lowered.compile(compiler_options=...)`.

    By default XLA's CPU compiler orders a program so that many operations can run at once. Everything that needs no
    input then comes first: the zeros of every array that a loop over time fills, forward and backward, of all layers.
    They take memory from the first operation to the last. Ordered for memory, each array appears when its loop begins;
    numbers are the same bit for bit. On other devices, and where XLA does not know the option, there are none.
    """
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options=SEQUENTIAL)
    except jax.errors.JaxRuntimeError:  # an option of XLA's has no promise to stay
        return {}
    return SEQUENTIAL
