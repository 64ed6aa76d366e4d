"""The network that is converted, as plain dicts: what can be, its thresholds, the units of its currents."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

Tree = dict[str, Any]


class Converted(NamedTuple):
    """A network of integrate-and-fire neurons made of a ReLU network."""

    params: Tree
    """Its weights."""
    state: Tree
    """Its constants, with the thresholds that were found."""
    scales: dict[str, float]
    """Layer name to the activation that one of its spikes stands for, in network order; `input` first."""


def check(params: Tree, state: Tree, names: Sequence[str]) -> None:
    """Checks that a spiking network can stand for a ReLU network.

    Args:
      params, state: of the spiking network, from `models.functionalize`.
      names: its layers of neurons, in network order (see `batches.outline`).

    Raises:
      ValueError: naming the layer, if it has trained numbers beside its kernel (a bias, a normalisation, a learned leak
        or threshold), leaks, or is of a kind that is not known here.
    """
    if unseen := [name for name, constants in state.items() if set(constants) == {"threshold"} and name not in names]:
        raise ValueError(
            f"cannot convert {', '.join(unseen)}: pools with neurons, of which nothing is known here; give the ReLU "
            "network pools with neurons too, or this one pool='average'"
        )
    for name in (*names, readout_name(params, names)):
        node, constants = _at(params, name), _at(state, name)
        if node is None:
            if set(constants or {}) != {"threshold"}:
                raise ValueError(
                    f"cannot convert the layer {name}: it has neither a kernel nor the threshold of a pool. Known are "
                    "convolutions, dense layers, residual blocks of two convolutions, average pools and the readout"
                )
            continue
        constants = (constants or {}).get("constants", {})
        trained = (node.keys() | node.get("constants", {}).keys()) - {"constants"}
        if more := sorted(trained - {"kernel"}) or ["no kernel"] * ("kernel" not in trained):
            learned = {"leak_logit", "log_threshold"} & set(more)
            raise ValueError(
                f"cannot convert the layer {name}: it has {', '.join(more)}. "
                + (
                    "Its leak or threshold is learned: build the network with layers.LIF(leak=1.0), learn=()"
                    if learned
                    else "Known are layers whose only trained numbers are a kernel: no bias, no normalisation"
                )
            )
        if not np.all(np.asarray(constants.get("leak", 0.0)) == 1):
            raise ValueError(
                f"cannot convert the layer {name}: its neurons leak ({constants.get('leak')}), so that their rate is "
                "not the activation; build the network with layers.LIF(leak=1.0, ...)"
            )
    parts = [name.rpartition("/") for name in names]
    for block in {block for block, _, _ in parts if block}:
        inside, known = [part for head, _, part in parts if head == block], {"conv1", "conv2", "shortcut"}
        if inside != ["conv1", "conv2"] or not params[block].keys() <= known:
            raise ValueError(
                f"cannot convert {block}: it holds {', '.join(sorted(params[block]))}, and a block of conv1, conv2 and "
                "a shortcut is what is known"
            )


def readout_name(params: Tree, names: Sequence[str]) -> str:
    """The layer that sends no spikes.

    Raises:
      ValueError: if there is not exactly one.
    """
    silent = sorted(params.keys() - {name.partition("/")[0] for name in names})
    if len(silent) != 1:
        raise ValueError(
            f"a network to convert ends in one readout, got {', '.join(silent) or 'no layer'} without spikes beside "
            f"{', '.join(names)}"
        )
    return silent[0]


class Chain:
    """Layers in network order: what a spike stands for on its way, and thresholds as they are found.

    Attributes:
      unit: the activation that a current of 1 stands for in the layer that was entered.
    """

    def __init__(self, params: Tree, state: Tree, scale: float):
        self.params, self.state = params, state
        self.unit = self._sent = scale
        self._scales = {"input": scale}

    def enter(self, name: str) -> None:
        """Comes to the next layer."""
        if name.endswith("/conv2"):  # the shortcut's currents are in the unit of the block's input, and stay
            ratio = self._sent / self.unit
            self.params = _changed(self.params, (*name.split("/"), "kernel"), lambda kernel: kernel * ratio)
        else:
            self.unit = self._sent

    def set_threshold(self, name: str, threshold: float) -> None:
        """Sets a layer's threshold."""
        inner = ("threshold",) if _at(self.params, name) is None else ("constants", "threshold")
        self.state = _changed(
            self.state, (*name.split("/"), *inner), lambda old: jnp.full(old.shape, threshold, old.dtype)
        )

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
        self._sent = self._scales[name] = self.unit * threshold

    def finish(self) -> Converted:
        """Makes the readout's logits those of the ReLU network."""
        names = [name for name in self._scales if name != "input"]
        self.set_threshold(readout_name(self.params, names), 1 / self._sent)
        return Converted(self.params, self.state, self._scales)


def initialise(params: Tree, state: Tree, converted: Converted) -> tuple[Tree, Tree]:
    """Starts another spiking network of this architecture from a converted one: hybrid training.

    The network keeps its own thresholds; a kernel is scaled by its layer's threshold over the converted one, which
    without leak makes the same spikes. Where a block's shortcut is the input itself, which cannot be scaled, the
    converted threshold is taken over.

    Args:
      params, state: of the network to start, from `models.functionalize`; pools keep their thresholds.
      converted: from `thresholds_from_activations` or `thresholds_from_currents`.

    Returns:
      Its params and state.

    Raises:
      ValueError: naming the layer, if it has another shape or is missing, or its threshold is learned.
    """
    names = [name for name in converted.scales if name != "input" and _at(converted.params, name) is not None]
    for name in (*names, readout_name(converted.params, list(converted.scales))):
        path, kernel, own = name.split("/"), _at(converted.params, name)["kernel"], _at(params, name)
        if own is None or jnp.shape(own["kernel"]) != kernel.shape:
            have = "no such layer" if own is None else f"a kernel {jnp.shape(own['kernel'])}"
            raise ValueError(
                f"cannot start from the converted network: {name} has a kernel {kernel.shape}, here {have}"
            )
        constants = _at(state, name)["constants"]
        if "threshold" not in constants:
            raise ValueError(
                f"cannot start from the converted network: the threshold of {name} is learned; leave it out of learn"
            )
        threshold = _at(converted.state, name)["constants"]["threshold"]
        ratio, block = constants["threshold"] / threshold, params[path[0]]
        if path[-1] == "conv2" and len(path) > 1 and "shortcut" not in block:
            state = _changed(state, (*path, "constants", "threshold"), lambda old, new=threshold: new.astype(old.dtype))
            ratio = jnp.ones_like(ratio)
        elif path[-1] == "conv2" and len(path) > 1:
            shortcut = converted.params[path[0]]["shortcut"]["kernel"] * ratio
            params = _changed(params, (path[0], "shortcut", "kernel"), lambda old, new=shortcut: new.astype(old.dtype))
        params = _changed(params, (*path, "kernel"), lambda old, new=kernel * ratio: new.astype(old.dtype))
    return params, state


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
