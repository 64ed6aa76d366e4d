"""From a NIR graph to a network."""

from typing import Any, Literal, NamedTuple

import numpy as np

from jaxsnn import neurons
from jaxsnn.cells import integrate_and_fire, lif, synaptic
from jaxsnn.interchange.exporting import LEAK_LAST, UNIT
from jaxsnn.interchange.graphs import MEMBRANES, Graph, read
from jaxsnn.interchange.membranes import Membrane, of_node
from jaxsnn.interchange.weights import SYNAPSES, Made, add_bias
from jaxsnn.interchange.weights import recurrent as recurrent_of
from jaxsnn.layers import Identity, Layer, NeuronLayer, Synapse
from jaxsnn.models import Network, functionalize
from jaxsnn.models.rows import INPUT
from jaxsnn.synapses import Precision
from jaxsnn.typing import Shape

Reset = Literal["value", "subtract"]


class Imported(NamedTuple):
    """A network from a NIR graph."""

    model: Network
    params: dict[str, Any]
    model_state: dict[str, Any]


def from_nir(
    graph: Any,
    *,
    dt: float | None = None,
    reset: Reset = "value",
    readout: str = "last",
    precision: Precision = "exact",
) -> Imported:
    """The network of a NIR graph.

    Args:
      graph: a `nir.NIRGraph`, or the path of a file that `nir.write` made.
      dt: seconds of one time step; None for the one that our exporter stored. Leaks are `1 - dt / tau`.
      reset: "value", as NIR says; or "subtract", which it cannot say: the neurons lose their threshold, as in networks
        trained with sinabs.
      readout: the answer, as in `models.Network`; "mean" where the last neurons fire.
      precision: of the synapses' products. "exact" by default, so that a potential that another tool finds at the
        threshold is at the threshold here, and does not fire; "default" is faster on a CPU.

    Returns:
      Model, params and model_state. Layers are called like nodes, with `/` for `.`.

    Raises:
      ValueError: naming the node, for what this library cannot do exactly: an unknown node, a cycle without a neuron,
        steps longer than a time constant, strides or windows that differ between the sides, shapes that do not fit.
      OSError: for a file that cannot be read.
      ImportError: without the extra `nir`.
    """
    if reset not in ("value", "subtract"):
        raise ValueError(f"reset must be 'value' or 'subtract', got {reset!r}")
    found = read(graph)
    dt = dt if dt is not None else found.metadata.get("dt")
    if dt is None or not 0 < float(dt) < float("inf"):
        raise ValueError(
            "the graph does not say the seconds of one time step: give dt above 0 as the network was made for, got "
            f"{dt}"
        )
    builder = _Builder(found, float(dt), reset)
    for name in found.order:
        builder.add(name)
    layers = builder.finish()
    for layer in layers:
        for _, synapse in layer.synapses.values():
            if hasattr(synapse, "precision"):
                synapse.precision = precision
    model = Network(layers, input_shape=builder.input_shape, readout=readout)
    _, params, model_state = functionalize(model)
    return Imported(model, params, model_state)


