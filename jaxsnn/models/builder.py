"""Networks layer by layer: names, sizes and options are kept here, so that an architecture is a few lines."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
from flax import nnx

from jaxsnn import neurons as rules
from jaxsnn.layers import NORMS, AvgPool, Conv, Dense, Layer, Masks, NeuronLayer, Subsample, Synapse
from jaxsnn.models.network import Network
from jaxsnn.models.rows import INPUT
from jaxsnn.neurons import Neuron, Neurons
from jaxsnn.synapses import Precision
from jaxsnn.typing import DTypeLike, Shape

Pool = Literal["spiking", "average"]


@dataclass(frozen=True)
class NetworkOptions:
    """The options of every network in `MODELS`, and of `Builder`."""

    input_shape: Shape
    """Shape of one sample at one time step: `(H, W, C)`, channels last, or `(features,)`."""
    num_classes: int
    """Size of the readout."""
    neurons: Neurons = field(default_factory=rules.spikebp)
    """Rule, surrogate, leak and threshold of all layers, from `jaxsnn.neurons`."""
    per_layer: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other values for single layers, by field and layer, e.g. `{"threshold": {"fc1": 0.5, "pool1": 0.6}}`."""
    readout: str = "last"
    """The answer: the readout's last potential ("last"), or its mean over time ("mean")."""
    norm: str = ""
    """Key of `layers.NORMS`: between synapses and neurons of every convolution and hidden dense layer; empty: none."""
    dropout: float = 0.0
    """Rate after every convolution and hidden dense layer (not after pools: the paper's code has none there)."""
    dropout_mask: Masks = "fixed"
    """One mask for all steps (E5), "fixed", or another at every step, "fresh"."""
    pool: Pool = "spiking"
    """Average pools with neurons (E3), "spiking", or without, "average"."""
    width: float = 1.0
    """Multiplies the features of every hidden layer, rounded, at least 1."""
    init_gain: float = 1.0
    """Factor on the initial weights, which are normal with standard deviation `sqrt(scale / fan_in)`. Above 1 where
    layers would be silent (see `analysis.activity`)."""
    param_dtype: DTypeLike = jnp.float32
    """Dtype of weights and input."""
    compute_dtype: DTypeLike | None = None
    """Dtype of spikes and currents between layers, e.g. `jnp.bfloat16`; None for `param_dtype`. Membranes and sums have
    float32 at least."""
    precision: Precision = "default"
    """Products of the synapses: the platform's fastest, or "exact" ones, whose sums of whole numbers are whole: for
    quantised weights, and to compare potentials at the threshold with another tool's."""

    def __post_init__(self) -> None:
        if not self.input_shape or min(*self.input_shape, self.num_classes) < 1:
            raise ValueError(
                "a model needs input_shape, as (H, W, C) or (features,), and num_classes, all >= 1, got "
                f"{self.input_shape} and {self.num_classes}"
            )
        for name in ("width", "init_gain"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"width and init_gain must be > 0 and finite, got {name}={getattr(self, name)}")
        if self.norm and self.norm not in NORMS:
            raise ValueError(
                f"norm must be one of {', '.join(NORMS) or 'none, since there is none'}, got {self.norm!r}"
            )
        if self.pool not in get_args(Pool):
            raise ValueError(f"pool must be 'spiking' or 'average', got {self.pool!r}")


class Tap(NamedTuple):
    """A place in the network from which a later layer can receive spikes."""

    source: str
    shape: Shape


