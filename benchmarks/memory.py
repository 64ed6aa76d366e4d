"""How does the memory of a train step grow with time steps, batch and chunk?

    python -m benchmarks.memory --workload=W2 --steps=8,100 --batches=4 --time_chunks=0,4
    python -m benchmarks.memory --workload=W2 --steps=8,100 --batches=4 --time_chunks=0,4 --run

Compiles each setting and prints XLA's temporaries, arguments and outputs in MB, and their growth from the first to the
last number of steps. Nothing is run, except with `--run`, which takes one train step of each setting in a fresh process
and adds the peak of that process. Appends to benchmarks/results/<device>/memory.jsonl.
"""

import itertools
import subprocess
import sys
from typing import Any

from benchmarks import common, train_step

PEAK = """
import jax
from benchmarks import common, train_step
step, params, arguments = train_step.build(common.Network(*{network!r}), {rule!r}, {chunk})
for _ in range(2):
    params, _ = jax.block_until_ready(step.compiled(params, *arguments))
print(common.process_peak_mb())
"""


def compiled(network: common.Network, rule: str, chunk: int) -> dict[str, float]:
    """What the train step would take, in MB."""
    return train_step.memory_mb(train_step.compile_step(network, *train_step.network(network, rule, chunk)).compiled)


def peak(network: common.Network, rule: str, chunk: int) -> int:
    """Largest resident size of a fresh process that takes two steps, in MB."""
    code = PEAK.format(network=tuple(network), rule=rule, chunk=chunk)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Compiles, prints, and appends to the results."""
    parser = common.parser(__doc__)
    parser.add_argument("--workload", default="W2", choices=common.NETWORKS, help="network and input size")
    parser.add_argument("--rule", default="spikebp", choices=train_step.RULES, help="gradient")
    parser.add_argument("--steps", default="8,100", help="numbers of time steps")
    parser.add_argument("--batches", default="4", help="batch sizes")
    parser.add_argument("--time_chunks", default="0,4", help="steps per piece; 0 for all at once")
    parser.add_argument("--run", action="store_true", help="take steps too, each setting in a fresh process")
    flags = parser.parse_args()

    counts, batches, chunks = (
        [int(number) for number in text.split(",")] for text in (flags.steps, flags.batches, flags.time_chunks)
    )
    found: dict[tuple[int, int, int], dict[str, Any]] = {}
    for batch, chunk, steps in itertools.product(batches, chunks, counts):
        network = common.NETWORKS[flags.workload]._replace(steps=steps, batch=batch)
        results: dict[str, Any] = compiled(network, flags.rule, chunk)
        if flags.run:
            results["process_peak_mb"] = peak(network, flags.rule, chunk)
        found[batch, chunk, steps] = results
        shown = ", ".join(f"{name} {value:g}" for name, value in results.items())
        print(f"B={batch} time_chunk={chunk} T={steps}: {shown}", flush=True)
    first, last = counts[0], counts[-1]
    for batch, chunk in itertools.product(batches, chunks):
        for name, value in found[batch, chunk, last].items():
            growth = value / found[batch, chunk, first][name]
            print(f"B={batch} time_chunk={chunk} T={first} -> {last}: {name} x {growth:.2f}")
    if flags.write:
        rows = []
        for (batch, chunk, steps), results in found.items():
            options = {"rule": flags.rule, "batch": batch, "time_chunk": chunk, "steps": steps}
            rows.append(common.row("memory", flags.workload, "jaxsnn", options, results))
        common.append(rows)


if __name__ == "__main__":
    main()
