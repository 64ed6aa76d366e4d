"""A row of the table that a network is, as static facts, and the checks of a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple, get_args

import jax.numpy as jnp

from jaxsnn.checks import check_steps
from jaxsnn.layers import AvgPool, Join, Layer
from jaxsnn.synapses import Window
from jaxsnn.typing import Array, DTypeLike, Sends, Shape

JOINS = get_args(get_args(Join)[0])
INPUT = "input"
"""The source that stands for the network's input."""


class Tap(NamedTuple):
    """A place in the network from which a later layer can receive spikes."""

    source: str
    shape: Shape


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
    join: Join
    relays: str | None
    """How a layer without norm, neurons and weights is counted: see `layers.pools`; None: it sends numbers."""
    pool: tuple[str, Window] | None = None
    """Name and window of an average pool that receives its spikes and that its neurons compute with them."""

    @property
    def recurrent(self) -> str | None:
        """Name of the bundle of synapses whose source is the layer itself; None if there is none."""
        return next((name for name, source in self.synapses if source == self.name), None)

    @property
    def incoming(self) -> tuple[tuple[str, str], ...]:
        """Name and source of the other bundles."""
        return tuple((name, source) for name, source in self.synapses if source != self.name)

    @property
    def through(self) -> bool:
        """Whether its spikes act on the layers behind, so that it sends no train of its own."""
        return self.relays == "through"

    def kind(self, sources: Sequence[Sends]) -> Sends:
        """The values that a layer without neurons sends, from those of its sources."""
        if self.relays != "as sent" or "numbers" in sources:
            return "numbers"
        if len(sources) == 1:
            return sources[0]
        if self.join == "sum":
            return "counts"
        return "spikes" if set(sources) == {"spikes"} else "numbers"


def make_row(layer: Layer, shape: Shape) -> Row:
    """The static facts of a layer of this output shape."""
    sources = tuple((name, source) for name, (source, _) in layer.synapses.items())
    kinds = {getattr(synapse, "relays", None) for _, synapse in layer.synapses.values()}
    bare = layer.norm is None and layer.neurons is None and len(kinds) == 1
    relays = kinds.pop() if bare else None
    if relays == "through" and len(sources) > 1:
        relays = None
    flags = (layer.norm is not None, layer.neurons is not None, layer.dropout)
    return Row(layer.name, sources, shape, *flags, layer.join, relays)


def with_pools(rows: Sequence[Row], layers: Sequence[Layer]) -> tuple[Row, ...]:
    """Rows whose neurons can compute an average pool behind them (`Neuron.run_pooled`), with that pool."""
    able = {
        layer.name
        for layer, row in zip(layers, rows, strict=True)
        if layer.neurons is not None and layer.neurons.neuron.run_pooled is not None and not row.recurrent
    }
    shapes = {row.name: row.shape for row in rows}
    pools = {
        source: (name, synapse.size(shapes[source]))
        for layer in layers[:-1]
        for name, (source, synapse) in layer.synapses.items()
        if type(synapse) is AvgPool and source in able  # one derived from it may compute something else
    }
    return tuple(replace(row, pool=pools.get(row.name)) for row in rows)


def joined(currents: Sequence[Array], join: Join) -> Array:
    """The currents of several bundles of synapses as one, `[T, B, ...]`."""
    if callable(join):
        return join(currents)
    if join == "sum":
        return reduce(jnp.add, currents)
    if join == "and":
        return reduce(jnp.multiply, currents)
    own, other = currents
    return other * (1 - own)


def row_shape(layer: Layer, shapes: Mapping[str, Shape]) -> Shape:
    """The shape of a layer's output, checked."""
    if layer.name in shapes:
        raise ValueError(f"two layers are called {layer.name!r}: give each a name of its own")
    reached: dict[str, Shape] = {}
    recurrent = {name: synapse for name, (source, synapse) in layer.synapses.items() if source == layer.name}
    if len(recurrent) == len(layer.synapses):
        raise ValueError(f"{layer.name} has no synapses from elsewhere: a layer needs one bundle at least")
    for name, (source, synapse) in layer.synapses.items():
        if name in recurrent:
            continue
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
        raise ValueError(f"the currents of {layer.name} are joined ({layer.join}) and must have one shape, got {sums}")
    if not callable(layer.join) and layer.join not in JOINS:
        raise ValueError(f"{layer.name}: join must be one of {', '.join(JOINS)} or a function, got {layer.join!r}")
    if layer.join == "iand" and len(reached) != 2:
        raise ValueError(f"{layer.name} joins by iand, which needs two bundles of synapses, got {len(reached)}")
    shape = next(iter(reached.values()))
    if recurrent and (layer.neurons is None or len(recurrent) > 1):
        raise ValueError(f"{layer.name}: recurrent synapses need neurons, and there may be one bundle of them")
    for name, synapse in recurrent.items():
        back = synapse.connection(name, layer.name, layer.name, shape).output_shape
        if back != shape:
            raise ValueError(f"{name} sends {list(back)} back to {layer.name}, which has {list(shape)}")
    return shape


def check_input(x: Array, sample: Shape, dtype: DTypeLike) -> None:
    """Raises ValueError or TypeError unless `x` is `[T, B, ...]` for samples of this shape and dtype."""
    expected = f"[T, B, {', '.join(map(str, sample))}]"
    shape = jnp.shape(x)
    if len(shape) != 2 + len(sample):
        raise ValueError(
            f"model input must be time-major spikes {expected}, got rank {len(shape)} {shape}; "
            "encode samples [B, ...] first, e.g. encoding.poisson(key, images, steps)"
        )
    if shape[2:] != sample:
        raise ValueError(
            f"model input must be {expected}, got {shape}: this model was built with "
            f"input_shape={sample} (channels last)"
        )
    check_steps(shape[0])
    if jnp.result_type(x) != dtype:
        raise TypeError(
            f"model input must be {dtype} like its parameters, got {jnp.result_type(x)}; "
            f"convert with x.astype('{dtype}'), or create the model with another param_dtype"
        )