class Builder:
    """Adds layers one after another; `finish` adds the readout and returns the network.

    Layers are named by kind and number in network order: `conv1`, `pool1`, `fc1`, ...

    Args:
      rngs: for the weights, normal with standard deviation `init_gain * sqrt(init_scale / fan_in)`.
      init_scale: the architecture's own: 2 in the paper's LeNet and VGG, 1 in its ResNets.
      options: as in `NetworkOptions`.

    Raises:
      ValueError: for sizes that cannot be, or names in `per_layer` that no layer has (from `finish`).
    """

    def __init__(self, *, rngs: nnx.Rngs, init_scale: float, **options: Any):
        self.options = NetworkOptions(**options)
        self._rngs = rngs
        self._weights = {
            "rngs": rngs,
            "init_scale": self.options.init_gain**2 * init_scale,
            "param_dtype": self.options.param_dtype,
            "precision": self.options.precision,
        }
        self._per_layer = {name: dict(values) for name, values in self.options.per_layer.items()}
        self._layers: dict[str, Layer] = {}
        self._numbers: dict[str, int] = {}
        self._here = Tap(INPUT, tuple(self.options.input_shape))

    def here(self) -> Tap:
        """The place behind the last layer."""
        return self._here

    def next_name(self, kind: str) -> str:
        """The name of the next layer of a kind, e.g. `conv3`."""
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return f"{kind}{self._numbers[kind]}"

    def conv(
        self,
        features: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        name: str | None = None,
        shortcut: tuple[str, Tap] | None = None,
    ) -> None:
        """A convolution with neurons, whose zero padding keeps height and width at stride 1.

        Args:
          features: before `width` multiplies them.
          kernel_size: odd.
          stride: of the output grid.
          name: None for the next `conv<n>`.
          shortcut: name and source of synapses whose currents are added (E4): a 1x1 convolution of the same stride,
            or, where the widths are equal, every `stride`-th row and column.

        Raises:
          ValueError: for an even kernel, or behind a layer that sends no maps.
        """
        name = self.next_name("conv") if name is None else name
        if kernel_size % 2 == 0 or kernel_size < 1:
            raise ValueError(f"{name}: kernel_size must be odd, so that maps keep their size, got {kernel_size}")
        options: dict[str, Any] = {"stride": stride, **self._weights}
        features = self._wide(features)
        more: dict[str, tuple[str, Synapse]] = {}
        synapse = Conv(self._channels(name, self._here), features, kernel_size, padding=kernel_size // 2, **options)
        if shortcut is not None:
            label, tap = shortcut
            channels = self._channels(label, tap)
            around = Subsample(stride) if channels == features else Conv(channels, features, 1, padding=0, **options)
            more = {label: (tap.source, around)}
        norm = self._norm(features)
        self.add(name, synapse, self.options.neurons.hidden, norm=norm, more=more, dropout=True)

    def pool(self) -> None:
        """An average pool by 2, with neurons or without; an odd last row or column is left out."""
        name = self.next_name("pool")
        if len(self._here.shape) != 3 or min(self._here.shape[:2]) < 2:
            raise ValueError(
                f"{name} would halve {self._here.source} of shape {list(self._here.shape)}: "
                f"input_shape={self.options.input_shape} is too small for this network"
            )
        self.add(name, AvgPool(), self.options.neurons.pool if self.options.pool == "spiking" else None)

    def dense(self, features: int) -> None:
        """A hidden dense layer with neurons."""
        features = self._wide(features)
        synapse = Dense(math.prod(self._here.shape), features, **self._weights)
        hidden, norm = self.options.neurons.hidden, self._norm(features)
        self.add(self.next_name("fc"), synapse, hidden, norm=norm, dropout=True)

    def add(
        self,
        name: str,
        synapse: Synapse,
        neuron: Neuron | None,
        *,
        norm: nnx.Module | None = None,
        more: Mapping[str, tuple[str, Synapse]] | None = None,
        dropout: bool = False,
    ) -> None:
        """Any layer behind the last one.

        Args:
          name: of the layer and of `synapse`.
          synapse: receives the last layer's spikes.
          neuron: None to send the currents on as they are.
          norm: between synapses and neurons, see `layers.Layer`.
          more: further synapses by name, with their sources; the currents of all are summed.
          dropout: whether the network's dropout follows.

        Raises:
          ValueError: for synapses that do not fit the last layer, or values in `per_layer` that the neuron refuses.
        """
        shape = synapse.connection(name, self._here.source, name, self._here.shape).output_shape
        synapses = {name: (self._here.source, synapse), **(more or {})}
        layer = None if neuron is None else self._neurons(name, neuron, shape)
        self._layers[name] = Layer(name, synapses, layer, norm, dropout)
        self._here = Tap(name, shape)

    def finish(self) -> Network:
        """Adds the readout and returns the network."""
        synapse = Dense(math.prod(self._here.shape), self.options.num_classes, **self._weights)
        self.add(self.next_name("fc"), synapse, self.options.neurons.readout)
        for what, values in self._per_layer.items():
            if values:
                raise ValueError(
                    f"{what} given for {', '.join(values)}: this network has no such layer, or its neurons have no "
                    f"{what}; its layers: {', '.join(self._layers)}"
                )
        options = self.options
        return Network(
            list(self._layers.values()),
            input_shape=options.input_shape,
            readout=options.readout,
            dropout=options.dropout,
            dropout_mask=options.dropout_mask,
            pack_spikes=options.neurons.pack_spikes,
            param_dtype=options.param_dtype,
            compute_dtype=options.compute_dtype,
        )

    def _wide(self, features: int) -> int:
        return max(1, round(self.options.width * features))

    def _norm(self, features: int) -> nnx.Module | None:
        return NORMS[self.options.norm](features, self.options.param_dtype) if self.options.norm else None

    def _channels(self, name: str, tap: Tap) -> int:
        if len(tap.shape) != 3:
            raise ValueError(
                f"{name} is a convolution and needs maps [H, W, C], but {tap.source} has {list(tap.shape)}"
            )
        return tap.shape[2]

    def _neurons(self, name: str, neuron: Neuron, shape: Shape) -> NeuronLayer:
        """The neurons of a layer with its own values; used values are no longer in `_per_layer`."""
        fields = getattr(neuron.params, "_fields", ())
        values = {
            what: layers.pop(name) for what, layers in self._per_layer.items() if name in layers and what in fields
        }
        learn = tuple(entry for entry in self.options.neurons.learn if self._learns(neuron, entry))
        return NeuronLayer(neuron, values=values, learn=learn, shape=shape, dtype=self.options.param_dtype)

    def _learns(self, neuron: Neuron, entry: str) -> bool:
        """Hidden layers learn all fields of `learn` (or refuse), a readout those that it can, a pool none."""
        hidden, _, readout, *_ = self.options.neurons
        return neuron is hidden or (neuron is readout and entry.partition(":")[0] in readout.bounds)
