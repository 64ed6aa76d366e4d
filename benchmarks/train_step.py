"""How long does one train step take, and how much memory? (forward, backward, SGD on random spikes of rate 0.3)

    python -m benchmarks.train_step --workload=W1 --repeats=9

Prints the median and spread in milliseconds and appends a JSON line to benchmarks/results/<device>/train_step.jsonl.
Workloads as in the table of benchmarks/README.md.
"""

import json
import resource
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from absl import app, flags
from flax import nnx

from experiments.folder import environment
from jaxsnn import encoding, layers, losses, models


class Workload(NamedTuple):
    """A network and the shape of its input."""

    model: str
    input_shape: tuple[int, int, int]
    steps: int
    batch: int


WORKLOADS = {
    "W1": Workload("lenet", (28, 28, 1), 50, 64),
    "W1-T20": Workload("lenet", (28, 28, 1), 20, 64),
    "W2": Workload("vgg9", (32, 32, 3), 16, 8),
    "W2-T8-B4": Workload("vgg9", (32, 32, 3), 8, 4),
    "W2-T100-B4": Workload("vgg9", (32, 32, 3), 100, 4),
}
RULES: dict[str, layers.Neuron] = {"spikebp": layers.SpikeBP(), "arctan": layers.LIF()}

WORKLOAD = flags.DEFINE_enum("workload", "W1", list(WORKLOADS), "What to time.")
RULE = flags.DEFINE_enum("rule", "spikebp", list(RULES), "Gradient.")
CHUNK = flags.DEFINE_integer("time_chunk", 0, "Steps per piece; 0 for all at once.", lower_bound=0)
REPEATS = flags.DEFINE_integer("repeats", 9, "Timed steps, after two untimed ones.", lower_bound=1)
WRITE = flags.DEFINE_boolean("write", True, "Append to the results.")


def measure(workload: Workload, neuron: layers.Neuron, time_chunk: int, repeats: int) -> dict[str, float]:
    """Times the step; returns milliseconds, compile time and memory."""
    model = models.create(
        workload.model, input_shape=workload.input_shape, num_classes=10, neuron=neuron, rngs=nnx.Rngs(0)
    )
    apply, params, state = models.functionalize(model)
    if time_chunk:
        apply = models.in_chunks(apply, time_chunk)

    def objective(params, x, labels):
        return losses.squared_error(apply(params, state, x, train=True)[0].logits, labels)

    def step(params, x, labels):
        gradients = jax.grad(objective)(params, x, labels)
        return jax.tree.map(lambda p, g: p - 1e-4 * g, params, gradients)

    images = jnp.full((workload.batch, *workload.input_shape), 0.3)
    x = jax.block_until_ready(encoding.poisson(jax.random.key(0), images, workload.steps))
    labels = jnp.arange(workload.batch) % 10
    began = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=0).lower(params, x, labels).compile()
    compile_seconds = time.perf_counter() - began
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        params = jax.block_until_ready(compiled(params, x, labels))
        times.append(1e3 * (time.perf_counter() - began))
    times = times[2:]
    memory = compiled.memory_analysis()
    return {
        "median_ms": round(statistics.median(times), 1),
        "min_ms": round(min(times), 1),
        "max_ms": round(max(times), 1),
        "compile_s": round(compile_seconds, 2),
        "temporary_mb": round(memory.temp_size_in_bytes / 1e6, 1) if memory else float("nan"),
        "process_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }


def main(argv: list[str]) -> None:
    """Measures, prints, and appends to the results."""
    del argv
    result = measure(WORKLOADS[WORKLOAD.value], RULES[RULE.value], CHUNK.value, REPEATS.value)
    options = {"time_chunk": CHUNK.value, "n": REPEATS.value}
    head = {"benchmark": "train_step", "workload": WORKLOAD.value, "rule": RULE.value}
    row = {**head, **options, **result, **environment()}
    del row["command"]
    print(json.dumps(row, indent=2))
    if WRITE.value:
        device = f"{jax.default_backend()}-{jax.devices()[0].device_kind}".lower().replace(" ", "-")
        path = Path(__file__).parent / "results" / device / "train_step.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    app.run(main)
