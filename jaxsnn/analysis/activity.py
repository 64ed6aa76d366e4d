"""The firing of each layer on one batch, and warnings of silent and saturated layers."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsnn.batches import layer_names
from jaxsnn.typing import Array

SILENT = 0.99
"""A layer is called silent if more than this fraction of its neurons never fires."""
SATURATED = 0.5
"""A layer is called saturated if more than this fraction of its neurons fires at every step."""


class LayerActivity(NamedTuple):
    """Firing of one layer on one batch, over all samples and steps."""

    rate: float
    """Spikes per neuron and time step, in [0, 1]."""
    silent: float
    """Fraction of the neurons that never fired, for any sample."""
    saturated: float
    """Fraction of the neurons that fired at every step, for every sample."""
    neurons: int
    """Number of neurons."""


def activity(
    apply: Callable[..., Any], params: Any, state: Any, x: Array, *, train: bool = False, key: Array | None = None
) -> dict[str, LayerActivity]:
    """Runs one batch and measures every layer that sends spikes, `input` included (of signed spikes, their size).

    Args:
      apply: from `models.functionalize` (or `in_chunks`).
      params, state: likewise.
      x: input spikes `[T, B, ...]`.
      train: run as in training: norms take the batch's statistics, which an untrained network has no others of.
      key: random key of the dropout that comes with it.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxsnn import analysis, encoding, models
      >>> model = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, rngs=nnx.Rngs(0))
      >>> x = encoding.poisson(jax.random.key(0), jnp.full((2, 8, 8, 1), 0.5), 10)
      >>> list(analysis.activity(*models.functionalize(model), x))
      ['input', 'conv1', 'pool1', 'conv2', 'pool2', 'fc1']
    """

    @jax.jit  # so that no spike train is kept
    def measure(params: Any, state: Any, x: Array) -> dict[str, tuple[Array, Array, Array, Array]]:
        output, _ = apply(params, state, x, train=train, key=key, record=True)
        return {name: _measure(train) for name, train in output.spikes.items()}

    measured = jax.device_get(measure(params, state, x))
    layers = {}
    for name in layer_names(apply):
        rate, silent, saturated, whole = measured[name]
        if whole or name == "input":  # others send currents
            layers[name] = LayerActivity(float(rate), float(silent.mean()), float(saturated.mean()), silent.size)
    return layers


def _measure(train: Array) -> tuple[Array, Array, Array, Array]:
    fired = train != 0
    rate = jnp.mean(jnp.abs(train), dtype=jnp.float32)
    return rate, ~fired.any((0, 1)), fired.all((0, 1)), jnp.all(train == jnp.round(train))


def warnings(measured: Mapping[str, LayerActivity]) -> list[str]:
    """Faults to mend before training: the first silent layer (those behind it are silent too), and saturated ones.

    Args:
      measured: from `activity`.

    Returns:
      One sentence per problem with its remedy; empty if there is none.
    """
    problems = []
    for name, layer in measured.items():
        if layer.silent > SILENT:
            problems.append(
                f"{name} is silent: {layer.silent:.1%} of its {layer.neurons} neurons never fired (rate "
                f"{layer.rate:.4f}), so hardly any gradient passes it. Raise init_gain or the input's rate (gain), "
                "lower its threshold, or run more time steps"
            )
            break
        if name != "input" and layer.saturated > SATURATED:
            problems.append(
                f"{name} is saturated: {layer.saturated:.1%} of its {layer.neurons} neurons fired at every step, which "
                "tells the next layer nothing. Lower init_gain or the input's rate (gain), or raise its threshold"
            )
    return problems
