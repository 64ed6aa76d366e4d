"""Do other libraries' own NIR importers give the answers of our networks?

    make peers                          # once: the environment of the other libraries, .venv-peers
    python -m benchmarks.peers.graphs
    python -m benchmarks.peers.graphs --graph=tests/interchange/nir/braille_noDelay_bias_zero.nir

Trains small networks on the embedded digits, exports each as a NIR graph, and runs it on the same input spikes of 100
test digits by the importers of snnTorch and Norse: whole, and without the readout's leaky integrator, which is then
computed here. Prints a Markdown table: how many answers are ours, or the error.

With --graph: the same of a graph that another tool wrote and whose output neurons fire, on random spikes (256 steps of
0.1 ms, rate 0.1), by our importer with other resets and time steps, and by those of the libraries.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from jaxsnn import interchange, lab, models
from jaxsnn.data import load
from jaxsnn.lab import export, run
from jaxsnn.lab.digits import digits
from jaxsnn.training import key_for
from jaxsnn.training.state import EVALUATE

SHARED: dict[str, Any] = {"seeds": 1, "epochs": 4, "gradient": "bptt", "figures": False, "progress": False}
NETWORKS: dict[str, dict[str, Any]] = {
    "LeNet, spiking pools": {},
    "LeNet, average pools": {"pool": "average"},
    "dense layers": {"model": "mlp", "hidden": (100,)},
}
LIBRARIES = ("snntorch", "norse")
DT = 1e-4
"""Seconds of a time step: snnTorch's importer knows no other."""


def without_readout(path: Path) -> Path:
    """The graph with the currents of the readout as its output, beside the whole."""
    import nir

    graph = nir.read(path)
    (name,) = [source for source, target in graph.edges if target == "output"]
    edges = [(a, "output" if b == name else b) for a, b in graph.edges if a != name]
    nodes = {label: node for label, node in graph.nodes.items() if label != name}
    bare = path.with_name("bare.nir")
    nir.write(bare, nir.NIRGraph(nodes, edges, metadata=graph.metadata))
    return bare


def answers(library: str, path: Path, spikes: Path, leak: float, python: str) -> Any:
    """The classes, or the error in words."""
    command = [python, "-m", "benchmarks.peers.nir_reader", library, str(path), str(spikes), str(leak), str(DT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return f"stopped: {done.stderr.strip().splitlines()[-1:]}"
    return np.array(said["classes"]) if "classes" in said else said["error"]


def of_graph(path: Path, samples: int, python: str) -> list[list[str]]:
    """Rows of a table: who reads the graph, and how many answers are those of its definition."""
    import nir

    (size,) = next(node for node in nir.read(path).nodes.values() if isinstance(node, nir.Input)).input_type["input"]
    x = (np.random.default_rng(0).random((256, samples, size)) < 0.1).astype(np.float32)

    def ours(**options: Any) -> tuple[np.ndarray, float]:
        read = interchange.from_nir(path, readout="mean", **{"dt": DT} | options)
        output, _ = jax.jit(models.functionalize(read.model)[0])(read.params, read.model_state, jnp.asarray(x))
        sent = np.asarray(output.potentials)
        return sent.sum(0).argmax(-1), float(sent.sum() / samples)

    defined, spikes = ours()
    rows = [["read by", "answers", "output spikes per sample"], ["---"] * 3]
    rows.append(["ours, as NIR says (Euler, dt = 0.1 ms, reset to a value)", "all", f"{spikes:.1f}"])
    others: dict[str, dict[str, Any]] = {"ours, reset by subtraction": {"reset": "subtract"}}
    others |= {f"ours, dt = {dt * 1e3:g} ms": {"dt": dt} for dt in (5e-5, 2e-4)}
    for title, options in others.items():
        try:
            found, spikes = ours(**options)
        except ValueError as error:
            rows.append([title, f"refused: {error}"[:120], ""])
        else:
            rows.append([title, f"{int((found == defined).sum())} of {samples} alike", f"{spikes:.1f}"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "input.npy"
        np.save(file, x)
        for library in LIBRARIES:
            theirs = answers(library, path, file, 1.0, python)
            said = theirs if isinstance(theirs, str) else f"{int((theirs == defined).sum())} of {samples} alike"
            rows.append([f"{library}'s importer", said.replace("|", "/").replace("\n", " ")[:120], ""])
    return rows


def main() -> None:
    """Trains, exports, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=str(common.PEERS), help="Python of the other libraries")
    parser.add_argument("--samples", type=int, default=100, help="test digits, or random trains of spikes")
    parser.add_argument("--graph", type=Path, help="a file, instead of networks of ours")
    flags = parser.parse_args()
    if flags.graph:
        print_table(of_graph(flags.graph, flags.samples, flags.python))
        return
    samples = load("digits").test.samples[: flags.samples]
    rows = [["network", "graph", "test accuracy", *LIBRARIES], ["---"] * (3 + len(LIBRARIES))]
    with tempfile.TemporaryDirectory() as folder:
        for number, (title, fields) in enumerate(NETWORKS.items()):
            where = Path(folder) / str(number)
            run.run(digits().replace(**SHARED, **fields, run_dir=str(where)), "digits")
            path = export.export(where, "nir", which="last", dt=DT)
            net = lab.load_run(where, which="last")
            x = net.prepare(key_for(0, EVALUATE, 1), samples)
            output, _ = net.apply(net.params, net.model_state, x)
            ours = np.asarray(output.logits).argmax(-1)
            spikes = Path(folder) / "input.npy"
            np.save(spikes, np.moveaxis(np.asarray(x, np.float32), -1, 2))
            accuracy = json.loads((where / "results.json").read_text(encoding="utf-8"))["test_accuracy"]["mean"]
            for graph, file in {"whole": path, "without the readout's LI": without_readout(path)}.items():
                cells = []
                for library in LIBRARIES:
                    leak = net.config.network.leak if file != path else 1.0
                    theirs = answers(library, file, spikes, leak, flags.python)
                    said = theirs if isinstance(theirs, str) else f"{int((theirs == ours).sum())} of {len(ours)} alike"
                    cells.append(said.replace("|", "/").replace("\n", " ")[:120])
                rows.append([title, graph, f"{100 * accuracy:.1f} %", *cells])
    print_table(rows)


def print_table(rows: list[list[str]]) -> None:
    """As Markdown."""
    print("\n".join("| " + " | ".join(row) + " |" for row in rows))


if __name__ == "__main__":
    with jax.numpy_dtype_promotion("standard"):
        main()
