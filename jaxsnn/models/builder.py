"""Networks layer by layer: names, sizes and options are kept here, so that an architecture is a few lines."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from flax import nnx

from jaxsnn import layers
from jaxsnn.layers import Join, Layer, NeuronLayer, Recurrence, Synapse
from jaxsnn.models.network import Network
from jaxsnn.models.options import NetworkOptions
from jaxsnn.models.rows import INPUT, Tap
from jaxsnn.neurons import Neuron, relay
from jaxsnn.synapses import Padding, Window
from jaxsnn.typing import Shape


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
        self._weights = {
            "rngs": rngs,
            "init_scale": self.options.init_gain**2 * init_scale,
            "param_dtype": self.options.param_dtype,
            "precision": self.options.precision,
            "bias": self.options.bias,
            "standardise": self.options.standardise,
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

    def at(self, tap: Tap) -> None:
        """Goes back: the next layer receives from this place."""
        self._here = tap

    def conv(
        self,
        features: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding: Padding | None = None,
        groups: int = 1,
        dilation: int = 1,
        name: str | None = None,
        shortcut: tuple[str, Tap] | None = None,
        neurons: bool = True,
        normed: bool = True,
    ) -> None:
        """A convolution with neurons, whose zero padding keeps height and width at stride 1.

        Args:
          features: before `width` multiplies them.
          kernel_size: odd, unless `padding` is given.
          stride, groups, dilation: as in `synapses.conv`; `groups=0` is one group per channel (depthwise).
          padding: another one, as in `synapses.conv`.
          name: None for the next `conv<n>`.
          shortcut: name and source of synapses whose currents are added (E4): a 1x1 convolution of the same stride,
            or, where the widths are equal, every `stride`-th row and column.
          neurons: False sends the (normed) currents on, to a `join` with one other branch.
          normed: False for no norm, e.g. where a pool of the currents comes first.

        Raises:
          ValueError: for an even kernel, or behind a layer that sends no maps.
        """
        name = self.next_name("conv") if name is None else name
        if padding is None and (kernel_size % 2 == 0 or kernel_size < 1):
            raise ValueError(
                f"{name}: kernel_size must be odd, so that maps keep their size, got {kernel_size}; or give padding"
            )
        around: Padding = dilation * (kernel_size // 2) if padding is None else padding
        features, channels = self._wide(features), self._channels(name, self._here)
        more: dict[str, tuple[str, Synapse]] = {}
        options: dict[str, Any] = {"padding": around, "groups": groups or channels, "dilation": dilation}
        synapse = layers.Conv(channels, features, kernel_size, stride=stride, **options, **self._weights)
        if shortcut is not None:
            label, tap = shortcut
            more = {label: (tap.source, self._shortcut(label, tap, features, stride))}
        neuron = self.options.neurons.hidden if neurons else None
        norm = self.norm(name, features, 1 if neurons else 2) if normed else None
        self.add(name, synapse, neuron, norm=norm, more=more, dropout=neurons)

    def pool(self, window: Window | None = 2) -> None:
        """A pool of the network's kind; an odd last row or column is left out. None: the whole map, without neurons."""
        name = self.next_name("pool")
        if len(self._here.shape) != 3 or (window is not None and min(self._here.shape[:2]) < 2):
            raise ValueError(
                f"{name} would halve {self._here.source} of shape {list(self._here.shape)}: "
                f"input_shape={self.options.input_shape} is too small for this network"
            )
        spiking = window is not None and self.options.pool == "spiking"
        synapse = (
            layers.MaxPool(window) if window is not None and self.options.pool == "max" else layers.AvgPool(window)
        )
        self.add(name, synapse, self.options.neurons.pool if spiking else None)

    def dense(self, features: int, *, recurrent: Recurrence | Literal[""] | None = None, normed: bool = True) -> None:
        """A hidden dense layer with neurons; `recurrent` instead of the network's option; unless `normed`, no norm."""
        features, name, options = self._wide(features), self.next_name("fc"), self.options
        size, longest = math.prod(self._here.shape), options.delays
        synapse: Synapse = layers.Dense(size, features, **self._weights)
        if longest:
            weights = {key: self._weights[key] for key in ("rngs", "init_scale", "param_dtype")}
            synapse = layers.DelayedDense(size, features, longest, **weights)
        more: dict[str, tuple[str, Synapse]] = {}
        if connect := options.recurrent if recurrent is None else recurrent:
            same: dict[str, Any] = {key: self._weights[key] for key in ("rngs", "param_dtype", "precision")}
            more = {
                f"{name}/recurrent": (name, layers.Recurrent(features, connect=connect, gain=options.init_gain, **same))
            }
        norm = self.norm(name, features) if normed else None
        self.add(name, synapse, options.neurons.hidden, norm=norm, more=more, dropout=True)

    def neurons(self, name: str | None = None) -> None:
        """Neurons that receive what the last layer sends, as it is: before the weights, "pre-activation"."""
        self.add(self.next_name("act") if name is None else name, layers.Identity(), self.options.neurons.hidden)

    def join(self, name: str, other: tuple[str, Tap], how: Join = "sum", *, neurons: bool = False) -> None:
        """Joins the last layer with another place, e.g. the begin of a residual block.

        Args:
          name: of the layer.
          other: name of the second bundle of synapses, and its place, whose shape must be the last layer's.
          how: see `layers.Join`.
          neurons: whether neurons receive the result; otherwise it is sent on as it is.
        """
        label, tap = other
        more: dict[str, tuple[str, Synapse]] = {label: (tap.source, layers.Identity())}
        self.add(name, layers.Identity(), self.options.neurons.hidden if neurons else None, more=more, join=how)

    def add(
        self,
        name: str,
        synapse: Synapse,
        neuron: Neuron | None,
        *,
        norm: nnx.Module | None = None,
        more: Mapping[str, tuple[str, Synapse]] | None = None,
        dropout: bool = False,
        join: Join = "sum",
    ) -> None:
        """Any layer behind the last one.

        Args:
          name: of the layer and of `synapse`.
          synapse: receives the last layer's spikes.
          neuron: None to send the currents on as they are.
          norm: between synapses and neurons, see `layers.Layer`.
          more: further synapses by name, with their sources; the currents of all are joined.
          dropout: whether the network's dropout follows.
          join: see `layers.Join`.

        Raises:
          ValueError: for synapses that do not fit the last layer, or values in `per_layer` that the neuron refuses.
        """
        shape = synapse.connection(name, self._here.source, name, self._here.shape).output_shape
        synapses = {name: (self._here.source, synapse), **(more or {})}
        layer = None if neuron is None else self._neurons(name, neuron, shape)
        self._layers[name] = Layer(name, synapses, layer, norm, dropout, join)
        self._here = Tap(name, shape)

    def finish(self) -> Network:
        """Adds the readout, which fires if there are `votes`, and returns the network."""
        classes, votes, neurons = self.options.num_classes, self.options.votes, self.options.neurons
        size = math.prod(self._here.shape)
        synapse = layers.Dense(size, classes * (votes or 1), **self._weights | {"standardise": False})
        self.add(self.next_name("fc"), synapse, neurons.hidden if votes else neurons.readout)
        if votes:
            self.add("voting", layers.Voting(classes), relay())
        for what, values in self._per_layer.items():
            if values:
                raise ValueError(
                    f"{what} given for {', '.join(values)}: this network has no such layer, or its neurons have no "
                    f"{what}; its layers: {', '.join(self._layers)}"
                )
        same = ("input_shape", "readout", "dropout", "dropout_mask", "static_input", "param_dtype", "compute_dtype")
        options: dict[str, Any] = {name: getattr(self.options, name) for name in same}
        return Network(list(self._layers.values()), pack_spikes=neurons.pack_spikes, **options)

    def _wide(self, features: int) -> int:
        return max(1, round(self.options.width * features))

    def _shortcut(self, name: str, tap: Tap, features: int, stride: int) -> Synapse:
        channels = self._channels(name, tap)
        if channels == features:
            return layers.Subsample(stride)
        return layers.Conv(channels, features, 1, stride=stride, padding=0, **self._weights)

    def norm(self, name: str, features: int, branches: int = 1) -> nnx.Module | None:
        """The network's norm for a layer of this name, whose currents are one of `branches` that are summed."""
        options, own = self.options, self._per_layer.get("threshold", {})
        threshold = own.get(name, getattr(options.neurons.hidden.params, "threshold", None))
        more = {"steps": options.time_steps, "threshold": threshold, "branches": branches}
        make = layers.NORMS.get(options.norm)
        return make and make(features, options.param_dtype, groups=options.norm_groups, **more)

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
        options: dict[str, Any] = {"dtype": self.options.param_dtype, "rngs": self._weights["rngs"]}
        return NeuronLayer(neuron, values=values, learn=learn, shape=shape, **options)

    def _learns(self, neuron: Neuron, entry: str) -> bool:
        """Hidden layers learn all fields of `learn` (or refuse), a readout those that it can, a pool none."""
        hidden, _, readout, *_ = self.options.neurons
        return neuron is hidden or (neuron is readout and entry.partition(":")[0] in readout.bounds)
