"""jaxpike: `Sequential` under `unroll` (layer by layer, its fastest), its own jitted train step; hard reset, ATan.

Leaks are constants, not trained, as everywhere here. The membrane moves by `1 - leak` of its input, so thresholds are
scaled by it; there is no neuron without leak: pools leak too. Readout: `LeakyIntegrator` at the last step. An image
that is the same at every step goes through the first convolution and norm once (`once=false`: at every step).
Recurrent: `Graph`, with the input product outside of it. It has no batch norm: the layer below stands in, over T and B
as ours, without running statistics. Its `Graph` would scan the convolutions of a residual block step by step: here the
parts of a block go through `unroll` one after another. Convolutions of stride 2 are padded below and right only.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxpike
import optax
from jaxpike import training

from benchmarks import workloads

PACKAGES = ("jaxpike", "jax", "jaxlib", "equinox", "numpy")
TAU = -1 / math.log(workloads.LEAK)


class Norm(eqx.Module):
    """Batch normalisation of maps `[T, B, H, W, features]`."""

    scale: jax.Array
    bias: jax.Array

    def init_state(self, input_shape: tuple[int, ...]) -> None:
        return None

    def out_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def parallel_apply(self, state: None, x: jax.Array) -> tuple[None, jax.Array]:
        axes = tuple(range(x.ndim - 1))
        mean, var = jnp.mean(x, axes), jnp.var(x, axes)
        return None, (x - mean) * (self.scale * jax.lax.rsqrt(var + 1e-5)) + self.bias

    __call__ = parallel_apply


class Mean(eqx.Module):
    """The mean of a map `[..., H, W, features]`."""

    def init_state(self, input_shape: tuple[int, ...]) -> None:
        return None

    def out_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*input_shape[:-3], input_shape[-1])

    def parallel_apply(self, state: None, x: jax.Array) -> tuple[None, jax.Array]:
        return None, jnp.mean(x, (-3, -2))

    __call__ = parallel_apply


class Block(eqx.Module):
    """A residual block: currents of the block and of its input meet before the last neurons."""

    first: eqx.Module
    second: eqx.Module
    around: eqx.Module | None
    outer: eqx.Module

    def run(self, x: jax.Array) -> jax.Array:
        currents = _run(self.second, _run(self.first, x))
        return _run(self.outer, currents + (x if self.around is None else _run(self.around, x)))


def network(workload: workloads.Network, once: bool = True) -> Callable[[], float]:
    stem, *modules = _modules(workload)
    static = once and not workload.rate
    runs: list = [[*stem]] if not static else [[*stem], []]
    for module in modules:  # blocks by themselves, and runs of other layers between them
        if isinstance(module, Block):
            runs += [module, []]
        else:
            runs[-1].append(module)
    model = [run if isinstance(run, Block) else jaxpike.Sequential(*run) for run in runs if run]
    x, labels = jnp.asarray(workloads.inputs(workload)), jnp.asarray(workloads.labels(workload))

    def loss(model: list, x: jax.Array, labels: jax.Array) -> tuple[jax.Array, None]:
        first, *others = _constant(model)
        y = _run(first, x[:1] if static else x)
        y = jnp.broadcast_to(y, (len(x), *y.shape[1:])) if static else y
        for part in others:
            y = part.run(y) if isinstance(part, Block) else _run(part, y)
        target = jax.nn.one_hot(labels, workload.classes)
        return jnp.sum((y[-1] / (workload.steps * (1 - workloads.LEAK)) - target) ** 2), None

    optimizer = optax.sgd(workloads.LEARNING_RATE)
    state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))
    step = training.make_step(loss, optimizer)

    def run() -> float:
        nonlocal model, state
        model, state, value, _ = jax.block_until_ready(step(model, state, x, labels))
        return float(value)

    return run


def _modules(workload: workloads.Network) -> list:
    """The first layer's synapses (and norm) as a list, and the modules behind, with the first weights."""
    weights = workloads.weights(workload)
    found: list = []
    for spec in workloads.layers(workload):
        if spec.kind == "pool":
            found += [jaxpike.Pool2d(2), _lif(workloads.POOL_THRESHOLD)]
        elif spec.kind == "global":
            found.append(Mean())
        elif spec.kind == "flatten":
            found.append(jaxpike.Flatten())
        elif spec.kind == "block":
            first, second, *around = (_synapses(part, weights) for part in spec.parts)
            inner = jaxpike.Sequential(*first, _lif())
            found.append(
                Block(inner, jaxpike.Sequential(*second), jaxpike.Sequential(*around[0]) if around else None, _lif())
            )
        else:
            synapses = _synapses(spec.parts[0] if spec.parts else spec, weights)
            found += synapses if found else [synapses]
            if spec.kind == "recurrent":
                (back,) = _synapses(spec.parts[1], weights)
                edges = [("input", "hidden"), ("hidden", "back"), ("back", "hidden")]
                found.append(jaxpike.Graph({"hidden": _lif(), "back": back}, edges, "hidden"))
            else:
                found.append(jaxpike.LeakyIntegrator(TAU) if spec.kind == "readout" else _lif())
    return found


def _synapses(layer: workloads.Layer, weights: Iterator[Any]) -> list:
    """Convolution or dense synapses, and the norm behind."""
    options: dict[str, Any] = {"use_bias": False, "key": jax.random.key(0)}
    kernel = jnp.asarray(next(weights))
    if layer.kind != "conv":
        made: Any = jaxpike.Dense(layer.inputs, layer.features, **options)
        return [eqx.tree_at(lambda made: made.weight, made, kernel.T)]
    made = jaxpike.Conv2d(layer.inputs, layer.features, layer.kernel, stride=layer.stride, **options)
    made = eqx.tree_at(lambda made: made.weight, made, kernel)
    return [made, Norm(jnp.ones(layer.features), jnp.zeros(layer.features))] if layer.norm else [made]


def _run(module: eqx.Module, x: jax.Array) -> jax.Array:
    return jaxpike.unroll(module, x)[0]


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


def _constant(model: Any) -> Any:
    """Stops the gradients of the leaks."""

    def is_neuron(node: Any) -> bool:
        return hasattr(node, "log_tau")

    def constant(node: Any) -> Any:
        if not is_neuron(node):
            return node
        return eqx.tree_at(lambda node: node.log_tau, node, replace_fn=jax.lax.stop_gradient)

    return jax.tree.map(constant, model, is_leaf=is_neuron)
