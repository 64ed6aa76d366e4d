"""How does the memory of a train step grow with time steps, batch and chunk?

    python -m benchmarks.memory --workload=W2 --steps=8,100 --batches=4 --time_chunks=0,4
    python -m benchmarks.memory --workload=W2 --steps=8,100 --batches=4 --time_chunks=0,4 --run
    python -m benchmarks.memory --preset=cifar10_vgg9 --steps=100 --batches=64 --time_chunks=0,20

Compiles each setting and prints XLA's temporaries, arguments and outputs in MB, and their growth from the first to the
last number of steps. Nothing is run, except with `--run`, which takes one train step of each setting in a fresh process
and adds the peak of that process. Appends to benchmarks/results/<device>/memory.jsonl.
"""

import argparse
import itertools
import subprocess
import sys
from typing import Any

import jax

from benchmarks import common, presets, train_step, workloads
from experiments import cifar10
from jaxsnn import training
from jaxsnn.compiling import compile_large
from jaxsnn.lab import build
from jaxsnn.lab.splits import split

PEAK = """
import jax
from benchmarks import common, train_step, workloads
step, params, arguments = train_step.build(workloads.Network(*{network!r}), {rule!r}, {chunk})
for _ in range(2):
    params, _ = jax.block_until_ready(step.compiled(params, *arguments))
print(common.process_peak_mb())
"""


def compiled(network: workloads.Network, rule: str, chunk: int) -> dict[str, float]:
    """What the train step would take, in MB."""
    return train_step.memory_mb(train_step.compile_step(network, *train_step.network(network, rule, chunk)).compiled)


def of_preset(name: str, steps: int, batch: int, chunk: int) -> dict[str, float]:
    """What the train step of an experiment would take, in MB; the data set counts as an argument, with two batches."""
    config = cifar10.PRESETS[name]().replace(
        time_steps=steps, batch_size=batch, time_chunk=chunk, validation=batch, limit=0
    )
    data = presets.made_up(config, 2 * batch)
    program, sets = build.build(config, data), split(config, data)
    order = training.epoch_order(0, 0, batch)
    step = jax.jit(program.step, donate_argnums=0)
    return train_step.memory_mb(compile_large(step.lower(program.start(0), *sets.fitting, order)))


def peak(network: workloads.Network, rule: str, chunk: int) -> int:
    """Largest resident size of a fresh process that takes two steps, in MB."""
    code = PEAK.format(network=tuple(network), rule=rule, chunk=chunk)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def measure(flags: argparse.Namespace, steps: int, batch: int, chunk: int) -> dict[str, Any]:
    """One setting."""
    if flags.preset:
        return of_preset(flags.preset, steps, batch, chunk)
    network = workloads.NETWORKS[flags.workload]._replace(steps=steps, batch=batch)
    results: dict[str, Any] = compiled(network, flags.rule, chunk)
    if flags.run:
        results["process_peak_mb"] = peak(network, flags.rule, chunk)
    return results


def main() -> None:
    """Compiles, prints, and appends to the results."""
    parser = common.parser(__doc__)
    parser.add_argument("--workload", default="W2", choices=workloads.NETWORKS, help="network and input size")
    parser.add_argument("--preset", choices=list(cifar10.PRESETS), help="instead of a workload: of an experiment")
    parser.add_argument("--rule", default="spikebp", choices=train_step.RULES, help="gradient")
    parser.add_argument("--steps", default="8,100", help="numbers of time steps")
    parser.add_argument("--batches", default="4", help="batch sizes")
    parser.add_argument("--time_chunks", default="0,4", help="steps per chunk; 0 for all at once")
    parser.add_argument("--run", action="store_true", help="take steps too, each setting in a fresh process")
    flags = parser.parse_args()
    if flags.preset and (flags.run or flags.rule != "spikebp"):
        parser.error("--run and --rule go with --workload, not with --preset")

    counts, batches, chunks = (
        [int(number) for number in text.split(",")] for text in (flags.steps, flags.batches, flags.time_chunks)
    )
    found: dict[tuple[int, int, int], dict[str, Any]] = {}
    for batch, chunk, steps in itertools.product(batches, chunks, counts):
        results = measure(flags, steps, batch, chunk)
        found[batch, chunk, steps] = results
        shown = ", ".join(f"{name} {value:g}" for name, value in results.items())
        print(f"B={batch} time_chunk={chunk} T={steps}: {shown}", flush=True)
    first, last = counts[0], counts[-1]
    for batch, chunk in itertools.product(batches, chunks if last != first else ()):
        for name, value in found[batch, chunk, last].items():
            growth = value / found[batch, chunk, first][name]
            print(f"B={batch} time_chunk={chunk} T={first} -> {last}: {name} x {growth:.2f}")
    if flags.write:
        rows = []
        for (batch, chunk, steps), results in found.items():
            options = {"rule": flags.rule, "batch": batch, "time_chunk": chunk, "steps": steps}
            rows.append(common.row("memory", flags.preset or flags.workload, "jaxsnn", options, results))
        common.append(rows, flags.results)


if __name__ == "__main__":
    main()
