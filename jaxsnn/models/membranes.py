"""Membrane potentials of a network's neurons, for looking at them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flax import nnx

from jaxsnn.models.functional import functionalize
from jaxsnn.models.network import Network
from jaxsnn.typing import Array


class Membrane(NamedTuple):
    """The neurons of one layer between their spikes."""

    potentials: Array
    """Potentials that the neurons compare with the threshold, before the reset, `[T, B, ...]`."""
    threshold: Array
    """Firing threshold, a scalar or broadcastable to the neurons."""


Membranes = Callable[[dict[str, Any], dict[str, Any], Mapping[str, Array]], dict[str, Membrane]]


def membranes(module: Network) -> Membranes:
    """The membranes of every hidden layer, computed again from recorded spikes.

    Args:
      module: from `models.create`.

    Returns:
      A pure function `(params, model_state, spikes) -> layer name to Membrane`, with `params` and `model_state` as of
      `functionalize`, and `spikes` as the network returns them with `record=True`, from rest and without dropout. A
      pool without neurons has no membrane and is left out. All potentials of all steps: meant for a few samples.

    Raises:
      TypeError: from that function, for neurons without a membrane.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxsnn import encoding, models
      >>> model = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, rngs=nnx.Rngs(0))
      >>> apply, params, model_state = models.functionalize(model)
      >>> x = encoding.poisson(jax.random.key(0), jnp.full((1, 8, 8, 1), 0.5), 10)
      >>> output, _ = apply(params, model_state, x, record=True)
      >>> models.membranes(model)(params, model_state, output.spikes)["pool1"].potentials.shape
      (10, 1, 4, 4, 20)
    """
    look, _, _ = functionalize(_Watched(module))

    def run(params: dict[str, Any], model_state: dict[str, Any], spikes: Mapping[str, Array]) -> dict[str, Membrane]:
        return look({"network": params}, {"network": model_state}, spikes)[0]  # type: ignore[arg-type]

    return run


class _Watched(nnx.Module):
    """A network that is asked for its membranes instead of its output."""

    def __init__(self, network: Network):
        self.network = network

    def __call__(self, spikes: Mapping[str, Array]) -> dict[str, Membrane]:
        thresholds = self.network.thresholds()
        return {name: Membrane(v, thresholds[name]) for name, v in self.network.membranes(spikes).items()}