class _Builder:
    """Adds one layer per node, but for weights in front of neurons, which are part of the neurons' layer."""

    def __init__(self, graph: Graph, dt: float, reset: Reset):
        self.graph, self.dt, self.reset = graph, dt, reset
        self.input_shape: Shape = graph.input_shape
        self.made = {graph.input: [Made(INPUT, self.input_shape)]}
        self.layers: dict[str, Layer] = {}

    def add(self, name: str) -> None:
        """One node, those before it being there."""
        node, graph = self.graph.nodes[name], self.graph
        kind = type(node).__name__
        if (
            kind == "Flatten" or name in graph.joined
        ):  # the dense layer behind flattens; neurons take their weights along
            self.made[name] = self._before(name)
        elif kind in MEMBRANES:
            self.made[name] = [self._neurons(name, node)]
        elif kind in SYNAPSES:
            source = self._one(name)
            synapse, made = SYNAPSES[kind](self._layer_name(name), node, source, np.float64(1))
            self._put(Layer(made.name, {made.name: (source.name, synapse)}))
            self.made[name] = [made]
        else:
            known = ", ".join(sorted({*MEMBRANES, *SYNAPSES, "Flatten", "Input", "Output"}))
            raise ValueError(f"the node {name} is a {kind}, which cannot be imported; known are {known}")

    def _layer_name(self, name: str) -> str:
        return name.removesuffix(".neurons").replace(".", "/")

    def _put(self, layer: Layer) -> None:
        self.layers[layer.name] = layer

    def _before(self, name: str) -> list[Made]:
        return [made for one in self.graph.before[name] for made in self.made[one]]

    def _one(self, name: str) -> Made:
        """The only source of a node; a sum of several becomes a layer of its own."""
        several = self._before(name)
        if len(several) == 1:
            return several[0]
        label = f"{self._layer_name(name)}/sum"
        self._same_shape(name, several)
        synapses = {label if not n else f"{label}{n}": (m.name, Identity()) for n, m in enumerate(several)}
        self._put(Layer(label, synapses))
        return Made(label, several[0].shape)

    def _same_shape(self, name: str, several: list[Made]) -> None:
        if len({made.shape for made in several}) > 1 or any(made.factor != 1 for made in several):
            raise ValueError(
                f"{name} sums {', '.join(f'{m.name} {list(m.shape)}' for m in several)}: not one shape and unit"
            )

    def _neurons(self, name: str, node: Any) -> Made:
        membrane = of_node(name, node, self.dt)
        label, graph = self._layer_name(name), self.graph
        synapses: dict[str, tuple[str, Synapse]] = {}
        recurrent: dict[str, tuple[str, Synapse]] = {}
        biases: list[Any] = []
        divide, shape = 1.0, None
        for one in graph.before[name]:
            before = graph.nodes[one]
            if one in graph.joined and type(before).__name__ in SYNAPSES:
                own = self._layer_name(one)
                if graph.before[one] == [name]:
                    key = own if own != label else f"{label}/recurrent"
                    back, bias = recurrent_of(one, before, membrane.gain)
                    recurrent[key] = (label, back)
                    biases += [] if bias is None else [bias]
                    continue
                synapse, made = SYNAPSES[type(before).__name__](own, before, self._one(one), membrane.gain)
                synapses[own] = (self._one(one).name, synapse)
                divide, shape = divide * made.factor, made.shape
            else:
                for made in self.made[one]:
                    synapses[made.name if made.name in synapses else f"{label}/from_{made.name}"] = (
                        made.name,
                        Identity(),
                    )
                    divide, shape = divide * made.factor, made.shape
                if not np.allclose(membrane.gain, membrane.gain.flat[0], rtol=1e-9, atol=0):
                    raise ValueError(f"{name} scales its input neuron by neuron, and has no weights that could take it")
                divide = divide / float(membrane.gain.flat[0])
        if shape is None:
            raise ValueError(f"{name} receives nothing")
        if divide != 1 and len(synapses) > 1:
            raise ValueError(f"{name} receives inputs of different units, which cannot be told apart any more")
        own, *others = synapses
        for bias in biases:
            add_bias(name, synapses[own][1], bias)
        renamed = {label: synapses[own], **{key: synapses[key] for key in others}, **recurrent}
        layer = _neuron_layer(name, node, membrane, shape, divide, self.reset)
        self._put(Layer(label, renamed, layer))
        return Made(label, shape)

    def finish(self) -> list[Layer]:
        """The layers, the readout last."""
        (end,) = self.graph.before[self.graph.output]
        (made,) = self.made[end]
        layers = list(self.layers.values())
        if layers[-1].name != made.name:
            layers.append(layers.pop(layers.index(self.layers[made.name])))
        last = layers[-1].neurons
        if last is None or last.neuron.sends == "spikes":  # whose threshold is no unit of the answer
            relay = NeuronLayer(neurons.relay())
            layers.append(Layer("output", {"output": (made.name, Identity())}, relay))
        return layers


def _neuron_layer(name: str, node: Any, membrane: Membrane, shape: Shape, divide: float, reset: Reset) -> NeuronLayer:
    """The neurons of a node; `divide` is the factor that their input lacks, so that potentials are divided by it."""

    def number(value: Any, divide: float = 1.0) -> Any:
        value = np.asarray(value) / divide
        if np.all(value == value.flat[0]):
            return np.float32(value.flat[0])
        return np.broadcast_to(value, shape).astype(np.float32)

    told, first = node.metadata, not node.metadata.get(LEAK_LAST, False)
    if membrane.threshold is None:
        kind = neurons.lif(leak_first=first).readout
        if membrane.synaptic_leak is not None:
            raise ValueError(f"{name} is a CubaLI: an integrator with synaptic currents, which no readout is here")
        return NeuronLayer(kind, values={"leak": number(membrane.leak), "threshold": np.float32(told.get(UNIT, 1.0))})
    threshold, v_reset = number(membrane.threshold, divide), number(membrane.v_reset, divide)
    way: Any = "soft" if reset == "subtract" else "hard" if np.all(v_reset == 0) else "value"
    values: dict[str, Any] = {"threshold": threshold}
    if way == "value":
        values["v_reset"] = v_reset
    if membrane.synaptic_leak is not None:
        if way == "value":
            raise ValueError(f"{name} is a CubaLIF with v_reset other than v_leak, which no cell is here")
        cell = synaptic.cell(reset=way, leak_first=first)
        values |= {"leak": number(membrane.leak), "synaptic_leak": number(membrane.synaptic_leak)}
    elif np.all(membrane.leak == 1) and way != "value":
        cell = integrate_and_fire.cell(reset=way)
    else:
        cell = lif.cell(reset=way, leak_first=first)
        values["leak"] = number(membrane.leak)
    return NeuronLayer(neurons.bptt(cell), values=values, shape=shape)
