"""A model over time in pieces: memory that hardly grows with T, the same numbers."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn import spikebp
from jaxsnn.models.functional import Apply
from jaxsnn.models.sequential import Output
from jaxsnn.typing import Array
from jaxsnn.unroll import unroll


def default_chunk(steps: int, platform: str | None = None) -> int:
    """Steps per piece: what measured well on CPU; elsewhere (not measured) bounded memory and large products.

    On a CPU pieces of about 5 steps take 0.9 to 1.2 times as long as all at once, in a half to a third of the memory
    (benchmarks/README.md); elsewhere about 20.

    Args:
      steps: T.
      platform: "cpu", "gpu" or "tpu"; None for the one in use.

    Returns:
      A divisor of T within a factor of 1.6 of that if there is one, so that no shorter last piece is compiled.
    """
    aim = 5 if (platform or jax.default_backend()) == "cpu" else 20
    if steps <= 1.6 * aim:
        return steps
    near = [n for n in range(math.ceil(aim / 1.6), int(1.6 * aim) + 1) if steps % n == 0]
    return min(near, key=lambda n: abs(n - aim), default=aim)


def in_chunks(apply: Apply, chunk: int, *, remat: bool = False) -> Apply:
    """Makes `apply` run its T steps in pieces of `chunk`, one after another, handing the neurons' states on.

    A chunk of 1 is stepping, a chunk of T is one piece. Only one piece's currents are in memory at a time; what the
    backward pass needs of the earlier ones is their spikes. Outputs and gradients are those of the whole.

    Args:
      apply: from `models.functionalize`.
      chunk: time steps per piece.
      remat: store only the states between pieces, and run each piece again in the backward pass.

    Returns:
      A function like `apply`. Neurons start from rest, where all their states are zero.

    Raises:
      ValueError: if `chunk` is not at least 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be a number of time steps >= 1, got {chunk}")

    def run(
        params: Any, state: Any, x: Array, *, carry: Any = None, record: bool = False, **options: Any
    ) -> tuple[Output, Any]:
        if jnp.ndim(x) == 0 or chunk >= len(x):  # what is no train at all gets the model's own message
            return apply(params, state, x, carry=carry, record=record, **options)

        names: list[str] = []  # in network order, which dictionaries lose on their way through a scan

        def piece(carry: Any, x: Array) -> tuple[Any, Output]:
            output, _ = apply(params, state, x, carry=carry, record=record, **options)
            names[:] = ["input", *output.spikes]
            return output.carry, output._replace(carry={})

        if carry is None:
            resting = jax.eval_shape(lambda x: piece(None, x)[0], x[:1])
            carry = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), resting)
        carry = spikebp.unfinished(carry)
        whole = len(x) - len(x) % chunk
        ran = unroll(piece, carry, x[:whole].reshape(-1, chunk, *x.shape[1:]), remat=remat)
        output, carry = _join(ran.outputs), ran.state
        if whole < len(x):
            carry, rest = (jax.checkpoint(piece) if remat else piece)(carry, x[whole:])
            output = Output(
                rest.logits,
                jnp.concatenate([output.potentials, rest.potentials]),
                jax.tree.map(jnp.add, output.spikes, rest.spikes),
                {},
                jax.tree.map(lambda a, b: jnp.concatenate([a, b]), output.trains, rest.trains),
            )
        output, carry = spikebp.finish(output, carry)
        ordered = {name: output.spikes[name] for name in names[1:]}
        trains = {name: output.trains[name] for name in names} if output.trains else None
        return output._replace(carry=carry, spikes=ordered, trains=trains), state

    return run


def _join(outputs: Output) -> Output:
    """The output of the whole from those of its pieces, stacked along a leading axis."""

    def over_time(pieces: Array) -> Array:
        return pieces.reshape(-1, *pieces.shape[2:])

    return Output(
        outputs.logits[-1],
        over_time(outputs.potentials),
        jax.tree.map(lambda pieces: jnp.sum(pieces, 0), outputs.spikes),
        {},
        jax.tree.map(over_time, outputs.trains),
    )
