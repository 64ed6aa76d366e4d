"""Thresholds from a ReLU network's activations on training data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxsnn.batches import layer_names
from jaxsnn.checks import check_percentile
from jaxsnn.conversion.network import Chain, Converted, check, layers_of
from jaxsnn.conversion.percentiles import values_above
from jaxsnn.synapses import Connection
from jaxsnn.typing import Array


def largest_activations(
    apply: Any, params: Any, state: Any, batches: Iterable[Array], *, percentile: float = 100.0
) -> dict[str, float]:
    """The largest activations (or a percentile of them) of every layer of a ReLU network on data.

    Args:
      apply, params, state: the ReLU network, from `models.functionalize`.
      batches: analog inputs `[1, B, H, W, C]`, all of one B.
      percentile: in (0, 100]. 100 is the largest activation; below, the least one that no more than the rest of them
        exceeds, zeros counted too: a few neurons then saturate, and all others fire more (Rueckauer et al. 2017).

    Returns:
      Layer name to activation, in network order, pools with neurons included.

    Raises:
      ValueError: if the percentile is out of range or there is no batch.
      TypeError: if the model returns no activations.

    Source: Diehl et al. (2015), IJCNN, doi 10.1109/IJCNN.2015.7280696.
    """
    check_percentile(percentile)
    batches = list(batches)
    if not batches:
        raise ValueError("no batch of samples came: give some of the training set")
    names = layer_names(apply)[1:]

    @jax.jit
    def activations(x: Array) -> list[Array]:
        output, _ = apply(params, state, x, record=True)
        return [output.spikes[name].ravel() for name in names]

    largest: list[Any] = [np.zeros(0, np.float32)] * len(names)  # as many of the largest as decide the percentile
    for x in batches:
        for number, values in enumerate(activations(x)):
            above = values_above(percentile, values.size * len(batches))
            seen = np.concatenate([largest[number], np.asarray(values)])
            largest[number] = np.partition(seen, -above - 1)[-above - 1 :] if len(seen) > above else seen
    return {name: float(values.min()) for name, values in zip(names, largest, strict=True)}


def thresholds_from_activations(
    params: Any,
    state: Any,
    connections: Sequence[Connection],
    activations: Mapping[str, float],
    *,
    gain: float = 1.0,
) -> Converted:
    """Thresholds from the largest activations: `V_l = a_l / a_(l-1)` (E10).

    Args:
      params: weights of the ReLU network.
      state: constants of the spiking network, of integrate-and-fire neurons.
      connections: synapses of the spiking network, from `models.connections`.
      activations: from `largest_activations`.
      gain: of the input's rate: an input spike stands for the intensity `1 / gain`.

    Raises:
      ValueError: naming the layer, if it cannot be converted (see `check`) or is never active.

    Source: Diehl et al. (2015), who scale the weights instead: the same network.
    """
    check(params, state, connections, tuple(activations))
    chain = Chain(params, state, connections, 1 / gain)
    for name in layers_of(connections)[:-1]:
        chain.enter(name)
        chain.leave(name, activations[name] / chain.unit)
    return chain.finish()
