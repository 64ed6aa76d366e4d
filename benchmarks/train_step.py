"""How long does one train step take, and how much memory? (forward, backward, SGD on random spikes of rate 0.3)

    python -m benchmarks.train_step --workload=W1 --rule=spikebp --time_chunk=0 --repeats=9

Prints the median and spread in milliseconds, the seconds of tracing and compiling, XLA's temporaries and the peak of
the process, and appends them as a JSON line to benchmarks/results/<device>/train_step.jsonl.
"""

import json
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks import common
from jaxsnn import losses, models, neurons

RULES: dict[str, neurons.Neurons] = {
    "spikebp": neurons.spikebp(),
    "spikebp-bits": neurons.spikebp(pack_spikes=True),
    "arctan": neurons.lif(),
}


class Step(NamedTuple):
    """A compiled train step and what it cost to get it; `compiled(params, *arguments) -> (params, loss)`."""

    compiled: Any
    trace_s: float
    compile_s: float


def network(workload: common.Network, rule: str = "spikebp", time_chunk: int = 0) -> tuple[models.Apply, Any, Any]:
    """`(apply, params, state)` of the workload's model, in chunks of `time_chunk` steps (0: all at once)."""
    model = models.create(
        workload.model,
        input_shape=workload.input_shape,
        num_classes=common.CLASSES,
        neurons=RULES[rule],
        rngs=nnx.Rngs(0),
    )
    apply, params, state = models.functionalize(model)
    return (models.in_chunks(apply, time_chunk) if time_chunk else apply), params, state


def compile_step(workload: common.Network, apply: models.Apply, params: Any, state: Any) -> Step:
    """Compiles forward, backward and SGD for the workload's shapes; nothing is run."""

    def objective(params, x, labels):
        return losses.squared_error(apply(params, state, x, train=True)[0].logits, labels)

    def step(params, x, labels):
        loss, gradients = jax.value_and_grad(objective)(params, x, labels)
        return jax.tree.map(lambda p, g: p - common.LEARNING_RATE * g, params, gradients), loss

    x = jax.ShapeDtypeStruct((workload.steps, workload.batch, *workload.input_shape), jnp.float32)
    labels = jax.ShapeDtypeStruct((workload.batch,), jnp.int32)
    began = time.perf_counter()
    lowered = jax.jit(step, donate_argnums=0).lower(params, x, labels)
    traced = time.perf_counter()
    compiled = lowered.compile()
    return Step(compiled, round(traced - began, 2), round(time.perf_counter() - traced, 2))


def build(workload: common.Network, rule: str = "spikebp", time_chunk: int = 0) -> tuple[Step, Any, tuple]:
    """`(step, params, (x, labels))`: call `params, loss = step.compiled(params, x, labels)`."""
    apply, params, state = network(workload, rule, time_chunk)
    step = compile_step(workload, apply, params, state)
    return step, params, (jnp.asarray(common.spikes(workload)), jnp.asarray(common.labels(workload)))


def memory_mb(compiled: Any) -> dict[str, float]:
    """What the compiled program needs: temporaries, arguments and outputs."""
    memory = compiled.memory_analysis()
    if not memory:
        return {}
    parts = {"temporary": "temp", "argument": "argument", "output": "output"}
    return {f"{name}_mb": round(getattr(memory, f"{part}_size_in_bytes") / 1e6, 1) for name, part in parts.items()}


def measure(workload: common.Network, rule: str, time_chunk: int, repeats: int) -> dict[str, Any]:
    """Times the step after two untimed ones."""
    step, params, arguments = build(workload, rule, time_chunk)
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        params, _ = jax.block_until_ready(step.compiled(params, *arguments))
        times.append(1e3 * (time.perf_counter() - began))
    return {
        **common.summary(times[2:]),
        "trace_s": step.trace_s,
        "compile_s": step.compile_s,
        **memory_mb(step.compiled),
        "process_peak_mb": common.process_peak_mb(),
    }


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = common.parser(__doc__)
    parser.add_argument("--workload", default="W1", choices=common.NETWORKS, help="what to time")
    parser.add_argument("--steps", type=int, help="time steps, if not those of the workload")
    parser.add_argument("--batch", type=int, help="batch size, if not that of the workload")
    parser.add_argument("--rule", default="spikebp", choices=RULES, help="gradient")
    parser.add_argument("--time_chunk", type=int, default=0, help="steps per chunk; 0 for all at once")
    parser.add_argument("--repeats", type=int, default=9, help="timed steps, after two untimed ones")
    flags = parser.parse_args()

    named = common.NETWORKS[flags.workload]
    workload = named._replace(steps=flags.steps or named.steps, batch=flags.batch or named.batch)
    options: dict[str, Any] = {"rule": flags.rule, "time_chunk": flags.time_chunk}
    if workload != named:
        options |= {"steps": workload.steps, "batch": workload.batch}
    result = measure(workload, flags.rule, flags.time_chunk, flags.repeats)
    row = common.row("train_step", flags.workload, "jaxsnn", options, result)
    print(json.dumps(row, indent=2))
    if flags.write:
        common.append([row])


if __name__ == "__main__":
    main()
