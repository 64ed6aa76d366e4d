"""A layer of neurons by the scan against one Pallas kernel in each direction (`kernel="pallas"`), on a GPU or TPU.

    python -m benchmarks.kernels            # on a CPU the kernel is interpreted: its times say nothing there

Prints of each size and rule the median of ten forward and backward passes in milliseconds, and the largest differences
of spikes and gradients.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn import neurons
from jaxsnn.typing import Array

SIZES = ((100, 1048576), (16, 1048576), (4, 2097152))
"""Time steps and neurons."""
RULES: dict[str, Callable[..., neurons.Neurons]] = {"arctan": neurons.lif, "spikebp": neurons.spikebp}


def made(rule: str, kernel: str, shape: tuple[int, ...]) -> Any:
    """Spikes and the gradient of the currents, by currents and the gradient of the spikes `[T, *shape]`."""
    neuron = RULES[rule](kernel=kernel).hidden

    @jax.jit
    def run(currents: Array, cotangents: Array) -> tuple[Array, Array]:
        carry = neuron.init(neuron.params, shape, jnp.float32)
        spikes, pull = jax.vjp(lambda x: neuron.run(neuron.params, carry, x)[1], currents)
        return spikes, pull(cotangents)[0]

    return run


def milliseconds(run: Any, arguments: Any, repeats: int = 10) -> float:
    """The median time of a call, after the first."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(run(*arguments))
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--divide", type=int, default=1, help="take this part of the neurons, to try the script")
    flags = parser.parse_args()
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}\n")
    print("| T | neurons | rule | scan [ms] | kernel [ms] | difference of spikes | of gradients |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for steps, count in SIZES:
        shape = (count // flags.divide // 256, 256)
        keys = jax.random.split(jax.random.key(0))
        arguments = jax.block_until_ready([jax.random.normal(key, (steps, *shape)) for key in keys])
        for rule in RULES:
            runs = [made(rule, kernel, shape) for kernel in ("scan", "pallas")]
            pairs = zip(*(run(*arguments) for run in runs), strict=True)
            differences = [f"{float(jnp.abs(a - b).max()):.2g}" for a, b in pairs]
            times = [f"{milliseconds(run, arguments):.3f}" for run in runs]
            cells = [str(steps), f"{shape[0] * 256:,}", rule, *times, *differences]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
