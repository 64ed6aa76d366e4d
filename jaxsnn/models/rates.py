"""Initial weights and thresholds from data: every layer fires at a given rate before the first step of training.

A neuron has a gradient by the rule of Lee et al. (2020) only where it has fired, and a surrogate gradient is small far
from the threshold. With random weights of a fixed spread the rates fall from layer to layer, the faster the fewer time
steps a membrane has to reach its threshold. Spiking pools are the narrowest place: with the paper's threshold of 0.75
and two steps, six of the eight inputs of a 2x2 window must have fired, and more. Behind the first silent layer nothing
is learned. Scaling one layer after the other, on data, mends that: the idea of LSUV (Mishkin and Matas 2016, arXiv
1511.06422), which gives every layer currents of unit variance; here the rate of its spikes is what is asked for.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn.synapses import Connection
from jaxsnn.typing import Apply, Array

RANGE = 10.0
"""Gains are sought from `2 ** -RANGE` to `2 ** RANGE`."""
HALVINGS = 14
"""Halvings of that range in the search: the gain is found to 0.1 %."""
CLOSE = 0.5
"""The largest part of the rate by which a found one may miss it. Pools, of few inputs, jump further from rate to rate:
the next larger rate is taken."""


def scale_to_rate(
    apply: Apply, params: Any, model_state: Any, connections: Sequence[Connection], x: Array, rate: float
) -> tuple[Any, Any, dict[str, float]]:
    """Scales each layer, in network order, so that its neurons fire at a rate on some samples.

    Layers with weights have those scaled, spiking pools their thresholds. The gain is found by bisection; the rate of a
    layer is its spikes divided by its neurons, samples and steps. The readout is left alone.

    Args:
      apply, params, model_state: the network, from `models.functionalize`.
      connections: its synapses, from `models.connections`.
      x: input of some samples `[T, B, ...]`.
      rate: spikes per neuron and time step, in (0, 0.5).

    Returns:
      Parameters and model state, scaled, and the rate of every layer.

    Raises:
      ValueError: if `rate` is out of range, a norm or bias adds to the currents of a layer, or no gain brings a layer
        near the rate, naming it.
    """
    if not 0 < rate < 0.5:
        raise ValueError(f"expected a rate in (0, 0.5), got {rate:g}: random currents exceed no threshold more often")
    feeding: dict[str, list[str]] = {}
    for c in connections:
        if c.neurons and c.bias:
            raise ValueError(
                f"{c.name} has a norm or a bias, which decides its currents whatever its weights: leave init_rate "
                "out, or norm and bias"
            )
        feeding.setdefault(c.target, []).extend([c.name] if c.weighted else [])

    @jax.jit
    def rates(gains: dict[str, Array]) -> dict[str, Array]:
        output, _ = apply(*_scaled(params, model_state, feeding, gains), x, count=True)
        counts = output.neuron_counts or {}
        return {name: jnp.mean(counts[name]) / len(x) for name in feeding if name in counts}

    gains = dict.fromkeys(feeding, jnp.float32(1.0))
    sending, found = rates(gains), {}
    for name in [name for name in feeding if name in sending]:
        low, high = -RANGE, RANGE
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            gains[name] = jnp.float32(2.0**middle)
            low, high = (middle, high) if float(rates(gains)[name]) < rate else (low, middle)
        gains[name] = jnp.float32(2.0**high)
        found[name] = float(rates(gains)[name])
        if found[name] < (1 - CLOSE) * rate or (feeding[name] and found[name] > (1 + CLOSE) * rate):
            raise ValueError(
                f"no gain lets {name} fire at a rate of {rate:g}: a gain of {2.0**high:.3g} gives {found[name]:.3g}. "
                "Is the input silent? Give another rate, or more time steps"
            )
    return *_scaled(params, model_state, feeding, gains), found


def _scaled(params: Any, state: Any, feeding: dict[str, list[str]], gains: dict[str, Array]) -> tuple[Any, Any]:
    """Kernels of the layers with weights times their gain, thresholds of the others divided by theirs."""
    factors: dict[tuple[str, ...], Array] = {}
    for layer, names in feeding.items():
        factors |= {(*name.split("/"), "kernel"): gains[layer] for name in names}
        if not names:
            factors[(*layer.split("/"), "neurons", "threshold")] = 1 / gains[layer]

    def scale(path: Any, value: Array) -> Array:
        factor = factors.get(tuple(key.key for key in path))
        return value if factor is None else value * factor.astype(value.dtype)

    return jax.tree_util.tree_map_with_path(scale, params), jax.tree_util.tree_map_with_path(scale, state)
