"""How XLA is asked to compile for a CPU: large programs for little memory, programs that run once in little time."""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import jax

SEQUENTIAL: dict[str, Any] = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
QUICK: dict[str, Any] = {"xla_backend_optimization_level": 1}


@functools.cache
def compiler_options() -> dict[str, Any]:
    """Options for `jax.jit(step, compiler_options=...)` and `lowered.compile(compiler_options=...)`.

    By default XLA's CPU compiler orders a program so that many operations can run at once. Everything that needs no
    input then comes first: the zeros of every array that a loop over time fills, forward and backward, of all layers.
    They take memory from the first operation to the last. Ordered for memory, each array appears when its loop begins;
    numbers are the same bit for bit. On other devices, and where XLA does not know the option, there are none.
    """
    return _known(SEQUENTIAL)


@functools.cache
def quick_options() -> dict[str, Any]:
    """Options of a program that runs once on a CPU: compiled with few optimisations, in less than half of the time.

    Level 1, not 0, because the numbers are then those of a program compiled as usual; elsewhere there are none.
    """
    return _known(QUICK)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """The options, on a CPU whose XLA knows them."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options=options)
    except jax.errors.JaxRuntimeError:  # an option of XLA's has no promise to stay
        return {}
    return options


def compile_large(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Compiles a lowered program with `compiler_options`, without the memory that compilers leave behind.

    A train step takes XLA some 200 MB to compile, and so do the small programs that initialise a network. Freed memory
    stays with the process otherwise: glibc gives back the end of its heap alone. Compiled program and numbers do not
    depend on it.
    """
    give_back()
    compiled = lowered.compile(compiler_options=compiler_options())
    give_back()
    return compiled


def give_back() -> None:
    """Gives freed memory back to the system, where the C library knows how (glibc's `malloc_trim`); else nothing."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not of this C library; or not a system that has one open (Windows)
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim
