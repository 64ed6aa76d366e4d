"""spyx: its `Sequential` under `spyx.nn.run` (one `lax.scan` over time), its own jitted train step; arctan surrogate.

Leaks are constants, not trained, as everywhere here. Soft reset: spyx has no other. Readout: `LI` at the last step.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
import spyx.nn as snn
from flax import nnx
from spyx import axn, optimize

from benchmarks import common, workloads

PACKAGES = ("spyx", "jax", "jaxlib", "flax", "numpy")


def network(workload: workloads.Network) -> Callable[[], float]:
    rngs = nnx.Rngs(0)
    initial = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")
    synapses: dict[str, Any] = {"use_bias": False, "kernel_init": initial, "rngs": rngs}
    layers: list = []
    for spec in workloads.layers(workload):
        shape = (spec.height, spec.width, spec.features) if spec.kind in ("conv", "pool") else (spec.features,)
        if spec.kind == "conv":
            layers += [nnx.Conv(spec.inputs, spec.features, (spec.kernel, spec.kernel), **synapses), _lif(shape, rngs)]
        elif spec.kind == "pool":
            layers.append(partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2)))
            layers.append(snn.IF(shape, threshold=workloads.POOL_THRESHOLD, activation=axn.arctan()))
        elif spec.kind == "flatten":
            layers.append(snn.Flatten())
        else:
            layers.append(nnx.Linear(spec.inputs, spec.features, **synapses))
            readout = spec.kind == "readout"
            layers.append(_constant(snn.LI(shape, beta=workloads.LEAK, rngs=rngs)) if readout else _lif(shape, rngs))
    model = snn.Sequential(*layers)
    x, labels = jnp.asarray(workloads.inputs(workload)), jnp.asarray(workloads.labels(workload))
    target = jax.nn.one_hot(labels, workload.classes)

    def loss(model: nnx.Module, x: jax.Array) -> jax.Array:
        return jnp.sum((snn.run(model, x)[0][-1] / workload.steps - target) ** 2)

    optimizer = nnx.Optimizer(model, optax.sgd(workloads.LEARNING_RATE), wrt=nnx.Param)
    step = optimize.make_train_step(loss)

    def run() -> float:
        value = step(model, optimizer, x)
        jax.block_until_ready(nnx.state(model))
        return float(value)

    return run


def neurons(workload: workloads.Neurons) -> Callable[[], float]:
    node = _lif((workload.neurons,), nnx.Rngs(0))
    arguments = tuple(map(jnp.asarray, workloads.currents(workload)))

    @jax.jit
    def step(currents: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        spikes, backward = jax.vjp(lambda currents: snn.run(node, currents)[0], currents)
        return spikes, *backward(cotangent)

    def run() -> float:
        jax.block_until_ready(step(*arguments))
        return 0.0

    return run


def _lif(shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Module:
    return _constant(snn.LIF(shape, beta=workloads.LEAK, threshold=workloads.THRESHOLD, activation=axn.arctan(), rngs=rngs))


def _constant(neuron: Any) -> nnx.Module:
    neuron.beta = nnx.Variable(neuron.beta[...])
    return neuron
