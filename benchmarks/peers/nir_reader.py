"""Runs a NIR graph by another library's own importer; called by `benchmarks.peers.graphs`, in the libraries' Python.

    python -m benchmarks.peers.nir_reader snntorch network.nir input.npy 0.99 0.0001

Prints JSON: the classes that it answers, by what reaches the output, added up over time with this leak; or its error.
The last number is the seconds of a time step.
"""

import json
import sys
from typing import Any

import nir
import numpy as np
import torch


def _snntorch(graph: Any, dt: float) -> Any:
    from snntorch.import_nir import import_from_nir

    return import_from_nir(graph)


def _norse(graph: Any, dt: float) -> Any:
    from norse.torch.utils.import_nir import from_nir

    return from_nir(graph, dt=dt)


IMPORTERS = {"snntorch": _snntorch, "norse": _norse}


def classes(library: str, path: str, x: np.ndarray, leak: float, dt: float) -> list[int]:
    """The answers to `x` `[T, N, ...]`, channels first, sample by sample: importers disagree about the batch."""
    found = []
    for sample in range(x.shape[1]):
        network = IMPORTERS[library](nir.read(path), dt)  # anew: some keep their membranes inside
        state, total = None, np.zeros(1)
        with torch.no_grad():
            for step in torch.from_numpy(x[:, sample]):
                output = network(step) if state is None else network(step, state)
                output, state = output if isinstance(output, tuple) else (output, None)
                total = leak * total + np.asarray(output, np.float64).ravel()
        found.append(int(np.argmax(total)))
    return found


if __name__ == "__main__":
    try:
        library, path, spikes, leak, dt = sys.argv[1:]
        said: dict[str, Any] = {"classes": classes(library, path, np.load(spikes), float(leak), float(dt))}
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(said))
