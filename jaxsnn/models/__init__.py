"""Networks by name: `create(name, ...)` builds one, `functionalize` turns it into a pure function and plain dicts."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers import Masks, Neuron
from jaxsnn.models.builder import Builder, Pool
from jaxsnn.models.chunks import default_chunk, in_chunks
from jaxsnn.models.connections import connections
from jaxsnn.models.functional import Apply, functionalize
from jaxsnn.models.lenet import lenet
from jaxsnn.models.membranes import Membrane, Membranes, membranes
from jaxsnn.models.resnet import resnet, resnet7, resnet9, resnet11
from jaxsnn.models.sequential import Output, Sequential
from jaxsnn.models.vgg import vgg, vgg9
from jaxsnn.typing import DTypeLike

MODELS: dict[str, Callable[..., Sequential]] = {
    "lenet": lenet,
    "vgg9": vgg9,
    "resnet7": resnet7,
    "resnet9": resnet9,
    "resnet11": resnet11,
}

__all__ = [
    "MODELS",
    "Apply",
    "Builder",
    "Membrane",
    "Membranes",
    "Output",
    "Pool",
    "Sequential",
    "connections",
    "create",
    "default_chunk",
    "functionalize",
    "in_chunks",
    "lenet",
    "membranes",
    "resnet",
    "resnet7",
    "resnet9",
    "resnet11",
    "vgg",
    "vgg9",
]


def create(
    name: str,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    neuron: Neuron | None = None,
    leaks: Mapping[str, float] | None = None,
    thresholds: Mapping[str, float] | None = None,
    dropout: float = 0.0,
    dropout_mask: Masks = "fixed",
    pool: Pool = "spiking",
    width: float = 1.0,
    init_gain: float = 1.0,
    param_dtype: DTypeLike = jnp.float32,
    compute_dtype: DTypeLike | None = None,
    rngs: nnx.Rngs,
) -> Sequential:
    """Builds a network by name.

    Args:
      name: key of `MODELS`.
      input_shape: `(H, W, C)` of one input, channels last; any size that the network's pools can halve.
      num_classes: size of the readout.
      neuron: rule, surrogate, leak and threshold of all layers: `layers.SpikeBP()` (the default) or `layers.LIF(...)`.
      leaks, thresholds: other values for single layers, by name, e.g. `thresholds={"fc1": 0.5, "pool1": 0.6}`.
      dropout: rate after every convolution and hidden dense layer.
      dropout_mask: "fixed", one mask for all steps (E5), or "fresh", another at every step.
      pool: "spiking", average pools with neurons (E3), or "average", without.
      width: multiplies the features of every hidden layer.
      init_gain: factor on the initial weights, which are normal with standard deviation `sqrt(scale / fan_in)`, scale
        2 for LeNet and VGG, 1 for ResNets. Above 1 where layers would be silent (see `analysis.activity`).
      param_dtype: of weights and input.
      compute_dtype: of spikes and currents between layers, e.g. `jnp.bfloat16`; None for `param_dtype`. Membranes and
        sums have float32 at least.
      rngs: `nnx.Rngs(seed)`.

    Raises:
      ValueError: for an unknown name, sizes that the network cannot have, or leaks and thresholds of layers that it
        has not.
    """
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown model {name!r}: known are {', '.join(sorted(MODELS))}{hint}")
    options: dict[str, Any] = {
        "input_shape": input_shape,
        "num_classes": num_classes,
        "neuron": neuron,
        "leaks": leaks,
        "thresholds": thresholds,
        "dropout": dropout,
        "dropout_mask": dropout_mask,
        "pool": pool,
        "width": width,
        "init_gain": init_gain,
        "param_dtype": param_dtype,
        "compute_dtype": compute_dtype,
        "rngs": rngs,
    }
    return MODELS[name](**options)
