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

from benchmarks import common, train_step
from jaxsnn import losses
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


def of_network(workload: common.Network, rule: str) -> dict[str, str]:
    """The digests of forward, backward and SGD of a network."""
    apply, params, state = train_step.network(workload, rule)

    def step(params: Any, x: jax.Array, labels: jax.Array) -> Any:
        def loss(params: Any) -> jax.Array:
            return losses.squared_error(apply(params, state, x, train=True)[0].logits, labels)

        value, gradients = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, g: p - common.LEARNING_RATE * g, params, gradients), value

    x = jax.ShapeDtypeStruct((workload.steps, workload.batch, *workload.input_shape), jnp.float32)
    return digest(step, params, x, jax.ShapeDtypeStruct((workload.batch,), jnp.int32))


def of_neurons(workload: common.Neurons, rule: str) -> dict[str, str]:
    """The digests of one layer of neurons, forward and backward."""
    neuron = train_step.RULES[rule].hidden
    params = lif.LIFParams(common.LEAK, common.THRESHOLD)

    def total(currents: jax.Array) -> jax.Array:
        return jnp.sum(neuron.run(params, neuron.init(params, currents.shape[1:], currents.dtype), currents)[1])

    shape = (workload.steps, workload.batch, workload.neurons)
    return digest(jax.value_and_grad(total), jax.ShapeDtypeStruct(shape, jnp.float32))


def main() -> None:
    """Prints one line per workload and rule."""
    print(f"jax {jax.__version__}")
    for rule in train_step.RULES:
        for name in ("W1", "W2"):
            print(name, rule, of_network(common.NETWORKS[name], rule), flush=True)
        print("W3", rule, of_neurons(common.NEURONS["W3"], rule), flush=True)


if __name__ == "__main__":
    main()
