"""NeuroBench's metrics of complexity, from the counts of `make_profile`.

Source: Yik et al., "The NeuroBench framework for benchmarking neuromorphic computing algorithms and systems", Nature
Communications 16, 2025, and the documentation of its harness (release 2). Their definitions, in our words:

- footprint: bytes of everything that the model is made of, parameters and other arrays; zeros count.
- connection sparsity: fraction of the synaptic weights that are 0.
- activation sparsity: fraction of 0 among the outputs of all neurons, over all layers, steps and samples. The input is
  no neuron's output.
- synaptic operations per sample, summed over its steps: "Dense" counts every synapse at every step; "effective" ones
  have a weight other than 0 and an activation other than 0: accumulates (ACs) in a layer that receives nothing but -1,
  0 and 1, multiply-accumulates (MACs) in any other. Pools are not counted; taps in the padding are not either, since
  the harness runs the layer itself on ones.

The harness decides between MACs and ACs at every call of a layer (one step of one batch), here it is once per layer.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsnn.analysis.operations import dense_operations, kernel_of
from jaxsnn.analysis.profile import Profile


class NeuroBench(NamedTuple):
    """NeuroBench's metrics of one network on one data set; operations per sample."""

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    dense: int
    effective_macs: float
    effective_acs: float


def neurobench(observation: Profile, params: Mapping, state: Any) -> NeuroBench:
    """Computes the metrics.

    Args:
      observation: from `make_profile(..., effective=True)`, or without if no weight is 0.
      params, state: the model, from `models.functionalize`.

    Raises:
      ValueError: if weights are 0 and the observation counted them.
    """
    weighted = [c for c in observation.connections if c.weighted]
    weights = [kernel_of(params, c) for c in weighted]
    zeros, count = sum(np.count_nonzero(w == 0) for w in weights), sum(w.size for w in weights)
    if zeros and not observation.effective:
        raise ValueError(f"{zeros} of the weights are 0: observe with make_profile(..., effective=True)")
    layers = {name: layer for name, layer in observation.layers.items() if name != "input"}
    active = sum(int(layer.counts.sum()) for layer in layers.values())
    outputs = observation.steps * len(observation.labels) * sum(layer.neurons for layer in layers.values())
    operations = {True: 0.0, False: 0.0}  # on analog input, on spikes
    for connection in weighted:
        analog = observation.layers[connection.source].analog
        operations[analog] += float(observation.operations[connection.name].mean())
    return NeuroBench(
        footprint=sum(leaf.nbytes for leaf in jax.tree.leaves((params, state))),
        connection_sparsity=zeros / count,
        activation_sparsity=1 - active / outputs if outputs else 0.0,
        dense=observation.steps * sum(dense_operations(c) for c in weighted),
        effective_macs=operations[True],
        effective_acs=operations[False],
    )
