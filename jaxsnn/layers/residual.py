"""A residual block of spiking convolutions: two of them, and a shortcut into the second one's membranes (E4)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxsnn import synapses
from jaxsnn.layers.neurons import Neuron
from jaxsnn.layers.spiking import SpikingConv, kept_by, normal_kernel
from jaxsnn.typing import Array, DTypeLike

Part = Callable[..., tuple[Array, Any]]
"""`(x, carry, mask) -> (spikes, carry)`, one layer of neurons."""


class Shortcut(nnx.Module):
    """1x1 convolution without neurons: `[T, B, H, W, C]` to currents `[T, B, H/stride, W/stride, features]`."""

    def __init__(
        self,
        channels: int,
        features: int,
        *,
        stride: int,
        neuron: Neuron,
        rngs: nnx.Rngs,
        spikes: bool = True,
        init_scale: float = 1.0,
        param_dtype: DTypeLike = jnp.float32,
    ):
        self.kernel = normal_kernel(rngs, (1, 1, channels, features), init_scale, param_dtype)
        self.stride, self.kept = stride, kept_by(neuron, spikes)

    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        return synapses.conv(x, self.kernel[...], stride=self.stride, padding=0, storage=self.kept, mask=mask)


class ResidualBlock(nnx.Module):
    """Two 3x3 convolutions with neurons; the block's input goes round them into the membranes of the second.

    The stride is on the second convolution and on the shortcut. The shortcut is a 1x1 convolution, or, where the widths
    are equal, the input itself at every `stride`-th row and column.

    Attributes:
      neurons: those of the first and of the second convolution.

    Source: Lee et al. (2020), as released: (E4) in docs/equations.md.
    """

    def __init__(
        self,
        channels: int,
        features: int,
        *,
        neurons: tuple[Neuron, Neuron],
        rngs: nnx.Rngs,
        stride: int = 1,
        spikes: bool = True,
        init_scale: float = 1.0,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options: dict[str, Any] = {"rngs": rngs, "init_scale": init_scale, "param_dtype": param_dtype}
        first, second = neurons
        self.conv1 = SpikingConv(channels, features, 3, padding=1, neuron=first, spikes=spikes, **options)
        self.conv2 = SpikingConv(features, features, 3, stride=stride, padding=1, neuron=second, spikes=True, **options)
        if channels != features:
            self.shortcut = Shortcut(channels, features, stride=stride, neuron=second, spikes=spikes, **options)
        self.stride, self.equal = stride, channels == features

    def parts(self, x: Array, mask: Array | None = None) -> dict[str, Part]:
        """The layers `conv1` and `conv2` for a block input `x` `[T, B, H, W, C]`, dropped out by `mask` `[B, ...]`."""
        return {"conv1": self.conv1, "conv2": partial(self._second, block_input=(x, mask))}

    def _second(
        self, x: Array, carry: Any, mask: Array | None, *, block_input: tuple[Array, Array | None]
    ) -> tuple[Array, Any]:
        shortcut = partial(synapses.subsample, stride=self.stride) if self.equal else self.shortcut
        return self.conv2(x, carry, mask, more=shortcut(*block_input))

    def __call__(self, x: Array, carry: Any = None, mask: Array | None = None) -> tuple[Array, Any]:
        """Runs T steps: `[T, B, H, W, C]` to spikes `[T, B, H/stride, W/stride, features]`; no dropout inside."""
        carries = {}
        y, y_mask = x, mask
        for name, part in self.parts(x, mask).items():
            y, carries[name] = part(y, None if carry is None else carry[name], y_mask)
            y_mask = None
        return y, carries
