"""Norms folded into weights and biases: a network without norms that answers the same."""

from dataclasses import replace
from typing import Any

from flax import nnx

from jaxsnn.models.functional import filled, functionalize
from jaxsnn.models.network import Network
from jaxsnn.models.rows import Row
from jaxsnn.typing import Array


def fold(
    model: Network, params: dict[str, Any], model_state: dict[str, Any]
) -> tuple[Network, dict[str, Any], dict[str, Any]]:
    """A network without norms whose answers in evaluation are the same up to rounding.

    A batch normalisation in evaluation is `factor * current + offset` of every feature. Its factor becomes part of all
    weights of the layer, its offset a bias, which is exact beside zero padding too.

    Args:
      model: from `models.create` or of your own; it stays as it is.
      params: its parameters, as of `functionalize`.
      model_state: its other numbers, with the running statistics.

    Returns:
      `(network, params, model_state)`; `functionalize(network)[0]` runs it.

    Raises:
      ValueError: for a layer whose norm is no constant factor and offset (its numbers depend on the sample or on the
        time step), or one that has synapses without weights: the message names it.

    Example:
      >>> from flax import nnx
      >>> from jaxsnn import models
      >>> model = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, norm="bn", rngs=nnx.Rngs(0))
      >>> _, params, model_state = models.functionalize(model)
      >>> sorted(models.fold(model, params, model_state)[1]["conv1"])
      ['bias', 'kernel']
    """
    network = filled(model, params, model_state)
    for row in network.rows:
        if row.norm:
            factor, offset = _constants(network, row)
            for number, (name, _) in enumerate(row.incoming):  # recurrent currents are added behind the norm
                _scale(getattr(network, name), row.name, name, factor, offset if number == 0 else None)
            delattr(network, f"{row.name}/norm")
    network.rows = tuple(replace(row, norm=False) for row in network.rows)
    _, params, model_state = functionalize(network)
    return network, params, model_state


def _constants(network: Network, row: Row) -> tuple[Array, Array]:
    """Factor and offset of a layer's norm."""
    norm = getattr(network, f"{row.name}/norm")
    if row.join != "sum":
        raise ValueError(
            f"the norm of {row.name} cannot be folded: its currents are joined by {row.join!r}, not summed"
        )
    if getattr(norm, "folded", None) is None:
        raise ValueError(
            f"the norm of {row.name}, {type(norm).__name__}, cannot be folded into weights: its numbers depend on the "
            "sample or on the time step; bn, bn_step and tdbn can"
        )
    factor, offset = norm.folded()
    return factor, offset


def _scale(synapse: Any, layer: str, name: str, factor: Array, offset: Array | None) -> None:
    """Multiplies weights and bias of a bundle of synapses, and adds the offset to the bias."""
    if not hasattr(synapse, "kernel"):
        raise ValueError(
            f"the norm of {layer} cannot be folded: its synapses {name} ({type(synapse).__name__}) have no weights"
        )
    kernel, old = synapse.kernel[...], synapse.bias
    if synapse.gain is not None:
        synapse.gain[...] = synapse.gain[...] * factor
    else:
        wide = kernel.astype(factor.dtype) * factor.reshape(*(1,) * (kernel.ndim - 1), -1)
        synapse.kernel[...] = wide.astype(kernel.dtype)
    bias = offset if old is None else factor * old[...] + (0 if offset is None else offset)
    if bias is not None:
        synapse.bias = nnx.data(nnx.Param(bias))  # data, where no bias was
