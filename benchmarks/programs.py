"""Which program is compiled? A digest of what JAX hands to the compiler, for CPU and CUDA, of each train step.

    python -m benchmarks.programs

A refactoring that leaves a digest as it was leaves speed and memory as they were, without measuring: run it before and
after, with the same versions. Names of functions do not count.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import train_step, workloads
from jaxsnn.cells import lif

PLATFORMS = ("cpu", "cuda")


def digest(step: Callable[..., Any], *shapes: Any) -> dict[str, str]:
    """The digest of the lowered program, by platform; nothing is compiled or run."""
    traced = jax.jit(step).trace(*shapes)
    texts = {platform: traced.lower(lowering_platforms=(platform,)).as_text() for platform in PLATFORMS}
    return {
        platform: hashlib.sha256(re.sub(r"@[\w.]+", "@f", text).encode()).hexdigest()[:12]
        for platform, text in texts.items()
    }


def of_network(workload: workloads.Network, rule: str) -> dict[str, str]:
    """The digests of forward, backward and SGD of a network."""
    apply, params, state = train_step.network(workload, rule)
    whole = train_step.train_step(apply, state)

    def step(trained: train_step.Trained, x: jax.Array, labels: jax.Array) -> Any:
        after, loss = whole(trained, x, labels)
        return (after if after.moments else after.params), loss  # the program holds the names of its results

    return digest(step, train_step.start(params, state), *train_step.shapes(workload))


def of_neurons(workload: workloads.Neurons, rule: str) -> dict[str, str]:
    """The digests of one layer of neurons, forward and backward."""
    neuron = train_step.RULES[rule].hidden
    params = lif.LIFParams(workloads.LEAK, workloads.THRESHOLD)

    def total(currents: jax.Array) -> jax.Array:
        return jnp.sum(neuron.run(params, neuron.init(params, currents.shape[1:], currents.dtype), currents)[1])

    shape = (workload.steps, workload.batch, workload.neurons)
    return digest(jax.value_and_grad(total), jax.ShapeDtypeStruct(shape, jnp.float32))


def main() -> None:
    """Prints one line per workload and rule."""
    print(f"jax {jax.__version__}")
    for rule in train_step.RULES:
        for name in ("W1", "W2"):
            print(name, rule, of_network(workloads.NETWORKS[name], rule), flush=True)
        print("W3", rule, of_neurons(workloads.NEURONS["W3"], rule), flush=True)
    for name in ("W4", "W5"):
        print(name, "arctan", of_network(workloads.NETWORKS[name], "arctan"), flush=True)


if __name__ == "__main__":
    main()
