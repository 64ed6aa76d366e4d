"""The neurons of a network as one argument: rule or surrogate, leak, threshold, the fields that are learned.

`spikebp()` is the paper's rule, `lif()` backpropagation through time with a surrogate, `of_cell(cell)` the same for any
cell, `relu()` no spiking neuron at all. Each returns `Neurons`, for `models.create(..., neurons=...)`.
"""

from collections.abc import Callable

from jaxsnn.neurons.bptt import bptt, lif, of_cell, of_neuron, run_cell
from jaxsnn.neurons.neuron import Neuron, Neurons, ReadoutParams
from jaxsnn.neurons.paper import spikebp
from jaxsnn.neurons.psn import PARALLEL, masked_psn, psn, sliding_psn
from jaxsnn.neurons.recurrent import RecurrentState, run_recurrent
from jaxsnn.neurons.relu import relay, relu

NEURONS: dict[str, Callable[..., Neurons]] = {"spikebp": spikebp, "lif": lif, "relu": relu}

__all__ = [
    "NEURONS",
    "PARALLEL",
    "Neuron",
    "Neurons",
    "ReadoutParams",
    "RecurrentState",
    "bptt",
    "lif",
    "masked_psn",
    "of_cell",
    "of_neuron",
    "psn",
    "relay",
    "relu",
    "run_cell",
    "run_recurrent",
    "sliding_psn",
    "spikebp",
]
