"""The resident process of one library: builds a step, then runs it whenever a line asks for it.

    python -m benchmarks.peers.worker <library> <workload> '<options as JSON>' <threads>

Requests are lines on standard input, answers JSON lines on standard output: `step` runs one step and answers
`{"ms": ...}`; `about` answers the largest resident size so far, versions, device and malloc setting. The module
`benchmarks.peers.<library>` gives `network(workload, **options)` and `neurons(workload, **options)`: each returns a
function that runs one step to its end and returns a number (its loss), and has `PACKAGES`, whose versions are reported.
"""

import importlib
import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import common, workloads


def about(library: Any) -> dict[str, Any]:
    """Peak memory, versions and malloc setting of this process."""
    found = {
        "process_peak_mb": common.process_peak_mb(),
        "malloc": common.malloc(),
        "versions": common.versions(*library.PACKAGES),
    }
    device_peak = getattr(library, "device_peak_mb", lambda: None)()
    return found | ({} if device_peak is None else {"device_peak_mb": device_peak})


def timed(step: Callable[[], float]) -> dict[str, Any]:
    """Runs one step."""
    began = time.perf_counter()
    loss = step()
    milliseconds = 1e3 * (time.perf_counter() - began)
    if not math.isfinite(loss):
        raise ArithmeticError(f"the loss is {loss}")
    return {"ms": milliseconds, "loss": loss}


def main() -> None:
    """Builds and serves until standard input ends."""
    name, workload, options, threads = sys.argv[1:5]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error
    if hasattr(os, "sched_setaffinity"):  # every library takes its number of threads from it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    library = importlib.import_module(f"benchmarks.peers.{name}")
    if workload in workloads.NETWORKS:
        step = library.network(workloads.NETWORKS[workload], **json.loads(options))
    else:
        step = library.neurons(workloads.NEURONS[workload], **json.loads(options))
    requests = {"step": lambda: timed(step), "about": lambda: about(library)}
    for line in sys.stdin:
        print(json.dumps(requests[line.strip()]()), file=answers, flush=True)


if __name__ == "__main__":
    main()
