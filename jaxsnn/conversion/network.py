"""The network that is converted, as plain dicts: the convertible layers, its thresholds, the units of its currents."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsnn.synapses import Connection

Tree = dict[str, Any]


class Converted(NamedTuple):
    """A network of integrate-and-fire neurons made of a ReLU network."""

    params: Tree
    """Its weights."""
    state: Tree
    """Its constants, with the thresholds that were found."""
    scales: dict[str, float]
    """Layer name to the activation that one of its spikes stands for, in network order; `input` first."""


def layers_of(connections: Sequence[Connection]) -> tuple[str, ...]:
    """Layers of neurons in network order, the readout last."""
    return tuple(dict.fromkeys(connection.target for connection in connections))


def sources(connections: Sequence[Connection], name: str) -> list[Connection]:
    """The bundles of synapses that feed a layer, its own first."""
    return sorted((c for c in connections if c.target == name), key=lambda c: c.name != name)


def check(params: Tree, state: Tree, connections: Sequence[Connection], sending: Sequence[str] = ()) -> None:
    """Checks that a spiking network can stand for a ReLU network.

    Args:
      params, state: of the spiking network, from `models.functionalize`.
      connections: its synapses, from `models.connections`.
      sending: the layers of the ReLU network that send activations; () if they are not known.

    Raises:
      ValueError: naming the layer, if it has trained numbers beside its kernel (a bias, a normalisation, a learned leak
        or threshold), leaks, or sums currents in another way than a residual block does.
    """
    for name in layers_of(connections):
        main, *others = sources(connections, name)
        node, constants = _at(params, name) or {}, (_at(state, name) or {}).get("neurons", {})
        if main.kind == "pool" and sending and name not in sending:
            raise ValueError(
                f"cannot convert {name}: a pool with neurons, and its activations are not known; give the ReLU network "
                "pools with neurons too, or this one pool='average'"
            )
        learned = sorted(node.get("neurons", {}))
        if learned:
            raise ValueError(
                f"cannot convert the layer {name}: it learns {', '.join(learned)}; build the network with "
                "neurons.lif(leak=1.0), learn=()"
            )
        if more := sorted(key for key in node if key not in ("kernel", *_children(connections, name))):
            raise ValueError(
                f"cannot convert the layer {name}: it has {', '.join(more)}. Known are layers whose only trained "
                "numbers are a kernel: no bias, no normalisation"
            )
        if not np.all(np.asarray(constants.get("leak", 1.0)) == 1):
            raise ValueError(
                f"cannot convert the layer {name}: its neurons leak ({constants.get('leak')}), so that their rate is "
                "not the activation; build the network with neurons.lif(leak=1.0, ...)"
            )
        if "threshold" not in constants:
            raise ValueError(f"cannot convert the layer {name}: its neurons have no threshold")
        if len(others) > 1 or (others and main.kind != "conv"):
            summed = ", ".join(connection.name for connection in (main, *others))
            raise ValueError(
                f"cannot convert the layer {name}: it sums the currents of {summed}; known are a convolution and one "
                "shortcut"
            )


def _children(connections: Sequence[Connection], name: str) -> set[str]:
    """Names of layers inside a block, which stand among the parameters of `name`."""
    return {c.name[len(name) + 1 :].split("/")[0] for c in connections if c.name.startswith(f"{name}/")}


class Chain:
    """Layers in network order, with the activation that a spike stands for, and thresholds as they are set.

    Attributes:
      unit: the activation that a current of 1 stands for in the layer that was entered.
    """

    def __init__(self, params: Tree, state: Tree, connections: Sequence[Connection], scale: float):
        self.params, self.state = params, state
        self.unit = scale
        self._connections, self._scales = connections, {"input": scale}

    def enter(self, name: str) -> None:
        """Comes to the next layer."""
        main, *others = sources(self._connections, name)
        sent = self._scales[main.source]
        self.unit = self._scales[others[0].source] if others else sent
        if others:  # the shortcut's currents are in the unit of the block's input, and stay
            ratio = sent / self.unit
            self.params = _changed(self.params, (*name.split("/"), "kernel"), lambda kernel: kernel * ratio)

    def set_threshold(self, name: str, threshold: float) -> None:
        """Sets a layer's threshold."""
        path = (*name.split("/"), "neurons", "threshold")
        self.state = _changed(self.state, path, lambda old: jnp.full(old.shape, threshold, old.dtype))

    def leave(self, name: str, threshold: float) -> None:
        """Sets the threshold of the layer that was entered, and goes on.

        Raises:
          ValueError: if it is not positive: nothing in the layer is ever active.
        """
        if not 0 < threshold < np.inf:
            raise ValueError(
                f"cannot convert the layer {name}: its threshold would be {threshold:g}, since nothing in it is active "
                "on these samples. Give more samples, a larger percentile or more steps, or train the ReLU network"
            )
        self.set_threshold(name, threshold)
        self._scales[name] = self.unit * threshold

    def finish(self) -> Converted:
        """Makes the readout's logits those of the ReLU network."""
        readout = layers_of(self._connections)[-1]
        (main,) = sources(self._connections, readout)
        self.set_threshold(readout, 1 / self._scales[main.source])
        return Converted(self.params, self.state, self._scales)


