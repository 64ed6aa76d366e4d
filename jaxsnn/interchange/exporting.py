"""From a network to a NIR graph."""

from typing import Any

import numpy as np

from jaxsnn.interchange.membranes import channels_first, of_neuron, to_node
from jaxsnn.models import Network, fold
from jaxsnn.models.functional import filled
from jaxsnn.models.rows import INPUT, Row
from jaxsnn.synapses import Connection

LEAK_LAST, UNIT, BIAS = "jaxsnn_leak_last", "jaxsnn_threshold", "jaxsnn_bias"
"""Keys of a node's metadata, for our own importer: the order of leak and reset, which NIR does not tell; the unit of
the logits; whether there is a bias."""


def to_nir(model: Network, params: dict[str, Any], model_state: dict[str, Any], *, dt: float) -> Any:
    """The NIR graph of a network; write it with `nir.write("network.nir", graph)`.

    Nodes are called like layers, with `.` for `/`; neurons behind synapses `<layer>.neurons`. Maps are channels first,
    as everywhere in NIR, weights OIHW; norms and standardised weights are folded. The answer of the network (last or
    mean potential, over V_th T) is not part of a graph.

    Args:
      model: from `models.create` or of your own.
      params, model_state: as of `models.functionalize`.
      dt: seconds of one time step; time constants are `dt / (1 - leak)`. It is stored in the graph's metadata.

    Returns:
      A `nir.NIRGraph`.

    Raises:
      ValueError: naming the layer, for what NIR cannot hold: a reset by subtraction, adaptive or parallel neurons,
        norms that do not fold, padding that differs between the sides, max pools, delays, attention, joins but sums.
      ImportError: without the extra `nir`.
    """
    import nir

    if not 0 < dt < float("inf"):
        raise ValueError(f"dt must be the seconds of one time step, a number above 0, got {dt}")
    network = filled(model, params, model_state)
    if any(row.norm for row in model.rows) or any(
        getattr(getattr(network, name), "gain", None) is not None for row in model.rows for name, _ in row.synapses
    ):
        network = filled(*fold(model, params, model_state))
    nodes: dict[str, Any] = {INPUT: nir.Input({"input": np.asarray(_first(network.input_shape))})}
    edges: list[tuple[str, str]] = []
    ends, shapes = {INPUT: [INPUT]}, {INPUT: network.input_shape}
    for row in network.rows:
        shapes[row.name] = row.shape
        ends[row.name] = _layer(nir, network, row, nodes, edges, ends, shapes, dt)
    nodes["output"] = nir.Output({"output": np.asarray(_first(network.rows[-1].shape))})
    edges += [(end, "output") for end in ends[network.rows[-1].name]]
    return nir.NIRGraph(nodes, edges, metadata={"dt": dt, "exporter": "jaxsnn"})


def _first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-1], *shape[:-1])


def _label(name: str) -> str:
    return name.replace("/", ".")


def _layer(
    nir: Any, network: Network, row: Row, nodes: Any, edges: Any, ends: Any, shapes: Any, dt: float
) -> list[str]:
    """Adds a layer's nodes and edges; returns the nodes whose outputs, summed, are what it sends."""
    if row.join != "sum":
        raise ValueError(f"NIR sums what a node receives: it cannot hold the join of {row.name}")
    target = f"{_label(row.name)}.neurons" if row.neurons else None
    last: list[str] = []
    for name, source in row.synapses:
        made = _synapse(nir, name, getattr(network, name), source, shapes[source], row)
        before: list[str] = [str(target)] if source == row.name else ends[source]  # recurrent: from its own neurons
        for label, node in made:
            nodes[label] = node
            edges += [(one, label) for one in before]
            before = [label]
        last += before
    if target is None:
        return last
    layer = getattr(network, f"{row.name}/neurons")
    if type(layer.neuron.params).__name__ == "ReadoutParams" and layer.neuron.cell is None:
        return last  # sends on what it receives
    values = layer.params(len(row.shape))
    membrane = of_neuron(row.name, layer.neuron, values)
    nodes[target] = to_node(nir, row.name, membrane, row.shape, dt)
    told: dict[str, Any] = {} if membrane.leak_first else {LEAK_LAST: True}
    if membrane.threshold is None:
        told[UNIT] = float(np.asarray(values.threshold))
    nodes[target].metadata.update(told)
    edges += [(one, target) for one in last]
    return [target]


def _synapse(nir: Any, name: str, synapse: Any, source: str, shape: tuple[int, ...], row: Row) -> list[tuple[str, Any]]:
    """The nodes of one bundle of synapses, in order."""
    label, c = _label(name), synapse.connection(name, source, row.name, shape)
    if hasattr(synapse, "over_time"):
        raise ValueError(f"NIR cannot hold {name}: a delay there belongs to a neuron, not to a synapse")
    kernel = None if not c.weighted else np.asarray(synapse.kernel.get_value())
    if c.kind == "conv":
        return [(label, _conv(nir, c, kernel, synapse))]
    if c.kind == "dense" and kernel is not None:
        if c.hollow:
            kernel = kernel * (1 - np.eye(len(kernel), dtype=kernel.dtype))
        return _dense(nir, label, c, kernel, synapse)
    if c.kind == "pool" and getattr(synapse, "relays", None) == "through":
        window = np.asarray(c.kernel)
        return [(label, nir.AvgPool2d(kernel_size=window, stride=window, padding=np.zeros(2, int)))]
    if c.kind == "subsample" and getattr(synapse, "relays", None) == "as sent" and len(row.shape) in (1, 3):
        if c.stride == 1:
            return []
        stride = np.asarray([c.stride] * 2)
        return [(label, nir.AvgPool2d(kernel_size=np.ones(2, int), stride=stride, padding=np.zeros(2, int)))]
    raise ValueError(f"NIR cannot hold {name}: it is a {type(synapse).__name__}")


def _bias(synapse: Any, features: int, dtype: Any) -> tuple[np.ndarray, dict[str, Any]]:
    bias = getattr(synapse, "bias", None)
    if bias is None:
        return np.zeros(features, dtype), {}
    return np.asarray(bias.get_value()), {BIAS: True}


def _conv(nir: Any, c: Connection, kernel: Any, synapse: Any) -> Any:
    if any(low != high for low, high in c.pads):
        raise ValueError(
            f"NIR cannot hold {c.name}: its padding {c.pads} differs between the sides; give a number of pixels as "
            "padding"
        )
    bias, told = _bias(synapse, kernel.shape[-1], kernel.dtype)
    node = nir.Conv2d(
        input_shape=c.input_shape[:2],
        weight=kernel.transpose(3, 2, 0, 1).copy(),
        stride=c.stride,
        padding=(c.pads[0][0], c.pads[1][0]),
        dilation=c.dilation,
        groups=c.groups,
        bias=bias,
    )
    node.metadata.update(told)
    return node


def _dense(nir: Any, label: str, c: Connection, kernel: Any, synapse: Any) -> list[tuple[str, Any]]:
    made: list[tuple[str, Any]] = []
    weight = kernel.T
    if len(c.input_shape) == 3:
        shape = _first(c.input_shape)
        flat = nir.Flatten({"input": np.asarray(shape)}, start_dim=0)
        made = [(f"{label}.flatten", flat)]
        order = channels_first(np.arange(len(kernel)).reshape(c.input_shape)).reshape(-1)
        weight = weight[:, order]
    bias, told = _bias(synapse, kernel.shape[-1], kernel.dtype)
    node = nir.Affine(weight=weight.copy(), bias=bias)
    node.metadata.update(told)
    return [*made, (label, node)]
