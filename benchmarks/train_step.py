"""How long does one train step take, and how much memory? (forward, backward, SGD)

    python -m benchmarks.train_step --workload=W1 --rule=spikebp --time_chunk=0 --repeats=9

Prints the median and spread in milliseconds, the seconds of tracing and compiling, XLA's temporaries and the peak of
the process, and how many times full speed (`benchmarks.roofline`) that is on this machine just now; appends them as a
JSON line to benchmarks/results/<device>/train_step.jsonl.
"""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from benchmarks import common, roofline, workloads
from jaxsnn import losses, models, neurons, training
from jaxsnn.compiling import compile_large
from jaxsnn.lab.network import DTYPES

RULES: dict[str, neurons.Neurons] = {
    "spikebp": neurons.spikebp(),
    "spikebp-bits": neurons.spikebp(pack_spikes=True),
    "arctan": neurons.lif(),
    "arctan-bits": neurons.lif(pack_spikes=True),
    "spikebp-pallas": neurons.spikebp(kernel="pallas"),
    "arctan-pallas": neurons.lif(kernel="pallas"),
}


class Step(NamedTuple):
    """A compiled train step and what it cost to get it; `compiled(trained, *arguments) -> (trained, loss)`."""

    compiled: Any
    trace_s: float
    compile_s: float


class Trained(NamedTuple):
    """What a step changes."""

    params: Any
    moments: dict[tuple[str, ...], Any]
    """Running statistics of the norms, by their places in the model's state."""


def network(
    workload: workloads.Network,
    rule: str = "spikebp",
    time_chunk: int = 0,
    once: bool = True,
    dtype: str = "float32",
) -> tuple[models.Apply, Any, Any]:
    """`(apply, params, state)` of the workload's model.

    Args:
      workload: which model.
      rule: key of `RULES`.
      time_chunk: steps in a chunk; 0: all at once.
      once: whether an image that is the same at every step goes through the first synapses and norm once, not T times.
      dtype: of spikes and currents between layers (`compute_dtype`); membranes, weights and sums are float32.
    """
    model = models.create(
        workload.model,
        input_shape=workload.input_shape,
        num_classes=workload.classes,
        neurons=RULES[rule],
        width=workload.width,
        static_input=once and not workload.rate,
        compute_dtype=dtype,
        rngs=nnx.Rngs(0),
        **workload.options,
    )
    names = (one.name for one in model.connections() if one.kind in ("conv", "dense"))
    for name, weights in zip(names, workloads.weights(workload), strict=True):
        getattr(model, name).kernel[...] = jnp.asarray(weights)
    apply, params, state = models.functionalize(model)
    return (models.in_chunks(apply, time_chunk) if time_chunk else apply), params, state


def start(params: Any, state: Any) -> Trained:
    """What is trained, at first."""
    return Trained(params, {path: value for path, value in flatten_dict(state).items() if "norm" in path})


def train_step(
    apply: models.Apply, state: Any, micro_batch: int = 0
) -> Callable[[Trained, Any, Any], tuple[Trained, Any]]:
    """Forward, backward and SGD, as a function to be compiled: `(trained, x, labels) -> (trained, loss)`.

    Args:
      apply: the model.
      state: its state.
      micro_batch: samples whose gradients are computed at once; 0 for all.
    """
    loss = losses.LOSSES["squared_error"]
    gradients = training.backpropagation(apply, loss.function)
    if micro_batch:
        gradients = training.micro_batches(gradients, micro_batch, mean=loss.reduction == "mean")

    def step(trained: Trained, x: jax.Array, labels: jax.Array) -> tuple[Trained, jax.Array]:
        now = unflatten_dict(flatten_dict(state) | trained.moments) if trained.moments else state
        (value, (_, after)), slopes = gradients(trained.params, now, x, labels, None)
        params = jax.tree.map(lambda p, g: p - workloads.LEARNING_RATE * g, trained.params, slopes)
        return start(params, after), value

    return step


