"""What is measured: networks as plans that every library builds in its own idiom, their inputs and first weights.

Nothing here needs jax, so that the workers of other libraries (`benchmarks.peers`) can use it in their own environment.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

LEARNING_RATE = 1e-4
LEAK, THRESHOLD, POOL_THRESHOLD = 0.99, 1.0, 0.75


class Network(NamedTuple):
    """A network and its input."""

    model: str
    input_shape: tuple[int, ...]
    steps: int
    batch: int
    classes: int = 10
    rate: float = 0.3
    """Of the random input spikes; 0 for images of normal numbers, the same at every step (direct input)."""
    width: float = 1.0
    """Multiplies the features of every hidden layer."""
    options: Mapping[str, Any] = {}
    """What else our model is given so that it is the network of the plan."""


class Neurons(NamedTuple):
    """One layer of LIF neurons without synapses."""

    steps: int
    batch: int
    neurons: int


DIRECT: dict[str, Any] = {"rate": 0.0, "options": {"norm": "bn"}}
SPOKEN: dict[str, Any] = {"rate": 0.1, "classes": 20, "options": {"recurrent": "all"}}
NETWORKS = {
    "W1": Network("lenet", (28, 28, 1), 50, 64),
    "W1-T20": Network("lenet", (28, 28, 1), 20, 64),
    "W2": Network("vgg9", (32, 32, 3), 16, 8),
    "W2-T8-B4": Network("vgg9", (32, 32, 3), 8, 4),
    "W2-T100-B4": Network("vgg9", (32, 32, 3), 100, 4),
    "W2-T100-B16": Network("vgg9", (32, 32, 3), 100, 16),
    "W4": Network("resnet18", (32, 32, 3), 4, 32, width=0.25, **DIRECT),
    "W5": Network("mlp", (700,), 100, 128, **SPOKEN),
    "tiny": Network("lenet", (8, 8, 1), 4, 2),
    "tiny-W4": Network("resnet18", (8, 8, 3), 2, 4, width=0.0625, **DIRECT),
    "tiny-W5": Network("mlp", (70,), 10, 4, width=0.125, **SPOKEN),
}
NEURONS = {
    "W3": Neurons(100, 1, 2**20),
    "W3-T16": Neurons(16, 64, 65536),
    "W3-T32": Neurons(32, 64, 65536),
    "tiny-neurons": Neurons(4, 2, 64),
}
PLANS = {
    "lenet": ("conv5 20", "pool", "conv5 50", "pool", "flatten", "dense 200", "readout"),
    "vgg9": (
        *("conv3 64", "conv3 64", "pool", "conv3 128", "conv3 128", "pool"),
        *("conv3 256", "conv3 256", "conv3 256", "pool", "flatten", "dense 1024", "readout"),
    ),
    "resnet18": (
        *("norm3 64", "block 64", "block 64", "block/2 128", "block 128"),
        *("block/2 256", "block 256", "block/2 512", "block 512", "global", "readout"),
    ),
    "mlp": ("recurrent 256", "recurrent 256", "readout"),
}
"""The networks of `jaxsnn.models`, for whoever builds them in another library; a test compares the weights.

`conv5 20`: a 5x5 convolution to 20 features, and neurons; `norm3` the same with a batch norm between them; `pool`
halves the map, and has neurons; `global` averages the whole map; `recurrent`: neurons that receive their own spikes one
step later too. `block` is two `norm3`, with the block's input added before the second one's neurons; `block/2` halves
the map, and its input goes through a 1x1 convolution with a norm.
"""


class Layer(NamedTuple):
    """Synapses of one layer, followed by neurons of `[height, width, features]` (1 x 1 for dense ones)."""

    kind: str
    inputs: int
    features: int
    kernel: int
    height: int
    width: int
    stride: int = 1
    norm: bool = False
    fires: bool = True
    """Whether neurons receive its currents alone, or first."""
    parts: tuple["Layer", ...] = ()
    """Of a block: both convolutions and, where the shape changes, that of its input. Of a recurrent layer: synapses
    from the layer before, and from itself."""

    @property
    def weights(self) -> int:
        """Number of weights; also multiply-accumulates per output position."""
        return 0 if self.kind in UNWEIGHTED else self.inputs * self.features * self.kernel**2

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weights; inputs and features are the last two."""
        return (*(self.kernel,) * 2 * (self.kind == "conv"), self.inputs, self.features)

    @property
    def neurons(self) -> int:
        return self.height * self.width * self.features * self.fires


