"""The one compiled program of a run: a train step, or several per dispatch, compiled ahead of time."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsnn.compiling import compile_large
from jaxsnn.typing import Array

Step = Callable[[Any, Array, Array, Array], Any]
"""A `TrainStep`, or the step of anything else that is trained, e.g. a population."""
Dispatch = Callable[[Any, Array, Array, Array, int], Any]
"""`(state, images, labels, order, count) -> state` after `count` steps of one epoch; the state is donated."""


class Costs(NamedTuple):
    """The time to trace and compile the program, and the memory that it needs."""

    trace_seconds: float
    """Time from the Python function to the program that XLA gets."""
    compile_seconds: float
    """XLA's time; next to nothing for a program that this process, or the compilation cache, has already."""
    temporary_mb: float | None
    """Memory for intermediate results while a step runs, in 10^6 bytes per device; None where XLA does not say."""
    argument_mb: float | None
    """Memory of the training state and the data, likewise."""

    def __str__(self) -> str:
        text = f"traced in {self.trace_seconds:.1f} s, compiled in {self.compile_seconds:.1f} s"
        if self.temporary_mb is None:
            return text
        return f"{text}; a step needs {self.temporary_mb:.1f} MB beside {self.argument_mb:.1f} MB of state and data"


@partial(jax.jit, static_argnums=0, donate_argnums=1)  # at module level: the seeds of an experiment share the program
def _several(step: Step, state: Any, images: Array, labels: Array, order: Array, count: Array) -> Any:
    return jax.lax.fori_loop(0, count, lambda _, state: step(state, images, labels, order), state)


def compile_steps(
    step: Step, state: Any, images: Array, labels: Array, order: Array, *, several: bool
) -> tuple[Dispatch, Costs]:
    """Compiles the program of a run for arguments like these; nothing is run.

    Args:
      step: from `make_train_step` (or `parallel.make_population_step`).
      state, images, labels, order: as the program will get them.
      several: whether it takes a number of steps (a loop on the device, in one program for all numbers) or just one.
    """
    began = time.perf_counter()
    if several:
        lowered = _several.lower(step, state, images, labels, order, np.int32(1))
    else:
        lowered = jax.jit(step, donate_argnums=0).lower(state, images, labels, order)
    traced = time.perf_counter()
    compiled = compile_large(lowered)
    costs = _costs(traced - began, time.perf_counter() - traced, compiled.memory_analysis())

    def dispatch(state: Any, images: Array, labels: Array, order: Array, count: int) -> Any:
        if several:
            return compiled(state, images, labels, order, np.int32(count))
        return compiled(state, images, labels, order)

    return dispatch, costs


def _costs(trace_seconds: float, compile_seconds: float, memory: Any) -> Costs:
    sizes = (memory.temp_size_in_bytes, memory.argument_size_in_bytes) if memory else (None, None)
    temporary, argument = (None if size is None else round(size / 1e6, 3) for size in sizes)
    return Costs(round(trace_seconds, 3), round(compile_seconds, 3), temporary, argument)
