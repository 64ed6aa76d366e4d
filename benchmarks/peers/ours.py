"""jaxsnn: the compiled step of `benchmarks.train_step`; its LIF layer under the paper's rule or a surrogate."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import train_step, workloads
from jaxsnn.cells import lif
from jaxsnn.compiling import compile_large

PACKAGES = ("jax", "jaxlib", "flax", "numpy")
device_peak_mb = train_step.device_peak_mb


def network(
    workload: workloads.Network, rule: str = "spikebp", time_chunk: int = 0, **options: Any
) -> Callable[[], float]:
    step, trained, arguments = train_step.build(workload, rule, time_chunk, **options)

    def run() -> float:
        nonlocal trained
        trained, loss = jax.block_until_ready(step.compiled(trained, *arguments))
        return float(loss)

    return run


def neurons(workload: workloads.Neurons, rule: str = "spikebp", dtype: str = "float32") -> Callable[[], float]:
    neuron = train_step.RULES[rule].hidden
    params = lif.LIFParams(workloads.LEAK, workloads.THRESHOLD)

    def step(currents: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        def train(currents: jax.Array) -> jax.Array:
            state = neuron.init(params, currents.shape[1:], jnp.float32)
            return neuron.run(params, state, currents)[1]

        spikes, backward = jax.vjp(train, currents)
        return spikes, *backward(cotangent)

    arguments = tuple(jnp.asarray(array, dtype) for array in workloads.currents(workload))
    compiled = compile_large(jax.jit(step).lower(*arguments))

    def run() -> float:
        jax.block_until_ready(compiled(*arguments))
        return 0.0

    return run
