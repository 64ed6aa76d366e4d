"""LeNet of Lee et al. (2020): conv5x5 20, pool, conv5x5 50, pool, dense 200, readout."""

import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers import Neuron, Readout, SpikingAvgPool, SpikingConv, SpikingDense
from jaxsnn.models.sequential import Sequential
from jaxsnn.typing import DTypeLike


def lenet(
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
    """Builds the network; 517,500 weights for 28x28x1 and 10 classes.

    Args:
      input_shape: `(H, W, C)`, H and W divisible by 4.
      num_classes: size of the readout.
      neuron: rule, surrogate, leak and threshold of all layers.
      rngs: for the weights, normal with standard deviation `sqrt(init_scale / fan_in)`.
      dropout: rate after every hidden layer (the paper: none).
      init_scale: gain of the weights.
      param_dtype: of weights and input.
      compute_dtype: of spikes and currents between layers, e.g. `jnp.bfloat16`; None for `param_dtype`. Membranes and
        sums have float32 at least.

    Raises:
      ValueError: if H or W is not divisible by 4.

    Source: Lee et al. (2020) and their released code.
    """
    height, width, channels = input_shape
    if height % 4 or width % 4:
        raise ValueError(f"lenet pools twice by 2: H and W must be divisible by 4, got input_shape={input_shape}")
    spikes = not dropout  # which scales them to other than whole numbers
    synapse = {"neuron": neuron, "rngs": rngs, "init_scale": init_scale, "param_dtype": param_dtype}
    layers: dict[str, nnx.Module] = {
        "conv1": SpikingConv(channels, 20, 5, **synapse),
        "pool1": SpikingAvgPool(neuron=neuron, param_dtype=param_dtype),
        "conv2": SpikingConv(20, 50, 5, spikes=spikes, **synapse),
        "pool2": SpikingAvgPool(neuron=neuron, param_dtype=param_dtype),
        "fc1": SpikingDense(height // 4 * (width // 4) * 50, 200, spikes=spikes, **synapse),
        "fc2": Readout(200, num_classes, spikes=spikes, **synapse),
    }
    return Sequential(
        layers, input_shape=input_shape, dropout=dropout, param_dtype=param_dtype, compute_dtype=compute_dtype
    )
