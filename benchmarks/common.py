"""What every benchmark shares: workloads, inputs, statistics, and one JSON line per result.

Nothing here needs jax, so that the workers of other libraries (`benchmarks.peers`) can use it in their own environment.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RESULTS = Path(__file__).parent / "results"
RATE, CLASSES, LEARNING_RATE = 0.3, 10, 1e-4
LEAK, THRESHOLD, POOL_THRESHOLD = 0.99, 1.0, 0.75
TUNED = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456"
)
"""GLIBC_TUNABLES as the Makefile sets it."""


class Network(NamedTuple):
    """A network and the size of its input."""

    model: str
    input_shape: tuple[int, int, int]
    steps: int
    batch: int


class Neurons(NamedTuple):
    """One layer of LIF neurons without synapses."""

    steps: int
    batch: int
    neurons: int


NETWORKS = {
    "W1": Network("lenet", (28, 28, 1), 50, 64),
    "W1-T20": Network("lenet", (28, 28, 1), 20, 64),
    "W2": Network("vgg9", (32, 32, 3), 16, 8),
    "W2-T8-B4": Network("vgg9", (32, 32, 3), 8, 4),
    "W2-T100-B4": Network("vgg9", (32, 32, 3), 100, 4),
    "tiny": Network("lenet", (8, 8, 1), 4, 2),
}
NEURONS = {
    "W3": Neurons(100, 1, 2**20),
    "W3-T16": Neurons(16, 64, 65536),
    "W3-T32": Neurons(32, 64, 65536),
    "tiny-neurons": Neurons(4, 2, 64),
}
PLANS = {
    "lenet": ("conv5 20", "pool", "conv5 50", "pool", "flatten", "dense 200", "readout"),
    "vgg9": (
        *("conv3 64", "conv3 64", "pool", "conv3 128", "conv3 128", "pool"),
        *("conv3 256", "conv3 256", "conv3 256", "pool", "flatten", "dense 1024", "readout"),
    ),
}
"""The networks of `jaxsnn.models`, for whoever builds them in another library; a test compares the weights."""


class Layer(NamedTuple):
    """Synapses of one layer, followed by neurons of `[height, width, features]` (1 x 1 for dense ones)."""

    kind: str
    inputs: int
    features: int
    kernel: int
    height: int
    width: int

    @property
    def weights(self) -> int:
        """Number of weights; also multiply-accumulates per output position."""
        return 0 if self.kind == "pool" else self.inputs * self.features * self.kernel**2

    @property
    def neurons(self) -> int:
        return self.height * self.width * self.features


def layers(network: Network) -> Iterator[Layer]:
    """The layers of a network, in order."""
    height, width, channels = network.input_shape
    for entry in PLANS[network.model]:
        kind, _, features = entry.partition(" ")
        if kind == "pool":
            height, width = height // 2, width // 2
            yield Layer("pool", channels, channels, 2, height, width)
        elif kind.startswith("conv"):
            yield Layer("conv", channels, int(features), int(kind[-1]), height, width)
            channels = int(features)
        elif kind == "flatten":
            channels, height, width = channels * height * width, 1, 1
            yield Layer("flatten", channels, 0, 1, 1, 1)
        else:
            yield Layer(kind, channels, int(features or CLASSES), 1, 1, 1)
            channels = int(features or CLASSES)


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """Command-line options of a benchmark, with `--no-write`."""
    made = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument(
        "--write", default=True, action=argparse.BooleanOptionalAction, help="append to benchmarks/results"
    )
    return made


def spikes(network: Network) -> np.ndarray:
    """Random input spikes `[T, B, H, W, C]`, the same for every library."""
    shape = (network.steps, network.batch, *network.input_shape)
    return (np.random.default_rng(0).random(shape, np.float32) < RATE).astype(np.float32)


def labels(network: Network) -> np.ndarray:
    """Class numbers `[B]`."""
    return np.arange(network.batch, dtype=np.int32) % CLASSES


def currents(neurons: Neurons) -> tuple[np.ndarray, np.ndarray]:
    """Currents that make neurons fire at about every third step, and what arrives backwards; each `[T, B, neurons]`."""
    shape, rng = (neurons.steps, neurons.batch, neurons.neurons), np.random.default_rng(0)
    return rng.random(shape, np.float32), rng.random(shape, np.float32) - np.float32(0.5)


def summary(times: Sequence[float]) -> dict[str, Any]:
    """Statistics of milliseconds."""
    return {
        "n": len(times),
        "median_ms": _rounded(statistics.median(times)),
        "min_ms": _rounded(min(times)),
        "max_ms": _rounded(max(times)),
    }


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 1 if milliseconds >= 100 else 3)


def malloc() -> str:
    """How this process allocates memory: `tuned` as the Makefile does, `default`, or `other`."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if tunables == TUNED:
        return "tuned"
    return "other" if "malloc" in tunables or any(name.startswith("MALLOC_") for name in os.environ) else "default"


def process_peak_mb() -> int:
    """Largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike ru_maxrss this does not start from the peak of the process that started this one
        fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        if "VmHWM" in fields:
            return round(int(fields["VmHWM"].split()[0]) * 1024 / 1e6)
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def device() -> str:
    """Folder name of the device that jax uses, e.g. `cpu-cpu`."""
    import jax

    return f"{jax.default_backend()}-{jax.devices()[0].device_kind}".lower().replace(" ", "-")


def versions(*packages: str) -> dict[str, str]:
    """Versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Commit of the code, `-dirty` if the code (results and this folder's README aside) differs from it."""
    git = ["git", "-C", str(RESULTS.parents[1])]
    changed = [*git, "status", "--porcelain", "-uno", "--", ".", ":!benchmarks/results", ":!benchmarks/README.md"]
    name, status = (
        subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        for command in ([*git, "rev-parse", "--short", "HEAD"], changed)
    )
    return (name or "unknown") + ("-dirty" if status else "")


def row(benchmark: str, workload: str, library: str, options: dict[str, Any], results: dict[str, Any]) -> dict:
    """One result with what it must be stated with; `results` may bring the malloc setting and versions of a worker."""
    return {
        "benchmark": benchmark,
        "workload": workload,
        "library": library,
        "options": options,
        "malloc": malloc(),
        **results,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "versions": results.get("versions") or versions("jax", "jaxlib", "flax", "numpy"),
    }


def append(rows: Sequence[dict[str, Any]], results: Path = RESULTS) -> Path:
    """Writes rows to `<results>/<device>/<benchmark>.jsonl`; returns the last file written to."""
    folder = results / device()
    folder.mkdir(parents=True, exist_ok=True)
    for entry in rows:
        path = folder / f"{entry['benchmark']}.jsonl"
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a results file, oldest first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def key(entry: dict[str, Any]) -> tuple[str, ...]:
    """What identifies a setting: rows with the same key are the same measurement at different times."""
    return (*(entry[name] for name in ("benchmark", "workload", "library", "malloc")), json.dumps(entry["options"]))
