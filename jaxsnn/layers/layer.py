"""A layer: synapses with named sources, whose currents are joined, then a norm or none, then neurons or none."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from flax import nnx

from jaxsnn.layers.neurons import NeuronLayer
from jaxsnn.layers.synapses import Synapse
from jaxsnn.typing import Array, Sends

Join = Literal["sum", "and", "iand"] | Callable[[Sequence[Array]], Array]
"""How the currents of several bundles of synapses become one: their sum; their product, of spikes x AND y; or, of the
first y and the second x, `x (1 - y)`, of spikes x AND NOT y. Source: Fang et al. (2021), arXiv 2102.04159. Or
a function of the currents, e.g. `SelfAttention`."""


class Sent(NamedTuple):
    """The output of one layer, as the layers behind it receive it."""

    x: Array
    """`[T, B, ...]`; `[1, B, ...]` if it is the same at every step."""
    mask: Array | None
    """Dropout of every step (E5), `[B, ...]`: synapses multiply by it. None: no dropout."""
    kind: Sends
    """The values of `x` before the mask."""
    pooled: Mapping[str, Array] = MappingProxyType({})
    """Currents of average pools that receive `x`, by name, where its neurons computed them."""


class Layer(NamedTuple):
    """One row of the table that a network is: see `models.Network`."""

    name: str
    synapses: Mapping[str, tuple[str, Synapse]]
    """Name of each bundle of synapses to its source and its module. The source is `input`, an earlier layer or, of
    recurrent synapses, the layer itself. Parameters are found under the name; the layer's own bundle has the name of
    the layer."""
    neurons: NeuronLayer | None = None
    """None: the currents are sent on as they are, e.g. the means of an average pool, or the sum of two spike trains."""
    norm: nnx.Module | None = None
    """Called as `norm(currents [T, B, ...], train=bool, axis_name=str | None, start=int, steps=T) -> currents`. It may
    hold running statistics in variables of its own (e.g. `nnx.BatchStat`), which training hands on. `axis_name` names
    the devices that share the batch: statistics over the batch must be averaged over it (`jax.lax.pmean`). `start` is
    the number of steps before the first of these. Its attribute `span`, "step" or "train", says whether a step's
    statistics come from that step alone; without the attribute, or with "train", the norm cannot be trained in chunks
    of time. With an attribute `once`, True, it may get currents `[1, B, ...]` that stand for T equal ones."""
    dropout: bool = False
    """Whether the network's dropout follows."""
    join: Join = "sum"
