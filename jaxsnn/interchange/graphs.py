"""A NIR graph, read and checked: its nodes in the order of computation."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FIRING = ("LIF", "IF", "CubaLIF")
WEIGHTS = ("Conv2d", "Affine", "Linear", "AvgPool2d", "SumPool2d")
MEMBRANES = (*FIRING, "LI", "I", "CubaLI")


class Graph(NamedTuple):
    """A graph with one input and one output."""

    nodes: dict[str, Any]
    before: dict[str, list[str]]
    """Node to the nodes that it receives from, in the order of the names."""
    order: list[str]
    """Nodes between input and output, each behind those that it needs at the same step."""
    joined: set[str]
    """Weights and pools that one node alone receives from, which has neurons: they belong to its layer."""
    input: str
    output: str
    input_shape: tuple[int, ...]
    """Channels last."""
    metadata: dict[str, Any]


def read(graph: Any) -> Graph:
    """Reads a graph or a file.

    Raises:
      ValueError: for a graph that is none, was written by a newer release of nir, has no single input and output, a
        number that is not finite, or a cycle without neurons that fire.
      OSError: for a file that cannot be read.
    """
    import h5py
    import nir

    if isinstance(graph, str | Path):
        if not (path := Path(graph)).is_file():
            raise FileNotFoundError(f"there is no file {path}: give one that nir.write made")
        try:
            with h5py.File(path) as file:
                version = str(file["version"].asstr()[()])
            newer = _release(version) > _release(nir.__version__)
            graph = None if newer else nir.read(path)
        except Exception as error:  # h5py and nir raise whatever they meet in a damaged file
            raise ValueError(f"{path} is no NIR graph that nir {nir.__version__} can read ({error!r})") from error
        if newer:
            raise ValueError(
                f"{path} was written by nir {version}, and nir {nir.__version__} is installed, which may read it "
                "wrongly: update it (pip install -U nir)"
            )
    if not isinstance(graph, nir.NIRGraph):
        raise ValueError(f"a nir.NIRGraph or the path of a file was expected, got {type(graph).__name__}")
    ends = {kind: [n for n, node in graph.nodes.items() if type(node).__name__ == kind] for kind in ("Input", "Output")}
    for kind, names in ends.items():
        if len(names) != 1:
            raise ValueError(f"a graph needs one {kind} node, this one has {', '.join(names) or 'none'}")
    for name, node in graph.nodes.items():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(f"{name}: {field} holds numbers that are not finite")
    (start,), (end,) = ends.values()
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in sorted(graph.edges):
        for name in (source, target):
            if name not in graph.nodes:
                raise ValueError(f"an edge names {name!r}, which is no node; nodes are {', '.join(graph.nodes)}")
        before[target].append(source)
        after[source].append(target)
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    if kinds.get(end) and not before[end]:
        raise ValueError("nothing reaches the output")
    joined = {
        name
        for name in graph.nodes
        if kinds[name] in WEIGHTS and len(after[name]) == 1 and kinds[after[name][0]] in MEMBRANES
    }
    shape = tuple(int(n) for n in graph.nodes[start].input_type["input"])
    last = (*shape[1:], shape[0]) if len(shape) == 3 else shape
    order = _order(before, kinds, joined, start, end)
    return Graph(graph.nodes, before, order, joined, start, end, last, dict(graph.metadata or {}))


def _release(version: str) -> tuple[int, ...]:
    """The first two numbers of a version; a third changes no format."""
    return tuple(int(part) for part in version.split(".")[:2])


def _order(before: dict[str, list[str]], kinds: dict[str, str], joined: set[str], start: str, end: str) -> list[str]:
    """Nodes behind those that they receive from, but for recurrent weights, whose spikes are of the step before."""
    back = {name for name in joined if kinds[name] in ("Affine", "Linear") and _own(name, before)}
    placed, order = {start, *back}, []
    left = [name for name in before if name not in (start, end, *back)]
    while left:
        ready = [name for name in left if all(one in placed for one in before[name])]
        if not ready:
            raise ValueError(
                f"the nodes {', '.join(left)} form a cycle: only weights from firing neurons back to themselves may, "
                "which take a step"
            )
        order += ready
        placed |= set(ready)
        left = [name for name in left if name not in placed]
    return order


def _own(name: str, before: dict[str, list[str]]) -> bool:
    """Whether weights come from the neurons that they go to."""
    targets = [target for target, sources in before.items() if name in sources]
    return before[name] == targets
