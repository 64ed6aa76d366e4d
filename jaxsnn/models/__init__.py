"""Networks by name: `create(name, ...)` builds one, `functionalize` turns it into a pure function and plain dicts."""

import difflib
from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers import Neuron, SpikeBP
from jaxsnn.models.chunks import default_chunk, in_chunks
from jaxsnn.models.functional import Apply, functionalize
from jaxsnn.models.lenet import lenet
from jaxsnn.models.sequential import Output, Sequential
from jaxsnn.models.vgg import vgg, vgg9
from jaxsnn.typing import DTypeLike

MODELS: dict[str, Callable[..., Sequential]] = {"lenet": lenet, "vgg9": vgg9}

__all__ = [
    "MODELS",
    "Apply",
    "Output",
    "Sequential",
    "create",
    "default_chunk",
    "functionalize",
    "in_chunks",
    "lenet",
    "vgg",
    "vgg9",
]


def create(
    name: str,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    neuron: Neuron | None = None,
    dropout: float = 0.0,
    init_scale: float = 2.0,
    param_dtype: DTypeLike = jnp.float32,
    compute_dtype: DTypeLike | None = None,
    rngs: nnx.Rngs,
) -> Sequential:
    """Builds a network by name.

    Args:
      name: key of `MODELS`.
      input_shape: `(H, W, C)` of one input, channels last.
      num_classes: size of the readout.
      neuron: rule, surrogate, leak and threshold of all layers: `layers.SpikeBP()` (the default) or `layers.LIF(...)`.
      dropout: rate after every hidden layer.
      init_scale: weights are normal with standard deviation `sqrt(init_scale / fan_in)`.
      param_dtype: of weights and input.
      compute_dtype: of spikes and currents between layers, e.g. `jnp.bfloat16`; None for `param_dtype`. Membranes and
        sums have float32 at least.
      rngs: `nnx.Rngs(seed)`.

    Raises:
      ValueError: for an unknown name, or sizes that the network cannot have.
    """
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown model {name!r}: known are {', '.join(sorted(MODELS))}{hint}")
    if len(input_shape) != 3 or min(*input_shape, num_classes) < 1:
        raise ValueError(
            f"a model needs input_shape=(H, W, C) and num_classes, all >= 1, got {input_shape} and {num_classes}"
        )
    return MODELS[name](
        input_shape=tuple(input_shape),
        num_classes=num_classes,
        neuron=SpikeBP() if neuron is None else neuron,
        dropout=dropout,
        init_scale=init_scale,
        param_dtype=param_dtype,
        compute_dtype=compute_dtype,
        rngs=rngs,
    )
