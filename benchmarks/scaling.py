"""What does it cost to share a batch among devices and processes?

    python -m benchmarks.scaling --devices=1,2,4,8            # one process
    python -m benchmarks.scaling --devices=8 --processes=2    # over 127.0.0.1, each process with half the samples
    python -m benchmarks.scaling --estimate                   # on paper, for accelerators

Measures the train step of the digits preset (global batch constant) on fake devices, each setting in fresh processes.
Fake devices share the cores of this machine, so a step cannot become faster. Measured is the CPU time of a step, of all
processes together: what is more than on one device is the overhead of dividing the work. Collectives are read from the
compiled program. Appends to benchmarks/results/<device>/scaling.jsonl.

`--estimate` prints the table of docs/scaling.md: gradients summed by a ring, nothing overlapped, at speeds that are
assumed (`--tflops`, `--gigabytes`, `--latency`).
"""

import argparse
import json
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

import jax
from flax import nnx

from benchmarks import common, train_step
from experiments import digits
from jaxsnn import analysis, models, parallel, training
from jaxsnn.compiling import compile_large
from jaxsnn.data import load
from jaxsnn.lab import build
from jaxsnn.lab.splits import split

BYTES = {"f32": 4, "s32": 4, "u32": 4, "u8": 1, "pred": 1}
COLLECTIVES = ("all-reduce", "reduce-scatter", "all-gather", "all-to-all", "collective-permute")


def traffic(text: str) -> dict[str, float]:
    """Megabytes that the collectives of a compiled program return per device, by the kinds that it has."""
    found: dict[str, float] = {}
    for shapes, kind in re.findall(rf"= (.*?) ({'|'.join(COLLECTIVES)})(?:-start)?\(", text):
        for dtype, sizes in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            size = BYTES[dtype] * math.prod(int(n) for n in sizes.split(",") if n)
            found[kind] = found.get(kind, 0) + size / 1e6
    return found


def measure(devices: int, batch: int, repeats: int, *, multihost: bool) -> dict[str, Any]:
    """Takes train steps in this process, which has its share of the devices."""
    config = digits.digits().replace(data_parallel=devices, multihost=multihost, batch_size=batch)
    data = load("digits")
    program, sets = build.build(config, data), split(config, data)
    state = program.start(0)
    order = training.epoch_order(state.seed, 0, len(sets.fitting.labels))
    compiled = compile_large(jax.jit(program.step, donate_argnums=0).lower(state, *sets.fitting, order))
    times = []
    for number in range(repeats + 2):
        began = time.process_time()
        state = jax.block_until_ready(compiled(state, *sets.fitting, order))
        if number >= 2:
            times.append(1e3 * (time.process_time() - began))
    moved = traffic(compiled.as_text() or "")
    return {
        "cpu_ms": round(statistics.median(times), 1),
        "steps_timed": repeats,
        **train_step.memory_mb(compiled),
        "all_reduce_mb": round(moved.pop("all-reduce", 0), 3),
        "other_collectives": ", ".join(f"{kind} {1e3 * size:.1f} kB" for kind, size in moved.items()) or "none",
    }


def run(devices: int, processes: int, batch: int, repeats: int) -> dict[str, Any]:
    """Measures one setting in fresh processes; returns what process 0 found, and the CPU time of all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices // processes}"
    command = [sys.executable, "-m", "benchmarks.scaling", f"--devices={devices}", f"--processes={processes}"]
    command += [f"--batch={batch}", f"--repeats={repeats}", f"--coordinator={coordinator}"]
    started = [
        subprocess.Popen(
            [*command, f"--process_id={number}"],
            env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError("a process failed, see above")
    found = [json.loads(text.splitlines()[-1]) for text in printed]
    return found[0] | {"cpu_ms": round(sum(each["cpu_ms"] for each in found), 1)}


class Workload(NamedTuple):
    """A network of the estimate."""

    model: str
    input_shape: tuple[int, int, int]
    steps: int
    batch: int


WORKLOADS = {
    "LeNet, MNIST": Workload("lenet", (28, 28, 1), 100, 64),
    "VGG9, CIFAR-10": Workload("vgg9", (32, 32, 3), 100, 64),
    "ResNet11, CIFAR-10": Workload("resnet11", (32, 32, 3), 100, 64),
}


class Estimate(NamedTuple):
    """One train step on paper."""

    parameters: int
    gradient_mb: float
    """What is summed over the devices, 10^6 bytes of float32."""
    compute_ms: float
    """Forward and backward of one device's part of the batch."""
    communicate_ms: float
    """A ring's sum: every device sends and receives 2 (n - 1) / n of the gradients, in 2 (n - 1) messages."""

    @property
    def efficiency(self) -> float:
        """Part of the step that is not spent on the sum, none of it overlapped."""
        return self.compute_ms / (self.compute_ms + self.communicate_ms)


