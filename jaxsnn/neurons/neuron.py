"""A neuron as a value: a whole train of currents in, a train out, and how the error walks back.

`Neuron` is the neuron of one layer, made by `bptt(cell, spike)`, by the paper's rule (`paper.py`) or `relu`.
`Neurons` are those of a network: of hidden layers, of pools, of the readout.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxsnn.cells.cell import Bound, Cell
from jaxsnn.synapses.pools import Window
from jaxsnn.typing import Array, CellStep, Sends


class ReadoutParams(NamedTuple):
    """Parameters of a network's readout."""

    leak: Any = 0.99
    """Membrane decay per time step, in (0, 1]."""
    threshold: Any = 1.0
    """V_th, the unit of the logits (E6); the readout itself never fires, so this number is never learned."""


class Neuron(NamedTuple):
    """The neurons of one layer over time: pure functions and the starting values of their parameters."""

    params: Any
    """A NamedTuple of numbers, each a scalar or broadcastable to the neurons; `()` if there are none."""
    init: Callable[..., Any]
    """`(params, shape [B, ...], dtype) -> carry` at rest, which is zero everywhere."""
    run: Callable[[Any, Any, Array], tuple[Any, Array]]
    """`(params, carry, currents [T, B, ...]) -> (carry, output [T, B, ...])`, in the dtype of the currents."""
    membranes: Callable[[Any, Any, Array], Array] | None = None
    """`(params, carry, currents) -> potentials [T, B, ...]` before each reset; None if the neuron has no membrane."""
    sends: Sends = "spikes"
    """The values that it sends: storage for the backward pass follows from them."""
    causal: bool = True
    """Whether output t depends on currents up to t alone; otherwise the train cannot come in chunks."""
    lean: bool = False
    """Whether it keeps of a step its spikes alone for the backward pass, so that chunks bound the memory of the rest;
    otherwise it keeps a potential or more of every step, and chunks save next to nothing."""
    bounds: Mapping[str, Bound] = MappingProxyType({})
    """The fields that can be learned, with their ranges."""
    weights: Mapping[str, Callable[[Array], Array]] = MappingProxyType({})
    """Fields that are trained always, in arrays of a shape of their own (not one number per neuron), each with its
    initial value, `key -> array`."""
    cell: Cell | None = None
    """The cell that it is forward, for those who write it down in another format; None if it is none."""
    step: CellStep | None = None
    """`(params, state, current [B, ...]) -> (state, output [B, ...])`, one step of `run` in the dtype of the state, for
    recurrent synapses; None: these neurons cannot have any."""
    run_pooled: Callable[[Any, Any, Array, Window], tuple[Any, Array, Array]] | None = None
    """`(params, carry, currents, window) -> (carry, output, its means over windows)`: `run` and
    `synapses.average_pool` in one, whose backward pass never holds the errors of all neurons at all steps. None: the
    pool takes what `run` sends."""


class Neurons(NamedTuple):
    """The neurons of a network."""

    hidden: Neuron
    """Neurons of convolutions and hidden dense layers."""
    pool: Neuron | None
    """Behind average pools; None: pools have no neurons."""
    readout: Neuron
    """Neurons of the last layer; its parameters have the field `threshold`, the unit of the logits."""
    learn: tuple[str, ...] = ()
    """Learned fields of hidden layers and readout: `leak` (one number per layer), `leak:channel`, `leak:neuron`."""
    pack_spikes: bool = False
    """Whether the backward pass stores spikes in one bit each, not one byte."""
