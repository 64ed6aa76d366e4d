"""How fast does a network answer? (LeNet on 28x28 images, T = 50)

    python -m benchmarks.inference --batches=16,64,256 --repeats=30

Prints, and appends to benchmarks/results/<device>/inference.jsonl:
- one image: encoding to spikes and the whole network, median and 90th percentile in milliseconds;
- batches: images per second, and images times steps per second;
- streaming: one time step at a time with the carry handed on, milliseconds per step. It compiles once (checked).
"""

import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common, train_step, workloads
from jaxsnn import encoding

COMPILED = "/jax/core/compile/backend_compile_duration"
NETWORK = workloads.NETWORKS["W1"]


def timed(function: Callable[[], Any], repeats: int) -> list[float]:
    """Milliseconds of each call, after two untimed ones."""
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        jax.block_until_ready(function())
        times.append(1e3 * (time.perf_counter() - began))
    return times[2:]


def answer(network: workloads.Network, time_chunk: int) -> Callable[[int], Callable[[], jax.Array]]:
    """Batch size to a function that encodes that many images and classifies them."""
    apply, params, state = train_step.network(network, time_chunk=time_chunk)

    @jax.jit
    def classify(params, key, images):
        spikes = encoding.poisson(key, images, network.steps)
        return jnp.argmax(apply(params, state, spikes)[0].logits, -1)

    def of(batch: int) -> Callable[[], jax.Array]:
        images = jax.random.uniform(jax.random.key(0), (batch, *network.input_shape))
        return lambda: classify(params, jax.random.key(1), images)

    return of


def streaming(network: workloads.Network, repeats: int) -> dict[str, Any]:
    """Feeds one time step after another; milliseconds per step.

    Raises:
      AssertionError: if a step after the first compiles anything.
    """
    apply, params, state = train_step.network(network)
    inputs = jnp.asarray(workloads.inputs(network._replace(batch=1)))
    inputs_by_step = [jax.block_until_ready(inputs[t : t + 1]) for t in range(network.steps)]

    @jax.jit
    def step(params, carry, x):
        output = apply(params, state, x, carry=carry)[0]
        return output.carry, output.logits

    resting = jax.eval_shape(lambda x: apply(params, state, x)[0].carry, inputs_by_step[0])
    resting = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), resting)
    compilations: list[float] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILED:
            compilations.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    times = []
    for _ in range(repeats + 1):
        carry = resting
        for x in inputs_by_step:
            began = time.perf_counter()
            carry, _ = jax.block_until_ready(step(params, carry, x))
            times.append(1e3 * (time.perf_counter() - began))
    assert len(compilations) == 1, f"streaming compiled {len(compilations)} programs"
    return common.summary(times[network.steps :]) | {"compilations": len(compilations)}


def measure(network: workloads.Network, batches: list[int], time_chunk: int, repeats: int) -> list[tuple[dict, dict]]:
    """Pairs of options and results."""
    of = answer(network, time_chunk)
    times = timed(of(1), repeats)
    found = [({"what": "one image"}, common.summary(times) | {"p90_ms": round(float(np.percentile(times, 90)), 3)})]
    for batch in batches:
        times = timed(of(batch), max(3, repeats // 3))
        rate = 1e3 * batch / float(np.median(times))
        speed = {"images_per_s": round(rate), "image_steps_per_s": round(rate * network.steps)}
        found.append(({"what": f"batch of {batch}"}, common.summary(times) | speed))
    found.append(({"what": "one step, streaming"}, streaming(network, max(1, repeats // 10))))
    return found


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = common.parser(__doc__)
    parser.add_argument("--batches", default="16,64,256", help="batch sizes")
    parser.add_argument("--time_chunk", type=int, default=5, help="steps per chunk in a batch; 0 for all at once")
    parser.add_argument("--repeats", type=int, default=30, help="timed calls with one image, a third with a batch")
    flags = parser.parse_args()
    rows = []
    batches = [int(batch) for batch in flags.batches.split(",")]
    for options, results in measure(NETWORK, batches, flags.time_chunk, flags.repeats):
        rows.append(common.row("inference", "W1", "jaxsnn", options | {"time_chunk": flags.time_chunk}, results))
        print(options["what"], json.dumps(results))
    if flags.write:
        common.append(rows, flags.results)


if __name__ == "__main__":
    main()
