"""Recurrent synapses: the spikes of a layer at one step are currents of the same layer at the next.

    I_t = (currents from elsewhere)_t + V^T s_(t-1)

The gradient of V is one product over all steps behind the backward scan, `sum_t s_(t-1) g_t^T`, since the cotangents
`g_t` of the currents are at hand then: a sum inside the scan would be T small products.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsnn.neurons.neuron import Neuron
from jaxsnn.storage import Storage, restore, store
from jaxsnn.typing import Array

Feedback = Callable[[Any, Array], Array]
"""`(weights, spikes [T, B, ...]) -> currents [T, B, ...]`, linear in both, every step by itself."""


class RecurrentState(NamedTuple):
    """The state that the next step of a recurrent layer needs."""

    state: Any
    """The cell's own state."""
    sent: Array
    """The spikes of the last step, which arrive at the next, `[B, ...]`."""


def run_recurrent(
    neuron: Neuron,
    feedback: Feedback,
    params: Any,
    weights: Any,
    carry: RecurrentState,
    currents: Array,
    *,
    storage: Storage = "floats",
) -> tuple[RecurrentState, Array]:
    """Neurons over time that receive their own spikes one step later.

    Args:
      neuron: has a `step`, as those of `bptt` have.
      feedback: the recurrent synapses.
      params: of the neurons.
      weights: of the synapses, any pytree.
      carry: state and spikes of the step before.
      currents: from elsewhere, `[T, B, ...]`.
      storage: how the backward pass keeps the spikes (see `storage.Storage`).

    Returns:
      The carry after the last step, and the spikes `[T, B, ...]` in the dtype of `currents`.

    Raises:
      ValueError: if these neurons have no `step`.
    """
    if neuron.step is None:
        raise ValueError(
            "these neurons cannot be recurrent: they run over a whole train at once, or by a rule of their own; use "
            "neurons.bptt(cell), neurons.lif() or neurons.of_cell()"
        )
    one_step, args = neuron.step, (params, weights, carry, currents)

    def scan(params: Any, weights: Any, carry: RecurrentState, currents: Array) -> tuple[RecurrentState, Array]:
        wide = jnp.result_type(*jax.tree.leaves(carry.state))

        def body(carry: RecurrentState, current: Array) -> tuple[RecurrentState, Array]:
            back = feedback(weights, carry.sent[None])[0]
            state, output = one_step(params, carry.state, current.astype(wide) + back.astype(wide))
            sent = output.astype(current.dtype)
            return RecurrentState(state, sent), sent

        return jax.lax.scan(body, carry, currents)

    # numbers that `step` closes over, such as a traced slope, become arguments
    closed, outer = jax.closure_convert(scan, *args)

    @jax.custom_vjp
    def run(params: Any, weights: Any, carry: RecurrentState, currents: Array, outer: Any) -> Any:
        return closed(params, weights, carry, currents, *outer)

    def forward(params: Any, weights: Any, carry: RecurrentState, currents: Array, outer: Any) -> Any:
        (last, spikes), pull = jax.vjp(
            lambda params, carry, currents, outer: closed(params, weights, carry, currents, *outer),
            params,
            carry,
            currents,
            outer,
        )
        before = jnp.concatenate([carry.sent[None], spikes[:-1]])
        kept = store(before.reshape(-1, *before.shape[2:]), storage)
        return (last, spikes), (pull, weights, kept)

    def backward(residuals: Any, cotangents: Any) -> Any:
        pull, weights, kept = residuals
        d_params, d_carry, d_currents, d_outer = pull(cotangents)
        shape = d_currents.shape
        before = restore(kept, storage, shape[0] * shape[1], d_currents.dtype).astype(d_currents.dtype).reshape(shape)
        (d_weights,) = jax.vjp(lambda weights: feedback(weights, before), weights)[1](d_currents)
        return d_params, d_weights, d_carry, d_currents, d_outer

    run.defvjp(forward, backward)
    result: tuple[RecurrentState, Array] = run(*args, outer)
    return result
