"""Networks layer by layer: names, sizes and options are kept in one place, so that an architecture is a few lines."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers import (
    AvgPool,
    Masks,
    Neuron,
    Readout,
    ResidualBlock,
    SpikeBP,
    SpikingAvgPool,
    SpikingConv,
    SpikingDense,
)
from jaxsnn.models.sequential import Sequential
from jaxsnn.typing import DTypeLike

Pool = Literal["spiking", "average"]


class Builder:
    """Adds layers one after another; `finish` adds the readout and returns the network.

    Layers are named by kind and number in network order: `conv1`, `pool1`, `block1`, `fc1`, ...

    Args:
      input_shape: `(H, W, C)` of one input, channels last.
      num_classes: size of the readout.
      rngs: for the weights, normal with standard deviation `init_gain * sqrt(init_scale / fan_in)`.
      init_scale: what the architecture asks for: 2 in the paper's LeNet and VGG, 1 in its ResNets.
      init_gain: factor on all initial weights; above 1 where deep layers would be silent.
      neuron: rule, surrogate, leak and threshold of all layers; None for `layers.SpikeBP()`.
      leaks, thresholds: other values for single layers, by name, e.g. `{"block1/conv2": 0.9}`.
      dropout: rate after every convolution and hidden dense layer (not after pools: the paper's code has none there).
      dropout_mask: "fixed", one mask for all steps (E5), or "fresh", another at every step.
      pool: "spiking", an average pool with integrate-and-fire neurons (E3), or "average", one without: what it passes
        on are means of spikes, which the layer behind it keeps as floats for the backward pass.
      width: multiplies the features of every hidden layer, rounded, at least 1.
      param_dtype: of weights and input.
      compute_dtype: of spikes and currents between layers, e.g. `jnp.bfloat16`; None for `param_dtype`. Membranes and
        sums have float32 at least.

    Raises:
      ValueError: for sizes that cannot be, or names in `leaks` and `thresholds` that no layer has (from `finish`).
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        rngs: nnx.Rngs,
        init_scale: float,
        init_gain: float = 1.0,
        neuron: Neuron | None = None,
        leaks: Mapping[str, float] | None = None,
        thresholds: Mapping[str, float] | None = None,
        dropout: float = 0.0,
        dropout_mask: Masks = "fixed",
        pool: Pool = "spiking",
        width: float = 1.0,
        param_dtype: DTypeLike = jnp.float32,
        compute_dtype: DTypeLike | None = None,
    ):
        if len(input_shape) != 3 or min(*input_shape, num_classes) < 1:
            raise ValueError(
                f"a model needs input_shape=(H, W, C) and num_classes, all >= 1, got {input_shape} and {num_classes}"
            )
        if not width > 0 or not init_gain > 0:
            raise ValueError(f"width and init_gain must be > 0, got {width} and {init_gain}")
        if pool not in ("spiking", "average"):
            raise ValueError(f"pool must be 'spiking' or 'average', got {pool!r}")
        self._neuron: Neuron = SpikeBP() if neuron is None else neuron
        if self._neuron.analog and (leaks or thresholds):
            raise ValueError(f"ReLU has no leaks or thresholds, got leaks={leaks} and thresholds={thresholds}")
        self._others = {"leak": dict(leaks or {}), "threshold": dict(thresholds or {})}
        self._input_shape, self._classes, self._width, self._rngs = tuple(input_shape), num_classes, width, rngs
        self._shape = self._input_shape
        self._dropout, self._dropout_mask = dropout, dropout_mask
        self._param_dtype, self._compute_dtype = param_dtype, compute_dtype
        self._pool = pool
        self._scale = init_gain**2 * init_scale
        self._layers: dict[str, nnx.Module] = {}
        self._numbers = {"conv": 0, "pool": 0, "block": 0, "fc": 0}

    def conv(self, features: int, kernel_size: int = 3) -> None:
        """A convolution of an odd `kernel_size` that keeps height and width, with neurons."""
        name, features = self._next("conv"), self._wide(features)
        self._layers[name] = SpikingConv(
            self._shape[2], features, kernel_size, padding=kernel_size // 2, **self._synapse(name)
        )
        self._shape = (*self._shape[:2], features)

    def pool(self) -> None:
        """An average pool by 2, with neurons or without; an odd last row or column is left out."""
        name = self._next("pool")
        height, width, channels = self._shape
        if min(height, width) < 2:
            raise ValueError(
                f"{name} would halve maps of {height}x{width}: input_shape={self._input_shape} is too small for "
                "this network"
            )
        if self._pool == "average":
            self._layers[name] = AvgPool()
        else:
            neuron = self._neuron_of(name, threshold="pool_threshold")
            self._layers[name] = SpikingAvgPool(neuron=neuron, param_dtype=self._param_dtype)
        self._shape = (height // 2, width // 2, channels)

    def block(self, features: int, stride: int = 1) -> None:
        """A residual block, with the stride on its second convolution and its shortcut."""
        name, features = self._next("block"), self._wide(features)
        options = self._synapse(name)
        del options["neuron"]
        neurons = (self._neuron_of(f"{name}/conv1"), self._neuron_of(f"{name}/conv2"))
        self._layers[name] = ResidualBlock(self._shape[2], features, stride=stride, neurons=neurons, **options)
        height, width = (-(-side // stride) for side in self._shape[:2])
        self._shape = (height, width, features)

    def dense(self, features: int) -> None:
        """A hidden dense layer with neurons."""
        name, features = self._next("fc"), self._wide(features)
        self._layers[name] = SpikingDense(self._inputs(), features, **self._synapse(name))
        self._shape = (1, 1, features)

    def finish(self) -> Sequential:
        """Adds the readout and returns the network."""
        name = self._next("fc")
        self._layers[name] = Readout(self._inputs(), self._classes, **self._synapse(name))
        for what, values in self._others.items():
            if values:
                raise ValueError(
                    f"{what} given for {', '.join(values)}, which this network has not (or which has no {what}); its "
                    f"layers: {', '.join(self._layers)}, and block<n>/conv1, block<n>/conv2 inside a block"
                )
        return Sequential(
            self._layers,
            input_shape=self._input_shape,
            dropout=self._dropout,
            dropout_mask=self._dropout_mask,
            param_dtype=self._param_dtype,
            compute_dtype=self._compute_dtype,
        )

    def _next(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"{kind}{self._numbers[kind]}"

    def _wide(self, features: int) -> int:
        return max(1, round(self._width * features))

    def _inputs(self) -> int:
        height, width, channels = self._shape
        return height * width * channels

    def _neuron_of(self, name: str, threshold: str = "threshold") -> Neuron:
        """The neuron of a layer with its own leak and threshold; what is used up is no longer in `_others`."""
        changes = {}
        if name in self._others["threshold"]:
            changes[threshold] = self._others["threshold"].pop(name)
        if name in self._others["leak"] and threshold == "threshold":
            changes["leak"] = self._others["leak"].pop(name)
        return dataclasses.replace(self._neuron, **changes) if changes else self._neuron  # type: ignore[type-var]

    def _receives_spikes(self) -> bool:
        """Whether the next layer receives zeros and ones; an input may be analog, and an average pool sends means."""
        return bool(self._layers) and not isinstance(list(self._layers.values())[-1], AvgPool)

    def _synapse(self, name: str) -> dict[str, Any]:
        return {
            "neuron": self._neuron_of(name),
            "rngs": self._rngs,
            "spikes": self._receives_spikes(),
            "init_scale": self._scale,
            "param_dtype": self._param_dtype,
        }
