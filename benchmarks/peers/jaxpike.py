"""jaxpike: `Sequential` under `unroll` (layer by layer, its fastest), its own jitted train step; hard reset, ATan.

Leaks are constants, not trained, as everywhere here. The membrane moves by `1 - leak` of its input, so thresholds are
scaled by it; there is no neuron without leak: pools leak too. Readout: `LeakyIntegrator` at the last step.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxpike
import optax
from jaxpike import training

from benchmarks import common, workloads

PACKAGES = ("jaxpike", "jax", "jaxlib", "equinox", "numpy")
TAU = -1 / math.log(workloads.LEAK)


def network(workload: workloads.Network) -> Callable[[], float]:
    synapses: dict[str, Any] = {"use_bias": False, "gain": math.sqrt(2)}
    layers: list = []
    for key, spec in zip(jax.random.split(jax.random.key(0), 99), workloads.layers(workload), strict=False):
        if spec.kind == "conv":
            layers += [jaxpike.Conv2d(spec.inputs, spec.features, spec.kernel, key=key, **synapses), _lif()]
        elif spec.kind == "pool":
            layers += [jaxpike.Pool2d(2), _lif(workloads.POOL_THRESHOLD)]
        elif spec.kind == "flatten":
            layers.append(jaxpike.Flatten())
        else:
            readout = spec.kind == "readout"
            layers.append(jaxpike.Dense(spec.inputs, spec.features, key=key, **synapses))
            layers.append(jaxpike.LeakyIntegrator(TAU) if readout else _lif())
    model = jaxpike.Sequential(*layers)
    x, labels = jnp.asarray(workloads.inputs(workload)), jnp.asarray(workloads.labels(workload))

    def loss(model: eqx.Module, x: jax.Array, labels: jax.Array) -> tuple[jax.Array, None]:
        potentials, _ = jaxpike.unroll(_constant(model), x)
        target = jax.nn.one_hot(labels, workload.classes)
        return jnp.sum((potentials[-1] / workload.steps - target) ** 2), None

    optimizer = optax.sgd(workloads.LEARNING_RATE)
    state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))
    step = training.make_step(loss, optimizer)

    def run() -> float:
        nonlocal model, state
        model, state, value, _ = jax.block_until_ready(step(model, state, x, labels))
        return float(value)

    return run


def neurons(workload: workloads.Neurons) -> Callable[[], float]:
    node = _lif()
    arguments = tuple(map(jnp.asarray, workloads.currents(workload)))

    @jax.jit
    def step(currents: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        spikes, backward = jax.vjp(lambda currents: jaxpike.unroll(node, currents)[0], currents)
        return spikes, *backward(cotangent)

    def run() -> float:
        jax.block_until_ready(step(*arguments))
        return 0.0

    return run


def _lif(threshold: float = workloads.THRESHOLD) -> eqx.Module:
    return jaxpike.LIF(TAU, threshold=(1 - workloads.LEAK) * threshold, reset="zero", surrogate=jaxpike.ATan())


def _constant(model: eqx.Module) -> eqx.Module:
    """Stops the gradients of the leaks."""

    def leaks(model: eqx.Module) -> list[jax.Array]:
        return [layer.log_tau for layer in model.layers if hasattr(layer, "log_tau")]

    return eqx.tree_at(leaks, model, replace_fn=jax.lax.stop_gradient)
