"""Loops for functions whose gradients are written by hand."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxsnn.typing import Array, Kernel

UNROLLED = 8
"""Loops over time of so many steps or fewer are written out: nothing is copied into arrays of zeros, step by step.
Neighbouring steps are then compiled together, and the last bit of a state may be another than that of a loop."""


def over_time(
    kernel: Kernel,
    step: Callable[[Any, Any, Any], tuple[Any, Any]],
    numbers: Any,
    carry: Any,
    trains: Any,
    *,
    reverse: bool = False,
    unrolled: int = 0,
) -> tuple[Any, Any]:
    """A loop over time, as `kernels.loop` says, as one Pallas kernel or as a scan.

    Args:
      kernel: "pallas" or "scan".
      step: `(numbers, carry, inputs of this step) -> (carry, outputs of this step)`.
      numbers: what is the same at every step.
      carry: a pytree of arrays `[B, ...]`.
      trains: a pytree of arrays `[T, B, ...]`.
      reverse: from the last step to the first.
      unrolled: a scan of so many steps or fewer is written out.
    """
    if kernel == "pallas":
        from jaxsnn import kernels  # pallas takes a while to import

        return kernels.loop(step, numbers, carry, trains, reverse=reverse)

    def now(carry: Any, inputs: Any) -> tuple[Any, Any]:
        return step(numbers, carry, inputs)

    length = len(jax.tree.leaves(trains)[0])
    if length > unrolled:
        return scan(now, carry, trains, reverse=reverse)
    ran: tuple[Any, Any] = lax.scan(now, carry, trains, reverse=reverse, unroll=length)
    return ran


def scan(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, *, reverse: bool = False) -> tuple[Any, Any]:
    """`lax.scan` for `xs` of at least one leaf, whose outputs do not begin as zeros on a CPU.

    XLA keeps one array of zeros for all loops of a program whose outputs have the same shape, from before the first to
    the last, and copies it for each of them. Here outputs begin as copies of one number, the first of the last leaf of
    `xs`, which no other loop shares, and every element is overwritten. JAX's own derivative would keep all outputs at
    every step: a `custom_vjp` belongs around it (docs/decisions/0027).

    Args:
      step: `(carry, inputs of this step) -> (carry, outputs of this step)`.
      carry: any pytree of arrays, or None.
      xs: a pytree of arrays `[N, ...]` with N at least 1; the last is best an array that no other loop has last.
      reverse: from the last step to the first.

    Returns:
      The last carry, and the outputs of every step, `[N, ...]`, in the order of `xs`.
    """
    *_, last = jax.tree.leaves(xs)
    _, sent = jax.eval_shape(step, carry, jax.tree.map(lambda x: x[0], xs))
    # elsewhere an element of a divided array would have to be sent to all devices
    some = lax.platform_dependent(last, cpu=_first, default=lambda x: jnp.zeros((), x.dtype))
    outputs = jax.tree.map(lambda y: jnp.full((len(last), *y.shape), some.astype(y.dtype)), sent)

    def body(i: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        carry, outputs = state
        at = len(last) - 1 - i if reverse else i
        carry, now = step(carry, jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, at, keepdims=False), xs))
        return carry, jax.tree.map(lambda ys, y: lax.dynamic_update_index_in_dim(ys, y, at, 0), outputs, now)

    ran: tuple[Any, Any] = lax.fori_loop(0, len(last), body, (carry, outputs))
    return ran


def cotangents(tree: Any) -> Any:
    """Cotangents of a `custom_vjp` with `symbolic_zeros`, as arrays."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype) if is_zero(x) else x, tree)


def is_zero(cotangent: Any) -> bool:
    """Whether nothing follows from an output, of a `custom_vjp` with `symbolic_zeros`."""
    return isinstance(cotangent, jax.custom_derivatives.SymbolicZero)


def _first(x: Array) -> Array:
    return lax.slice(x, (0,) * x.ndim, (1,) * x.ndim).reshape(())
