"""VGG networks: stages of 3x3 convolutions, each closed by a spiking average pool, then dense layers."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers import Neuron, Readout, SpikingAvgPool, SpikingConv, SpikingDense
from jaxsnn.models.sequential import Sequential
from jaxsnn.typing import DTypeLike


def vgg(
    stages: Sequence[Sequence[int]],
    hidden: Sequence[int],
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    neuron: Neuron,
    rngs: nnx.Rngs,
    dropout: float = 0.0,
    init_scale: float = 2.0,
    param_dtype: DTypeLike = jnp.float32,
    compute_dtype: DTypeLike | None = None,
) -> Sequential:
    """Builds a network of `stages`, each the widths of its convolutions, and `hidden` dense layers before the readout.

    Args:
      stages: e.g. `((64, 64), (128, 128))`; each stage halves height and width.
      hidden: widths of the dense layers.
      input_shape: `(H, W, C)`, H and W divisible by 2 for every stage.
      num_classes: size of the readout.
      neuron: rule, surrogate, leak and threshold of all layers.
      rngs: for the weights, normal with standard deviation `sqrt(init_scale / fan_in)`.
      dropout: rate after every hidden layer.
      init_scale: gain of the weights.
      param_dtype: of weights and input.
      compute_dtype: of spikes and currents between layers, e.g. `jnp.bfloat16`; None for `param_dtype`. Membranes and
        sums have float32 at least.

    Raises:
      ValueError: if H or W cannot be halved that often.
    """
    height, width, channels = input_shape
    if height % 2 ** len(stages) or width % 2 ** len(stages):
        raise ValueError(
            f"{len(stages)} pools by 2 need H and W divisible by {2 ** len(stages)}, got input_shape={input_shape}"
        )
    synapse = {"neuron": neuron, "rngs": rngs, "init_scale": init_scale, "param_dtype": param_dtype}
    layers: dict[str, nnx.Module] = {}
    convolutions = 0
    for number, stage in enumerate(stages, 1):
        for features in stage:
            convolutions += 1
            # what the first layer receives may be an analog image; dropout scales spikes to other than whole numbers
            spikes = convolutions > 1 and not dropout
            layers[f"conv{convolutions}"] = SpikingConv(channels, features, 3, spikes=spikes, **synapse)
            channels = features
        layers[f"pool{number}"] = SpikingAvgPool(neuron=neuron, param_dtype=param_dtype)
    inputs = height * width // 4 ** len(stages) * channels
    for number, features in enumerate(hidden, 1):
        layers[f"fc{number}"] = SpikingDense(inputs, features, spikes=not dropout, **synapse)
        inputs = features
    layers[f"fc{len(hidden) + 1}"] = Readout(inputs, num_classes, spikes=not dropout, **synapse)
    return Sequential(
        layers, input_shape=input_shape, dropout=dropout, param_dtype=param_dtype, compute_dtype=compute_dtype
    )


def vgg9(**options: Any) -> Sequential:
    """VGG9 of Lee et al. (2020): 5,938,880 weights for 32x32x3 and 10 classes; options as in `vgg`."""
    return vgg(((64, 64), (128, 128), (256, 256, 256)), (1024,), **options)
