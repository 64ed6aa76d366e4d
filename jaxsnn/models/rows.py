"""A row of the table that a network is, as static facts, and the checks of a new one."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxsnn.layers import Layer
from jaxsnn.typing import Shape

INPUT = "input"
"""The source that stands for the network's input."""


@dataclass(frozen=True)
class Row:
    """One layer in the table, as static facts; its modules are attributes of the network."""

    name: str
    synapses: tuple[tuple[str, str], ...]
    """Name and source of each bundle of synapses, the layer's own first."""
    shape: Shape
    """Shape of its output, without time and batch."""
    norm: bool
    neurons: bool
    dropout: bool


def row_shape(layer: Layer, shapes: Mapping[str, Shape]) -> Shape:
    """The shape of a layer's output, checked."""
    if layer.name in shapes:
        raise ValueError(f"two layers are called {layer.name!r}: give each a name of its own")
    if not layer.synapses:
        raise ValueError(f"{layer.name} has no synapses: a layer needs one bundle at least")
    reached: dict[str, Shape] = {}
    for name, (source, synapse) in layer.synapses.items():
        if source not in shapes:
            raise ValueError(
                f"{name} receives {source!r}, which is no earlier layer; layers so far: {', '.join(shapes)}"
            )
        if not hasattr(synapse, "connection"):
            raise TypeError(
                f"{name} is a {type(synapse).__name__}: synapses need a method `connection`, for counting them"
            )
        reached[name] = synapse.connection(name, source, layer.name, shapes[source]).output_shape
    if len(set(reached.values())) > 1:
        sums = ", ".join(f"{name} {list(shape)}" for name, shape in reached.items())
        raise ValueError(f"the currents of {layer.name} are summed and must have one shape, got {sums}")
    return next(iter(reached.values()))
