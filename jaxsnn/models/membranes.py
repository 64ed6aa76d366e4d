"""Membrane potentials of a network's neurons, for looking at them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from flax import nnx

from jaxsnn.cells import integrate_and_fire, lif
from jaxsnn.layers import LIF, AvgPool, Neuron, ResidualBlock, SpikeBP, SpikingAvgPool
from jaxsnn.models.sequential import Sequential
from jaxsnn.typing import Array, DTypeLike, Shape
from jaxsnn.unroll import unroll


class Membrane(NamedTuple):
    """What the neurons of one layer do between their spikes."""

    potentials: Array
    """What is compared with the threshold at every step, before the reset, `[T, B, ...]`."""
    threshold: Array
    """Firing threshold, a scalar."""


Membranes = Callable[[dict[str, Any], dict[str, Any], Mapping[str, Array]], dict[str, Membrane]]


def membranes(module: Sequential) -> Membranes:
    """The membranes of every hidden layer, computed again from recorded spike trains.

    Every layer is given the recorded train of the one before it, and neurons that send their potentials.

    Args:
      module: from `models.create`.

    Returns:
      A pure function `(params, state, trains) -> layer name to Membrane`, with `params` and `state` as of
      `functionalize`, and `trains` as the network returns them with `record=True`, from rest and without dropout. A
      pool without neurons has no membrane and is left out. All potentials of all steps: meant for a few samples.

    Raises:
      TypeError: from that function, for neurons without a membrane.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxsnn import encoding, models
      >>> model = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, rngs=nnx.Rngs(0))
      >>> apply, params, state = models.functionalize(model)
      >>> x = encoding.poisson(jax.random.key(0), jnp.full((1, 8, 8, 1), 0.5), 10)
      >>> output, _ = apply(params, state, x, record=True)
      >>> models.membranes(model)(params, state, output.trains)["pool1"].potentials.shape
      (10, 1, 4, 4, 20)
    """
    graph, _, _ = nnx.split(module, nnx.Param, ...)  # type: ignore[misc]

    def run(params: dict[str, Any], state: dict[str, Any], trains: Mapping[str, Array]) -> dict[str, Membrane]:
        network = nnx.merge(graph, params, state)
        found, x = {}, trains["input"].astype(network.compute_dtype)
        for name in network.names[:-1]:
            layer = getattr(network, name)
            if isinstance(layer, AvgPool):
                x, _ = layer(x)
                continue
            calls, holders = {name: layer}, {name: layer}
            if isinstance(layer, ResidualBlock):
                calls = {f"{name}/{part}": call for part, call in layer.parts(x).items()}
                holders = {f"{name}/conv1": layer.conv1, f"{name}/conv2": layer.conv2}
            for part, holder in holders.items():
                holder.neuron = _Watched(holder.neuron)
                potentials, _ = calls[part](x, None, None)
                pool = isinstance(holder, SpikingAvgPool)
                found[part] = Membrane(potentials, holder.threshold[...] if pool else holder.constants().threshold)
                x = trains[part]
        return found

    return run


@dataclass(frozen=True)
class _Watched:
    """Sends the potentials of a neuron, before its resets, in place of its spikes."""

    neuron: Neuron

    def init_hidden(self, params: lif.LIFParams, shape: Shape, dtype: DTypeLike) -> lif.LIFState:
        return lif.init(params, shape, dtype)

    def hidden(self, params: lif.LIFParams, state: lif.LIFState, currents: Array) -> tuple[lif.LIFState, Array]:
        if isinstance(self.neuron, SpikeBP):
            reset, leak_first = "hard", False
        elif isinstance(self.neuron, LIF):
            reset, leak_first = self.neuron.reset, self.neuron.leak_first
        else:
            raise TypeError(f"{type(self.neuron).__name__} neurons have no membrane: only SpikeBP and LIF have")
        step = partial(lif.step, params, reset=reset, leak_first=leak_first)  # type: ignore[arg-type]
        trace = partial(lif.integrate, params, leak_first=leak_first)
        run = unroll(step, state, currents.astype(state.potential.dtype), trace=trace)
        return run.state, run.trace

    def pool(
        self, params: integrate_and_fire.IFParams, state: lif.LIFState, currents: Array
    ) -> tuple[lif.LIFState, Array]:
        return self.hidden(lif.LIFParams(1.0, params.threshold), state, currents)