def shapes(workload: workloads.Network) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Of input and labels."""
    x = jax.ShapeDtypeStruct((workload.steps, workload.batch, *workload.input_shape), jnp.float32)
    return x, jax.ShapeDtypeStruct((workload.batch,), jnp.int32)


def compile_step(
    workload: workloads.Network, apply: models.Apply, params: Any, state: Any, micro_batch: int = 0
) -> Step:
    """Compiles forward, backward and SGD for the workload's shapes; nothing is run."""
    began = time.perf_counter()
    step = jax.jit(train_step(apply, state, micro_batch), donate_argnums=0)
    lowered = step.lower(start(params, state), *shapes(workload))
    traced = time.perf_counter()
    compiled = compile_large(lowered)
    return Step(compiled, round(traced - began, 2), round(time.perf_counter() - traced, 2))


def build(
    workload: workloads.Network, *options: Any, micro_batch: int = 0, **more: Any
) -> tuple[Step, Trained, tuple[Any, Any]]:
    """`(step, trained, (x, labels))`; call `step.compiled(trained, x, labels)`. Options as of `network`."""
    apply, params, state = network(workload, *options, **more)
    step = compile_step(workload, apply, params, state, micro_batch)
    arguments = (jnp.asarray(workloads.inputs(workload)), jnp.asarray(workloads.labels(workload)))
    return step, start(params, state), arguments


def memory_mb(compiled: Any) -> dict[str, float]:
    """What the compiled program needs: temporaries, arguments and outputs."""
    memory = compiled.memory_analysis()
    if not memory:
        return {}
    parts = {"temporary": "temp", "argument": "argument", "output": "output"}
    return {f"{name}_mb": round(getattr(memory, f"{part}_size_in_bytes") / 1e6, 1) for name, part in parts.items()}


def device_peak_mb() -> int | None:
    """Largest device memory so far, where jax knows it."""
    statistics = jax.devices()[0].memory_stats() or {}
    return round(statistics["peak_bytes_in_use"] / 1e6) if "peak_bytes_in_use" in statistics else None


def peaks_mb() -> dict[str, int]:
    """Largest resident size of this process and largest device memory so far, those that are known."""
    known = {"process_peak_mb": common.process_peak_mb(), "device_peak_mb": device_peak_mb()}
    return {name: value for name, value in known.items() if value is not None}


def measure(workload: workloads.Network, repeats: int, **options: Any) -> dict[str, Any]:
    """Times the step after two untimed ones; options as of `build`."""
    step, params, arguments = build(workload, **options)
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        params, _ = jax.block_until_ready(step.compiled(params, *arguments))
        times.append(1e3 * (time.perf_counter() - began))
    found = {
        **common.summary(times[2:]),
        "trace_s": step.trace_s,
        "compile_s": step.compile_s,
        **memory_mb(step.compiled),
        **peaks_mb(),
    }
    del params, arguments
    return found | roofline.against_full_speed(workload, found["median_ms"])


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = common.parser(__doc__)
    parser.add_argument("--workload", default="W1", choices=workloads.NETWORKS, help="what to time")
    parser.add_argument("--steps", type=int, help="time steps, if not those of the workload")
    parser.add_argument("--batch", type=int, help="batch size, if not that of the workload")
    parser.add_argument("--rule", default="spikebp", choices=RULES, help="gradient")
    parser.add_argument("--time_chunk", type=int, default=0, help="steps per chunk; 0 for all at once")
    parser.add_argument("--micro_batch", type=int, default=0, help="samples at once; 0 for the whole batch")
    parser.add_argument("--dtype", default="float32", choices=DTYPES, help="of spikes and currents between layers")
    parser.add_argument("--repeats", type=int, default=9, help="timed steps, after two untimed ones")
    flags = parser.parse_args()

    named = workloads.NETWORKS[flags.workload]
    workload = named._replace(steps=flags.steps or named.steps, batch=flags.batch or named.batch)
    options: dict[str, Any] = {"rule": flags.rule, "time_chunk": flags.time_chunk}
    if flags.micro_batch:
        options["micro_batch"] = flags.micro_batch
    if flags.dtype != "float32":
        options["dtype"] = flags.dtype
    result = measure(workload, flags.repeats, **options)
    if workload != named:
        options |= {"steps": workload.steps, "batch": workload.batch}
    row = common.row("train_step", flags.workload, "jaxsnn", options, result)
    print(json.dumps(row, indent=2))
    if flags.write:
        common.append([row], flags.results)


if __name__ == "__main__":
    main()
