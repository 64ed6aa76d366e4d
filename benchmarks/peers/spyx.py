"""spyx: its `Sequential` under `spyx.nn.run` (one `lax.scan` over time), its own jitted train step; arctan surrogate.

Leaks are constants, not trained, as everywhere here. Soft reset, and a spike one step late: spyx has no other. Readout:
`LI` at the last step. An image that is the same at every step goes through the first convolution and norm once, before
the scan (`once=false`: at every step). `nnx.BatchNorm` cannot move its statistics inside of the scan: the norm below
stands in, of each step by itself, without running statistics. It has no residual block: a module with its cells stands
in. Recurrent: `RLIF`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
import spyx.nn as snn
from flax import nnx
from spyx import axn, optimize

from benchmarks import workloads

PACKAGES = ("spyx", "jax", "jaxlib", "flax", "numpy")


class Norm(nnx.Module):
    """Batch normalisation of one step `[B, H, W, features]`."""

    def __init__(self, features: int):
        self.scale, self.bias = nnx.Param(jnp.ones(features)), nnx.Param(jnp.zeros(features))

    def __call__(self, x: jax.Array) -> jax.Array:
        mean, var = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
        return (x - mean) * (self.scale[...] * jax.lax.rsqrt(var + 1e-5)) + self.bias[...]


class Block(nnx.Module):
    """A residual block: currents of the block and of its input meet before the last neurons."""

    def __init__(self, parts: Any, shape: tuple[int, ...], rngs: nnx.Rngs):
        first, second, *around = parts
        self.first, self.second = nnx.List(first), nnx.List(second)
        self.around = nnx.List(around[0] if around else [])
        self.inner, self.outer = _lif(shape, rngs), _lif(shape, rngs)

    def initial_state(self, batch: int) -> tuple[Any, Any]:
        return self.inner.initial_state(batch), self.outer.initial_state(batch)

    def __call__(self, x: jax.Array, state: tuple[Any, Any]) -> tuple[jax.Array, tuple[Any, Any]]:
        spikes, inner = self.inner(_through(self.first, x), state[0])
        spikes, outer = self.outer(_through(self.second, spikes) + _through(self.around, x), state[1])
        return spikes, (inner, outer)


def network(workload: workloads.Network, once: bool = True) -> Callable[[], float]:
    stem, *layers = modules(workload, nnx.Rngs(0))
    static = once and not workload.rate
    model = nnx.Dict(stem=nnx.List(stem), rest=snn.Sequential(*([] if static else stem), *layers))
    x, labels = jnp.asarray(workloads.inputs(workload)), jnp.asarray(workloads.labels(workload))
    target = jax.nn.one_hot(labels, workload.classes)

    def loss(model: Any, x: jax.Array) -> jax.Array:
        if static:
            first = _through(model.stem, x[0])
            x = jnp.broadcast_to(first, (len(x), *first.shape))
        return jnp.sum((snn.run(model.rest, x)[0][-1] / workload.steps - target) ** 2)

    optimizer = nnx.Optimizer(model, optax.sgd(workloads.LEARNING_RATE), wrt=nnx.Param)
    step = optimize.make_train_step(loss)

    def run() -> float:
        value = step(model, optimizer, x)
        jax.block_until_ready(nnx.state(model))
        return float(value)

    return run


def modules(workload: workloads.Network, rngs: nnx.Rngs) -> list:
    """The first layer's synapses (and norm) as a list, and the modules behind, with the first weights."""
    weights = workloads.weights(workload)
    found: list = []
    for spec in workloads.layers(workload):
        shape = (spec.height, spec.width, spec.features) if spec.kind in ("conv", "pool", "block") else (spec.features,)
        if spec.kind == "pool":
            found.append(partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2)))
            found.append(snn.IF(shape, threshold=workloads.POOL_THRESHOLD, activation=axn.arctan()))
        elif spec.kind == "global":
            found.append(partial(jnp.mean, axis=(1, 2)))
        elif spec.kind == "flatten":
            found.append(snn.Flatten())
        elif spec.kind == "block":
            found.append(Block([_synapses(part, weights, rngs) for part in spec.parts], shape, rngs))
        elif spec.kind == "recurrent":
            synapses = _synapses(spec.parts[0], weights, rngs)
            found += synapses if found else [synapses]
            found.append(_lif(shape, rngs, snn.RLIF))
            found[-1].recurrent_w[...] = jnp.asarray(next(weights))
        else:
            synapses = _synapses(spec, weights, rngs)
            found += synapses if found else [synapses]
            if spec.kind == "readout":
                found.append(_constant(snn.LI(shape, beta=workloads.LEAK, rngs=rngs)))
            else:
                found.append(_lif(shape, rngs))
    return found


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


def _through(modules: Any, x: jax.Array) -> jax.Array:
    for module in modules:
        x = module(x)
    return x


def _synapses(layer: workloads.Layer, weights: Iterator[Any], rngs: nnx.Rngs) -> list:
    """Convolution or dense synapses, and the norm behind."""
    options: dict[str, Any] = {"use_bias": False, "rngs": rngs}
    if layer.kind == "conv":
        options |= {"strides": layer.stride, "padding": layer.kernel // 2}
        made: Any = nnx.Conv(layer.inputs, layer.features, (layer.kernel, layer.kernel), **options)
    else:
        made = nnx.Linear(layer.inputs, layer.features, **options)
    made.kernel[...] = jnp.asarray(next(weights))
    return [made, Norm(layer.features)] if layer.norm else [made]


def _lif(shape: tuple[int, ...], rngs: nnx.Rngs, kind: Any = snn.LIF) -> Any:
    options: dict[str, Any] = {"threshold": workloads.THRESHOLD, "activation": axn.arctan(), "rngs": rngs}
    return _constant(kind(shape, beta=workloads.LEAK, **options))


def _constant(neuron: Any) -> Any:
    neuron.beta = nnx.Variable(neuron.beta[...])
    return neuron
