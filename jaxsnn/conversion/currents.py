"""Thresholds from the currents of a spiking network, layer after layer."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn.batches import Encode, outline
from jaxsnn.checks import check_percentile, check_steps
from jaxsnn.conversion.network import Chain, Converted, check, layers_of
from jaxsnn.conversion.percentiles import percentile_of
from jaxsnn.synapses import Connection
from jaxsnn.typing import Apply, Array

NEVER = 1e30
"""A threshold that no membrane reaches."""


def thresholds_from_currents(
    apply: Apply,
    params: Any,
    state: Any,
    connections: Sequence[Connection],
    encode: Encode,
    images: Array,
    *,
    key: Array,
    steps: int,
    gain: float = 1.0,
    percentile: float = 100.0,
) -> Converted:
    """Thresholds from the largest current of a layer under spiking input, the layers before it balanced already.

    Args:
      apply, state: the spiking network, from `models.functionalize`, of integrate-and-fire neurons.
      params: weights of the ReLU network.
      connections: its synapses, from `models.connections`.
      encode: images to input.
      images: one batch of the training set.
      key: for the input.
      steps: time steps of each measurement.
      gain: of the input's rate: an input spike stands for the intensity `1 / gain`.
      percentile: in (0, 100], of the currents of all samples and neurons at each step; the largest over the steps is
        the threshold.

    Raises:
      ValueError: naming the layer, if it cannot be converted (see `check`) or gets no positive current; for a number
        out of range.
      TypeError: if the model returns no spike trains.

    Source: Sengupta et al. (2019), Frontiers in Neuroscience 13:95, doi 10.3389/fnins.2019.00095.
    """
    check_steps(steps)
    check_percentile(percentile)
    check(params, state, connections)
    x = jax.eval_shape(lambda key, images: encode(key, images, jnp.int32(0), 1), key, images)
    names, rest = layers_of(connections)[:-1], outline(apply, params, state, x).at_rest()
    chain = Chain(params, state, connections, 1 / gain)
    for number, name in enumerate(names):
        if not hasattr(rest[name], "potential"):
            raise ValueError(
                f"cannot convert the layer {name}: its neurons have no membrane potential; build the network with "
                "neurons.lif(leak=1.0, ...)"
            )
        chain.enter(name)
        chain.set_threshold(name, NEVER)
        waiting = {other: carry for other, carry in rest.items() if other not in ("steps", *names[:number])}
        measure = _largest_current(apply, encode, name, rest, waiting, percentile, steps)
        chain.leave(name, float(measure(chain.params, chain.state, images, key)))
    return chain.finish()


def _largest_current(
    apply: Apply, encode: Encode, name: str, rest: Any, waiting: Any, percentile: float, steps: int
) -> Callable[..., Array]:
    """Builds `(params, state, images, key) -> current`; the layers that are `waiting` stay at rest.

    The membrane of `name`, one of them, then holds the current of one step; layers behind it are not computed.
    """

    def measure(params, state, images, key):
        def step(carry, t):
            largest, carry = carry
            output, _ = apply(params, state, encode(key, images, t, 1), carry=carry)
            current = output.carry[name].potential
            return (jnp.maximum(largest, percentile_of(current, percentile)), output.carry | waiting), None

        nothing = jnp.zeros((), rest[name].potential.dtype)
        return jax.lax.scan(step, (nothing, rest), jnp.arange(steps))[0][0]

    return jax.jit(measure)