def initialise(params: Tree, state: Tree, converted: Converted, connections: Sequence[Connection]) -> tuple[Tree, Tree]:
    """Starts another spiking network of this architecture from a converted one: hybrid training.

    The network keeps its own thresholds; a kernel is scaled by its layer's threshold over the converted one, which
    without leak makes the same spikes. Where a block's shortcut is the input itself, which cannot be scaled, the
    converted threshold is taken over.

    Args:
      params, state: of the network to start, from `models.functionalize`; pools keep their thresholds.
      converted: from `thresholds_from_activations` or `thresholds_from_currents`.
      connections: synapses of the network to start, from `models.connections`.

    Returns:
      Its params and state.

    Raises:
      ValueError: naming the layer, if it has another shape or is missing, or its threshold is learned.
    """
    for name in layers_of(connections):
        main, *others = sources(connections, name)
        if not main.weighted:
            continue
        constants, theirs = _at(state, name)["neurons"], _at(converted.state, name)
        if "threshold" not in constants:
            raise ValueError(
                f"cannot start from the converted network: the threshold of {name} is learned; leave it out of learn"
            )
        if theirs is None:
            raise ValueError(f"cannot start from the converted network: it has no layer {name}")
        threshold = theirs["neurons"]["threshold"]
        ratio = constants["threshold"] / threshold
        if any(not other.weighted for other in others):
            path = (*name.split("/"), "neurons", "threshold")
            state = _changed(state, path, lambda old, new=threshold: jnp.asarray(new, old.dtype))
            ratio = jnp.ones_like(ratio)
        for connection in (main, *(other for other in others if other.weighted)):
            params = _changed(
                params, (*connection.name.split("/"), "kernel"), _scaled(converted.params, connection.name, ratio)
            )
    missing = set(converted.scales) - {"input", *(c.target for c in connections)}
    if weighted := sorted(name for name in missing if "kernel" in (_at(converted.params, name) or {})):
        raise ValueError(
            f"cannot start from the converted network: {', '.join(weighted)} have no counterpart: no such layer"
        )
    return params, state


def _scaled(params: Tree, name: str, ratio: Any) -> Any:
    """The kernel's replacement: the converted kernel times the ratio of thresholds, checked."""

    def change(old: Any) -> Any:
        node = _at(params, name)
        kernel = None if node is None else node.get("kernel")
        if kernel is None or jnp.shape(kernel) != old.shape:
            theirs = "no such layer" if kernel is None else f"a kernel {jnp.shape(kernel)}"
            raise ValueError(
                f"cannot start from the converted network: {name} has a kernel {old.shape} here, there {theirs}"
            )
        return jnp.asarray(kernel * ratio, old.dtype)

    return change


def _at(tree: Tree, name: str) -> Any:
    """The entry of a layer `block/part`; None if there is none."""
    for part in name.split("/"):
        if part not in tree:
            return None
        tree = tree[part]
    return tree


def _changed(tree: Tree, path: Sequence[str], change: Any) -> Tree:
    """A copy with one entry changed."""
    first, *rest = path
    return tree | {first: _changed(tree[first], rest, change) if rest else change(tree[first])}
