"""How far is a train step from the full speed of this machine?

    python -m benchmarks.roofline                 # every workload that has a result of benchmarks.train_step

Full speed is the larger of two times: the operations that the products of a step do (two per multiply-accumulate;
forward, input gradient and weight gradient, less the input gradient of the first layer) at the speed of a large matrix
product, and its bytes at the speed of a large copy, both measured here. Minimal filtering, on CPUs, does fewer
operations than the definition of a convolution has; on other devices those of the definition are counted. Prints both
times in milliseconds and how many times full speed the latest measured step took; appends to
benchmarks/results/<device>/roofline.jsonl.
"""

import time

import jax
import jax.numpy as jnp

from benchmarks import common, workloads
from jaxsnn.synapses.convolution import products

BYTES = 32
"""Per neuron and step: currents written and read (4 + 4); spikes of one byte written, read by the next layer, and read
by both gradients (4); cotangent of the spikes written and read (4 + 4); that of the currents written once and read by
two gradients (4 + 4 + 4)."""


def operations(network: workloads.Network, *, filtering: bool) -> float:
    """Floating-point operations of the products of one train step, with minimal filtering or by the definition."""
    weighted = [layer for layer in workloads.flat(network) if layer.weights]
    first, *later = [_products(layer) if filtering else _defined(layer) for layer in weighted]
    first_steps = network.steps if network.rate else 1  # the same image at every step is convolved once
    return 2 * network.batch * (2 * first_steps * first + 3 * network.steps * sum(later))


def _defined(layer: workloads.Layer) -> int:
    return layer.weights * layer.height * layer.width


def _products(layer: workloads.Layer) -> int:
    """Multiply-accumulates that are done for one sample and step."""
    if layer.kind != "conv" or layer.stride > 1:
        return _defined(layer)
    return products((layer.height, layer.width), (layer.kernel, layer.kernel, layer.inputs, layer.features))


def bytes_moved(network: workloads.Network) -> float:
    """Bytes of currents, spikes and their cotangents of one train step."""
    return BYTES * network.steps * network.batch * sum(layer.neurons for layer in workloads.flat(network))


def machine(size: int = 3072, megabytes: int = 512, repeats: int = 5) -> tuple[float, float]:
    """Operations and bytes per second, each the best of `repeats`."""

    def best(function, *arguments) -> float:
        compiled = jax.jit(function)
        jax.block_until_ready(compiled(*arguments))
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            jax.block_until_ready(compiled(*arguments))
            times.append(time.perf_counter() - began)
        return min(times)

    matrix = jax.random.normal(jax.random.key(0), (size, size))
    numbers = jnp.ones(megabytes * 250_000)
    return 2 * size**3 / best(jnp.matmul, matrix, matrix), 2 * numbers.nbytes / best(lambda x: x + 1, numbers)


def against_full_speed(network: workloads.Network, measured_ms: float, *machine_speed: float) -> dict[str, float]:
    """The columns of a measured step; `machine_speed` as of `machine`, measured here if not given."""
    flops, bandwidth = machine_speed or machine()
    done = operations(network, filtering=jax.default_backend() == "cpu")
    compute, memory = 1e3 * done / flops, 1e3 * bytes_moved(network) / bandwidth
    return {
        "products_ms": round(compute, 1),
        "memory_ms": round(memory, 1),
        "times_full_speed": round(measured_ms / max(compute, memory), 2),
        "gflops": round(flops / 1e9),
        "gb_per_s": round(bandwidth / 1e9, 1),
    }


def main() -> None:
    """Measures the machine, prints, and appends to the results."""
    parser = common.parser(__doc__)
    flags = parser.parse_args()
    path = flags.results / common.device() / "train_step.jsonl"
    if not path.exists():
        raise SystemExit("no results yet: run python -m benchmarks.train_step first")
    measured = {common.key(row): row for row in common.read(path) if "steps" not in row["options"]}
    flops, bandwidth = machine()
    print(f"{flops / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s")
    print(f"{'':40}{'compute':>10}{'memory':>10}{'full speed':>12}{'measured':>10} [ms]  times full speed")
    rows = []
    for row in measured.values():
        against = against_full_speed(workloads.NETWORKS[row["workload"]], row["median_ms"], flops, bandwidth)
        results = {"malloc": row["malloc"], "measured_ms": row["median_ms"], **against}
        rows.append(common.row("roofline", row["workload"], "jaxsnn", row["options"], results))
        name = " ".join([row["workload"], *(f"{n}={v}" for n, v in row["options"].items()), row["malloc"]])
        parts = against["products_ms"], against["memory_ms"]
        times = f"{parts[0]:10.1f}{parts[1]:10.1f}{max(parts):12.1f}{row['median_ms']:10.1f}"
        print(f"{name:40}{times}{results['times_full_speed']:12.2f}")
    if flags.write:
        common.append(rows, flags.results)


if __name__ == "__main__":
    main()
