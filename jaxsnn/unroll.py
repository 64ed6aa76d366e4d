"""Any cell over time with `lax.scan`: carry in and out, chunks, rematerialisation, traces on request."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxsnn.checks import check_steps
from jaxsnn.loops import UNROLLED
from jaxsnn.typing import Array, Step


class Unrolled(NamedTuple):
    """The result of `unroll`."""

    state: Any
    """The state after the last step: hand it to the next `unroll` to go on."""
    outputs: Any
    """The cell's outputs at every step, `[T, B, ...]`."""
    trace: Any
    """The results of `trace` at every step, `[T, ...]`; None without `trace`."""


def unroll(
    step: Step,
    state: Any,
    inputs: Array,
    *,
    trace: Callable[[Any, Array], Any] | None = None,
    chunk: int | None = None,
    remat: bool = False,
) -> Unrolled:
    """Runs a cell over the leading axis of `inputs`.

    `unroll` over T steps equals two calls over its halves with the state handed on, and is the same for every `chunk`
    and `remat`.

    Args:
      step: `(state, input [B, ...]) -> (state, output)`, e.g. `partial(lif.step, LIFParams())`.
      state: the cell's state before the first step.
      inputs: `[T, B, ...]`, or any pytree of arrays with the same leading T.
      trace: `(state, input) -> anything`, called with the state and input of each step before it runs, e.g.
        `partial(lif.integrate, params)` for the membrane potential before the reset.
      chunk: runs the scan in chunks of this many steps; with `remat` only the state between chunks is stored for the
        backward pass (memory of T/chunk + chunk steps instead of T).
      remat: recompute inside each chunk (each step, without `chunk`) in the backward pass instead of storing.

    Raises:
      ValueError: if T or `chunk` is not at least 1, or the inputs disagree on T.
    """
    lengths = {x.shape[0] if x.ndim else 0 for x in jax.tree.leaves(inputs)}
    if len(lengths) != 1:
        raise ValueError(f"inputs must share one leading time axis T, got lengths {sorted(lengths)}")
    length = lengths.pop()
    check_steps(length)
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be a number of time steps >= 1 or None, got {chunk}")

    def body(state: Any, x: Any) -> tuple[Any, tuple[Any, Any]]:
        seen = None if trace is None else trace(state, x)
        state, output = step(state, x)
        return state, (output, seen)

    if remat and chunk is None:
        body = jax.checkpoint(body)
    if chunk is None or chunk >= length:
        state, (outputs, seen) = jax.lax.scan(body, state, inputs, unroll=length if length <= UNROLLED else 1)
        return Unrolled(state, outputs, seen)

    def run_chunk(state: Any, xs: Any) -> tuple[Any, tuple[Any, Any]]:
        return jax.lax.scan(body, state, xs)

    if remat:
        run_chunk = jax.checkpoint(run_chunk)
    whole = length - length % chunk
    split = jax.tree.map(lambda x: x[:whole].reshape(whole // chunk, chunk, *x.shape[1:]), inputs)
    state, results = jax.lax.scan(run_chunk, state, split)
    results = jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), results)
    if whole < length:
        state, rest = run_chunk(state, jax.tree.map(lambda x: x[whole:], inputs))
        results = jax.tree.map(lambda a, b: jax.numpy.concatenate([a, b]), results, rest)
    outputs, seen = results
    return Unrolled(state, outputs, seen)