def estimate(
    workload: Workload, devices: int, batch: int, *, tflops: float, gigabytes: float, latency: float
) -> Estimate:
    """Estimates a train step from counted weights and operations, and assumed speeds.

    Args:
      workload: network, input size and T.
      devices: how many share the work.
      batch: samples per device.
      tflops: 10^12 operations per second that a device sustains on this work.
      gigabytes: 10^9 bytes per second that a device sends, and receives, at once.
      latency: seconds per message.
    """
    module = nnx.eval_shape(
        lambda: models.create(workload.model, input_shape=workload.input_shape, num_classes=10, rngs=nnx.Rngs(0))
    )
    parameters = sum(math.prod(kernel.shape) for kernel in jax.tree.leaves(nnx.state(module, nnx.Param)))
    # two operations per synapse and step, forward, and twice that backward: gradients of input and of weights
    macs = sum(analysis.dense_operations(c) for c in models.connections(module) if c.kind in ("conv", "dense"))
    operations = 3 * 2 * macs * workload.steps * batch
    size = 4 * parameters
    seconds = 2 * (devices - 1) / devices * size / (1e9 * gigabytes) + 2 * (devices - 1) * latency
    return Estimate(parameters, size / 1e6, 1e3 * operations / (1e12 * tflops), 1e3 * seconds)


def print_estimates(tflops: float, gigabytes: float, latency: float) -> None:
    """Prints the table of docs/scaling.md."""
    print("| network | weights | gradients [MB] | devices | batch | compute [ms] | sum [ms] | efficiency |")
    print("|---|---|---|---|---|---|---|---|")
    for name, workload in WORKLOADS.items():
        for devices, batch in ((8, workload.batch), (64, workload.batch), (8, workload.batch * 8)):
            found = estimate(workload, devices, batch // devices, tflops=tflops, gigabytes=gigabytes, latency=latency)
            numbers = f"{found.parameters:,} | {found.gradient_mb:.1f} | {devices} | {batch}"
            times = f"{found.compute_ms:.2f} | {found.communicate_ms:.2f} | {100 * found.efficiency:.0f} %"
            print(f"| {name} | {numbers} | {times} |")


def main() -> None:
    """Measures and prints every setting, and appends to the results; or prints estimates."""
    parser = common.parser(__doc__)
    parser.add_argument("--devices", default="1,2,4,8", help="numbers of fake devices, of all processes together")
    parser.add_argument("--processes", type=int, default=1, help="how many share them")
    parser.add_argument("--batch", type=int, default=64, help="samples per step, of all devices together")
    parser.add_argument("--repeats", type=int, default=10, help="timed steps")
    parser.add_argument("--estimate", action="store_true", help="print the estimate for accelerators instead")
    parser.add_argument(
        "--tflops", type=float, default=10.0, help="estimate: 10^12 operations/s that a device sustains"
    )
    parser.add_argument("--gigabytes", type=float, default=50.0, help="estimate: 10^9 bytes/s of a device's links")
    parser.add_argument("--latency", type=float, default=1e-5, help="estimate: seconds per message")
    parser.add_argument("--coordinator", help=argparse.SUPPRESS)
    parser.add_argument("--process_id", type=int, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.estimate:
        print_estimates(flags.tflops, flags.gigabytes, flags.latency)
        return
    counts = [int(number) for number in flags.devices.split(",")]
    if wrong := [n for n in counts if n % flags.processes or flags.batch % n]:
        parser.error(f"{wrong[0]} devices: neither the processes nor the batch may leave a remainder")
    if flags.process_id is not None:
        if flags.processes > 1:
            parallel.start(flags.coordinator, flags.processes, flags.process_id)
        found = measure(counts[0], flags.batch, flags.repeats, multihost=flags.processes > 1)
        print(json.dumps(found), flush=True)
        return
    rows = []
    for devices in counts:
        results = run(devices, flags.processes, flags.batch, flags.repeats)
        options = {"devices": devices, "processes": flags.processes, "batch": flags.batch}
        shown = ", ".join(f"{name} {value}" for name, value in results.items())
        print(f"{devices} devices, {flags.processes} processes: {shown}", flush=True)
        rows.append(common.row("scaling", "digits", "jaxsnn", options, results))
    if flags.write:
        common.append(rows, flags.results)


if __name__ == "__main__":
    main()
