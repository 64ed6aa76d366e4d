"""The state that neurons of the rule hand on from one chunk of a train to the next, and back (see `jaxsnn.spikebp`)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsnn.cells.lif import LIFParams
from jaxsnn.checks import check_leak, check_threshold
from jaxsnn.typing import Array, DTypeLike, Shape

COUNTED_AT_ONCE = 16
"""Time steps that one pass over memory counts."""


class SpikeBPState(NamedTuple):
    """The state that the next chunk of the train needs; each `[B, ...]`."""

    potential: Array
    """Membrane potential v."""
    filtered: Array
    """Low-pass filtered output LF, decaying by the leak per step (E8). Not differentiable: see `jaxsnn.spikebp`."""
    spike_count: Array
    """Number of output spikes so far, gamma in (E8). Not differentiable."""


class UnfinishedState(SpikeBPState):
    """The state of a train whose chunks store nothing but spikes for the backward pass: see `unfinished`."""


def init(params: LIFParams, shape: Shape, dtype: DTypeLike = jnp.float32) -> SpikeBPState:
    """The resting state of neurons of `shape` (`[B, ...]`).

    Raises:
      ValueError: if a leak known now is outside (0, 1] or a threshold known now is not positive.
    """
    check_leak(params.leak)
    check_threshold(params.threshold)
    return SpikeBPState(*(jnp.zeros(shape, dtype) for _ in SpikeBPState._fields))


def unfinished(states: Any) -> Any:
    """Marks states for a train in chunks that `finish` will end: gradients are the same, in less memory.

    Otherwise every chunk stores the counts that it begins with, because it may be the last, and then computes its
    derivative from them: 8 bytes per neuron, where spikes take one byte per neuron and step, or an eighth. Other nodes
    stay as they are.

    Args:
      states: `SpikeBPState` of `[B, ...]`, or any pytree of such, before the first chunk.
    """
    return _renamed(UnfinishedState, states)


def finish(output: Any, states: Any) -> tuple[Any, Any]:
    """Ends a train that began with `unfinished`; returns both arguments as they are, the states as `SpikeBPState`.

    Backward, it sends the last state to the chunks, which compute their derivative from it (E8); without it their
    derivative is zero. So whatever of their outputs a loss uses must go through here.

    Args:
      output: outputs of the chunks, e.g. spikes `[T, B, ...]`; any pytree.
      states: after the last chunk, in the pytree that `unfinished` returned.
    """
    if not any(isinstance(state, UnfinishedState) for state in jax.tree.leaves(states, is_leaf=_is_state)):
        return output, states
    return _finish(output, _renamed(SpikeBPState, states))


def _is_state(node: Any) -> bool:
    return isinstance(node, SpikeBPState)


def _renamed(kind: type[SpikeBPState], states: Any) -> Any:
    return jax.tree.map(lambda node: kind(*node) if _is_state(node) else node, states, is_leaf=_is_state)


@jax.custom_vjp
def _finish(output: Any, states: Any) -> tuple[Any, Any]:
    return output, states


def _finish_forward(output, states):
    return (output, states), states


def _finish_backward(states, cotangents):
    g_output, g_states = cotangents

    def back(final: Any, g: Any) -> Any:
        return last(g, final) if _is_state(final) else g

    return g_output, jax.tree.map(back, states, g_states, is_leaf=_is_state)


_finish.defvjp(_finish_forward, _finish_backward)


def last(sent: SpikeBPState, final: SpikeBPState) -> SpikeBPState:
    """`sent` with the state after the whole train: the state that a later chunk sent, else this chunk's.

    A later chunk that counted no spike sends zeros, but then its own state has zeros too.
    """
    later = sent.spike_count > 0
    return sent._replace(
        filtered=jnp.where(later, sent.filtered, final.filtered),
        spike_count=jnp.where(later, sent.spike_count, final.spike_count),
    )


def counted(params: LIFParams, before: SpikeBPState, spikes: Array) -> SpikeBPState:
    """The filtered output and spike count after `spikes` `[T, B, ...]`: `LF <- leak LF + o`, `gamma <- gamma + o`.

    The backward pass computes them again for `d` (E8), from those before the spikes, both `[B, ...]`: they need not be
    stored, nor written at every step. The potential of `before` stays as it is.
    """

    def body(state: tuple[Array, Array], fired: Array) -> tuple[tuple[Array, Array], None]:
        filtered, spike_count = state
        now = fired.astype(filtered.dtype)
        return (filtered * leak + now, spike_count + now), None

    shape = before.filtered.shape
    flat = (shape[0], -1) if len(shape) > 1 else shape  # XLA's loops for CPUs are as long as the last axis
    leak = params.leak if jnp.ndim(params.leak) == 0 else jnp.broadcast_to(params.leak, shape).reshape(flat)
    start = before.filtered.reshape(flat), before.spike_count.reshape(flat)
    trains = spikes.reshape(len(spikes), *flat)
    (filtered, spike_count), _ = jax.lax.scan(body, start, trains, unroll=min(len(spikes), COUNTED_AT_ONCE))
    return before._replace(filtered=filtered.reshape(shape), spike_count=spike_count.reshape(shape))