UNWEIGHTED = ("pool", "global", "flatten")


def layers(network: Network) -> Iterator[Layer]:
    """The layers of a network, in order; blocks and recurrent layers have parts."""
    height, width, channels = (1, 1, *network.input_shape)[-3:]
    for entry in PLANS[network.model]:
        kind, _, number = entry.partition(" ")
        kind, _, slower = kind.partition("/")
        stride = int(slower or 1)
        features = max(1, round(int(number) * network.width)) if number else network.classes
        height, width = -(-height // stride), -(-width // stride)
        if kind == "pool":
            height, width = height // 2, width // 2
            yield Layer("pool", channels, channels, 2, height, width)
            continue
        if kind == "flatten":
            features = channels * height * width
            height, width = 1, 1
            yield Layer("flatten", features, 0, 1, 1, 1)
        elif kind == "global":
            features = channels
            yield Layer("global", channels, channels, height, 1, 1, fires=False)
            height, width = 1, 1
        elif kind == "block":
            yield _block(channels, features, height, width, stride)
        elif kind == "recurrent":
            own = Layer("dense", channels, features, 1, 1, 1)
            back = Layer("dense", features, features, 1, 1, 1, fires=False)
            yield own._replace(kind=kind, parts=(own, back))
        elif kind[:-1] in ("conv", "norm"):
            yield Layer("conv", channels, features, int(kind[-1]), height, width, norm=kind.startswith("norm"))
        else:
            yield Layer(kind, channels, features, 1, 1, 1)
        channels = features


def _block(channels: int, features: int, height: int, width: int, stride: int) -> Layer:
    first = Layer("conv", channels, features, 3, height, width, stride, norm=True)
    second = first._replace(inputs=features, stride=1)
    around = first._replace(kernel=1, fires=False)
    changes = stride > 1 or channels != features
    return first._replace(kind="block", parts=(first, second, around) if changes else (first, second))


def flat(network: Network) -> Iterator[Layer]:
    """The same with the parts of blocks and recurrent layers in their place."""
    for layer in layers(network):
        yield from layer.parts or (layer,)


def weights(network: Network) -> Iterator[np.ndarray]:
    """The first weights of every layer that has some, in the order of `flat`: `[kernel, kernel, inputs, features]`, or
    `[inputs, features]`; normal, of variance 2 / inputs, from a layer to itself 1 / inputs."""
    rng = np.random.default_rng(1)
    for layer in flat(network):
        if layer.weights:
            gain = 2 if layer.fires or layer.kind == "conv" else 1
            scale = math.sqrt(gain / (layer.inputs * layer.kernel**2))
            yield rng.standard_normal(layer.shape, np.float32) * np.float32(scale)


def inputs(network: Network) -> np.ndarray:
    """The input `[T, B, ...]`, the same for every library: random spikes, or an image at every step."""
    shape, rng = (network.batch, *network.input_shape), np.random.default_rng(0)
    if network.rate:
        return (rng.random((network.steps, *shape), np.float32) < network.rate).astype(np.float32)
    return np.repeat(rng.standard_normal(shape, np.float32)[None], network.steps, 0)


def labels(network: Network) -> np.ndarray:
    """Class numbers `[B]`."""
    return np.arange(network.batch, dtype=np.int32) % network.classes


def currents(neurons: Neurons) -> tuple[np.ndarray, np.ndarray]:
    """Currents that make neurons fire at about every third step, and what arrives backwards; each `[T, B, neurons]`."""
    shape, rng = (neurons.steps, neurons.batch, neurons.neurons), np.random.default_rng(0)
    return rng.random(shape, np.float32), rng.random(shape, np.float32) - np.float32(0.5)
