"""What every benchmark shares: options, statistics, and one JSON line per result.

Nothing here needs jax, so that the workers of other libraries (`benchmarks.peers`) can use it in their own environment.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PEERS = ROOT / ".venv-peers" / "bin" / "python"
"""Python of `make peers`."""
TUNED = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456"
)
"""GLIBC_TUNABLES as the Makefile sets it, and `jaxsnn.startup`, which is not imported here, as it comes with jax."""


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """Command-line options of a benchmark, with `--no-write` and `--results`."""
    made = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--write", default=True, action=argparse.BooleanOptionalAction, help="append to the results")
    made.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    return made


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
    """Commit of the code, `-dirty` if the code (results and this folder's README aside) differs from it.

    Where there is no repository or no git, `sources-` and a digest.
    """
    if not shutil.which("git"):
        return f"sources-{sources()}"
    git = ["git", "-C", str(ROOT)]
    changed = [*git, "status", "--porcelain", "-uno", "--", ".", ":!benchmarks/results", ":!benchmarks/README.md"]
    name, status = (
        subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        for command in ([*git, "rev-parse", "--short", "HEAD"], changed)
    )
    return name + ("-dirty" if status else "") if name else f"sources-{sources()}"


def sources() -> str:
    """A digest of all sources that a benchmark runs: the same for the same code."""
    digest = hashlib.sha256()
    for folder in ("benchmarks", "experiments", "jaxsnn"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


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
