"""How does the memory of a converted network's evaluation grow with time steps? (Poisson input, accuracy at every step)

    python -m benchmarks.streaming --workload=W2 --steps=100,2500 --batch=100
    python -m benchmarks.streaming --workload=W2 --steps=100,2500 --batch=100 --run

Compiles the whole evaluation of one batch as one program, in chunks as `jaxsnn.streaming` runs them, and prints what
XLA takes in MB, and its growth from the first to the last number of steps. With `--run` it evaluates instead, in a
fresh process with a bar of progress for each number of steps, and prints the peak of that process. Appends to
benchmarks/results/<device>/streaming.jsonl.
"""

import argparse
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from tqdm import tqdm

from benchmarks import common, workloads
from benchmarks.train_step import memory_mb
from jaxsnn import encoding, models, neurons, streaming
from jaxsnn.batches import outline
from jaxsnn.compiling import compile_large
from jaxsnn.typing import Array, ArrayLike

PEAK = """
from benchmarks import common, streaming, workloads
streaming.evaluate(workloads.Network(*{network!r}), {chunk})
print(common.process_peak_mb())
"""


def converted(network: workloads.Network) -> tuple[models.Apply, Any, Any]:
    """The workload's model with integrate-and-fire neurons and plain pools."""
    model = models.create(
        network.model,
        input_shape=network.input_shape,
        num_classes=network.classes,
        neurons=neurons.lif(leak=1.0, reset="soft"),
        pool="average",
        rngs=nnx.Rngs(0),
    )
    return models.functionalize(model)


def encode(key: Array, images: Array, start: ArrayLike, steps: int) -> Array:
    """Poisson spikes of the steps from `start` on."""
    return encoding.poisson(key, images, steps, start=start)


def samples(network: workloads.Network) -> tuple[Array, Array]:
    """One batch of random images, and labels."""
    images = jax.random.uniform(jax.random.key(0), (network.batch, *network.input_shape))
    return images, jnp.asarray(workloads.labels(network))


def compiled(network: workloads.Network, chunk: int) -> dict[str, float]:
    """What the whole evaluation takes as one program, in MB."""
    apply, params, state = converted(network)
    run_chunk = streaming.make_chunk(apply, encode, chunk)

    def whole(params, state, key, images, labels):
        shape = outline(apply, params, state, encode(key, images, jnp.int32(0), 1))
        rest = shape.at_rest()

        def body(carry: Any, number: Array) -> tuple[Any, streaming.Chunk]:
            return run_chunk(params, state, carry, key, images, labels, labels >= 0, number * chunk)

        return jax.lax.scan(body, rest, jnp.arange(network.steps // chunk))[1]

    return memory_mb(compile_large(jax.jit(whole).lower(params, state, jax.random.key(0), *samples(network))))


def evaluate(network: workloads.Network, chunk: int) -> streaming.Streamed:
    """Runs one batch, with a bar of progress."""
    with tqdm(total=network.steps * network.batch, unit="step", desc=f"T = {network.steps}") as bar:
        return streaming.stream(
            *converted(network),
            encode,
            *samples(network),
            key=jax.random.key(0),
            steps=network.steps,
            chunk=chunk,
            batch_size=network.batch,
            progress=bar.update,
        )


def peak(network: workloads.Network, chunk: int) -> dict[str, float]:
    """Largest resident size of a fresh process that evaluates one batch, in MB."""
    code = PEAK.format(network=tuple(network), chunk=chunk)
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return {"process_peak_mb": int(done.stdout)}


def measure(network: workloads.Network, flags: argparse.Namespace) -> dict[str, float]:
    """One setting."""
    return (peak if flags.run else compiled)(network, flags.time_chunk)


def main() -> None:
    """Compiles or runs, prints, and appends to the results."""
    parser = common.parser(__doc__)
    parser.add_argument("--workload", default="W2", choices=workloads.NETWORKS, help="network and input size")
    parser.add_argument("--steps", default="100,2500", help="numbers of time steps, multiples of --time_chunk")
    parser.add_argument("--batch", default=100, type=int, help="samples")
    parser.add_argument("--time_chunk", default=5, type=int, help="steps per chunk")
    parser.add_argument("--run", action="store_true", help="evaluate, each number of steps in a fresh process")
    flags = parser.parse_args()
    counts = [int(number) for number in flags.steps.split(",")]
    if any(steps % flags.time_chunk for steps in counts):
        parser.error(f"--steps must be multiples of --time_chunk={flags.time_chunk}, got {flags.steps}")
    rows, found = [], {}
    for steps in counts:
        network = workloads.NETWORKS[flags.workload]._replace(steps=steps, batch=flags.batch)
        found[steps] = measure(network, flags)
        print(f"B={flags.batch} T={steps}: " + ", ".join(f"{k} {v:g}" for k, v in found[steps].items()), flush=True)
        options = {"batch": flags.batch, "time_chunk": flags.time_chunk, "steps": steps}
        rows.append(common.row("streaming", flags.workload, "jaxsnn", options, found[steps]))
    for name, value in found[counts[-1]].items():
        print(f"T={counts[0]} -> {counts[-1]}: {name} {value - found[counts[0]][name]:+g} MB")
    if flags.write:
        common.append(rows, flags.results)


if __name__ == "__main__":
    main()
