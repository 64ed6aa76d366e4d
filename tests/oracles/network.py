"""An independent oracle for spiking VGG and ResNet networks under the rule of Lee et al. 2020, in NumPy float64.

Written straight from the equations (E2)..(E9) of the method on the primitives of `tests.oracles.lenet`, sharing no code
with the package it checks. A network is a list of layers, in order:

    ("conv", name, stride)                a convolution with padding size // 2, LIF neurons
    ("pool", name)                        a spiking 2x2 average pool; an odd last row or column is dropped
    ("block", name, stride, subsample)    a residual block, two LIF layers (below)
    ("dense", name)                       a dense layer on the (h, w, c) flattening, LIF neurons
    ("readout", name)                     a dense layer into the membranes that never fire; always and only the last

A block is a 3x3 convolution "name/conv1" of stride 1 whose neurons fire, then a 3x3 convolution "name/conv2" with the
block's stride whose current is added (E4) to the shortcut's current: with subsample false a 1x1 convolution
"name/shortcut" of that stride on the block's input, with subsample true the block's input x[::stride, ::stride] itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tests.oracles.lenet import (
    Array,
    OracleResult,
    conv,
    conv_input_gradient,
    conv_weight_gradient,
    dense,
    dense_input_gradient,
    dense_weight_gradient,
    derivative_bracket,
    fire,
    low_pass,
    pool,
    pool_input_gradient,
    readout,
    rule_backward,
)

Layer = tuple[str, str] | tuple[str, str, int] | tuple[str, str, int, bool]

LENET: tuple[Layer, ...] = (
    ("conv", "conv1", 1),
    ("pool", "pool1"),
    ("conv", "conv2", 1),
    ("pool", "pool2"),
    ("dense", "fc1"),
    ("readout", "fc2"),
)

VGG9: tuple[Layer, ...] = (
    ("conv", "conv1", 1),
    ("conv", "conv2", 1),
    ("pool", "pool1"),
    ("conv", "conv3", 1),
    ("conv", "conv4", 1),
    ("pool", "pool2"),
    ("conv", "conv5", 1),
    ("conv", "conv6", 1),
    ("conv", "conv7", 1),
    ("pool", "pool3"),
    ("dense", "fc1"),
    ("readout", "fc2"),
)

RESNET11: tuple[Layer, ...] = (
    ("conv", "conv1", 1),
    ("pool", "pool1"),
    ("block", "block1", 1, False),
    ("block", "block2", 2, False),
    ("block", "block3", 1, False),
    ("block", "block4", 2, True),
    ("dense", "fc1"),
    ("readout", "fc2"),
)


def weight_names(layers: Sequence[Layer]) -> list[str]:
    """The weights that a list of layers needs, in order."""
    names = []
    for layer in layers:
        kind, name = layer[:2]
        if kind == "block":
            names += [f"{name}/conv1", f"{name}/conv2"] + ([] if layer[3] else [f"{name}/shortcut"])
        elif kind != "pool":
            names.append(name)
    return names


def spiking_names(layers: Sequence[Layer]) -> list[str]:
    """The layers that send spikes, in order: what `masks` may name and what `counts` holds."""
    names = []
    for layer in layers:
        kind, name = layer[:2]
        if kind == "block":
            names += [f"{name}/conv1", f"{name}/conv2"]
        elif kind != "readout":
            names.append(name)
    return names


def subsample(x: Array, stride: int) -> Array:
    """Rows and columns 0, stride, 2 * stride, ..."""
    return x[:, :, ::stride, ::stride]


def subsample_input_gradient(g: Array, stride: int, shape: tuple[int, ...]) -> Array:
    """Transpose of `subsample`: the error at the samples, zero between them; `shape` is that of the input."""
    full = np.zeros((*shape[:4], g.shape[4]))
    full[:, :, ::stride, ::stride] = g
    return full


def strided_conv(x: Array, kernel: Array, stride: int) -> Array:
    """A convolution with a stride is the convolution without one, sampled: padding does not depend on the stride."""
    return subsample(conv(x, kernel), stride)


def strided_conv_input_gradient(g: Array, kernel: Array, stride: int, shape: tuple[int, ...]) -> Array:
    """Transpose of `strided_conv` in x; `shape` is that of x."""
    return conv_input_gradient(subsample_input_gradient(g, stride, shape), kernel)


def strided_conv_weight_gradient(x: Array, g: Array, kernel: Array, stride: int) -> Array:
    """Gradient of `strided_conv` in the kernel (used for its shape only)."""
    return conv_weight_gradient(x, subsample_input_gradient(g, stride, x.shape), kernel)


def even_part(x: Array) -> Array:
    """x without an odd last row and column, which a 2x2 window does not reach."""
    return x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]


def flatten(x: Array) -> Array:
    """[T, B, ...] to [T, B, features] in the order (h, w, c)."""
    return x.reshape(*x.shape[:2], -1)


def check(layers: Sequence[Layer], weights: Mapping[str, Array], masks: Mapping[str, Array]) -> None:
    """Refuse what would otherwise be silently ignored or misread."""
    sizes = {"conv": 3, "pool": 2, "block": 4, "dense": 2, "readout": 2}
    for layer in layers:
        if sizes.get(layer[0]) != len(layer):
            raise ValueError(f"not a layer: {layer}")
    if [layer[0] for layer in layers].count("readout") != 1 or layers[-1][0] != "readout":
        raise ValueError("the last layer, and only the last, must be a readout")
    names = spiking_names(layers)
    if len(set(names)) != len(names) or layers[-1][1] in names:
        raise ValueError(f"two layers share a name: {names}")
    if set(weights) != set(weight_names(layers)):
        raise ValueError(f"weights {sorted(weights)} for layers that need {sorted(weight_names(layers))}")
    for name, weight in weights.items():
        if np.ndim(weight) == 4 and any(side % 2 == 0 for side in np.shape(weight)[:2]):
            raise ValueError(f"kernel sides must be odd, {name} is {np.shape(weight)}")
    if not set(masks) <= set(names):
        raise ValueError(f"masks {sorted(masks)} for layers {names}")


def network(
    layers: Sequence[Layer],
    weights: Mapping[str, Array],
    spikes: Array,
    labels: Array,
    *,
    leak: float = 0.99,
    threshold: float = 1.0,
    pool_threshold: float = 0.75,
    masks: Mapping[str, Array] | None = None,
) -> OracleResult:
    """One forward and backward pass, (E2)..(E9), on given input spikes [T, B, H, W, C].

    `masks` holds for any spiking layer an array [B, ...] (E5), the same for all steps, times the spikes that the layer
    sends and times the error that comes back to them. A neuron's own spike train stays what it was before the mask:
    `counts`, `filtered`, `derivative` and the recursion (E9) use that.
    """
    masks = {} if masks is None else {name: np.asarray(mask, np.float64) for name, mask in masks.items()}
    check(layers, weights, masks)
    w = {name: np.asarray(weights[name], np.float64) for name in weight_names(layers)}
    x = np.asarray(spikes, np.float64)
    steps = len(x)
    s: dict[str, Array] = {}  # the spike train of each layer
    received: dict[str, Array] = {}  # the spikes that arrive at each layer, block or half block
    bracket: dict[str, Array] = {}

    def send(name: str) -> Array:
        """(E5): what the next layer sees of a layer's spikes."""
        if name not in masks:
            return s[name]
        if masks[name].shape != s[name].shape[1:]:
            raise ValueError(f"mask {name} is {masks[name].shape}, its layer {s[name].shape[1:]}")
        return s[name] * masks[name]

    def lif(name: str, current: Array) -> Array:
        """(E2), what (E8) needs of it, and (E5)."""
        s[name] = fire(current, threshold, leak)
        bracket[name] = derivative_bracket(s[name], leak)
        return send(name)

    potentials = np.zeros(0)
    for layer in layers:
        kind, name = layer[:2]
        received[name] = x
        if kind == "conv":
            x = lif(name, strided_conv(x, w[name], layer[2]))
        elif kind == "pool":
            s[name] = fire(pool(even_part(x)), pool_threshold, 1.0)
            x = send(name)
        elif kind == "block":
            first, second, shortcut = (f"{name}/{part}" for part in ("conv1", "conv2", "shortcut"))
            _, _, stride, plain = layer
            received[second] = lif(first, conv(x, w[first]))
            main = strided_conv(received[second], w[second], stride)
            side = subsample(x, stride) if plain else strided_conv(x, w[shortcut], stride)
            if main.shape != side.shape:
                raise ValueError(f"{name}: main path {main.shape}, shortcut {side.shape}")
            x = lif(second, main + side)  # (E4)
        elif kind == "dense":
            x = lif(name, dense(flatten(x), w[name]))
        else:
            potentials = readout(dense(flatten(x), w[name]), leak)

    logits = potentials[-1] / (threshold * steps)
    error = logits - np.eye(logits.shape[1])[np.asarray(labels)]  # (E7)
    gradients: dict[str, Array] = {}

    def neuron_error(name: str, g: Array) -> Array:
        """The error at a layer's current from the error at the spikes it sent, (E5), (E8) and (E9)."""
        d = bracket[name] / threshold if name in bracket else 1.0
        return rule_backward(s[name], g * masks[name] if name in masks else g, d)

    g = np.zeros(0)  # the error at the spikes that a layer sent
    for layer in reversed(layers):
        kind, name = layer[:2]
        x = received[name]
        if kind == "conv":
            g_current = neuron_error(name, g)
            gradients[name] = strided_conv_weight_gradient(x, g_current, w[name], layer[2])
            g = strided_conv_input_gradient(g_current, w[name], layer[2], x.shape)
        elif kind == "pool":
            g_even = pool_input_gradient(neuron_error(name, g))
            g = np.zeros(x.shape)
            g[:, :, : g_even.shape[2], : g_even.shape[3]] = g_even
        elif kind == "block":
            first, second, shortcut = (f"{name}/{part}" for part in ("conv1", "conv2", "shortcut"))
            _, _, stride, plain = layer
            between = received[second]
            g_second = neuron_error(second, g)  # one membrane, so the same error to both currents
            gradients[second] = strided_conv_weight_gradient(between, g_second, w[second], stride)
            g_first = neuron_error(first, strided_conv_input_gradient(g_second, w[second], stride, between.shape))
            gradients[first] = conv_weight_gradient(x, g_first, w[first])
            g = conv_input_gradient(g_first, w[first])
            if plain:
                g = g + subsample_input_gradient(g_second, stride, x.shape)
            else:
                gradients[shortcut] = strided_conv_weight_gradient(x, g_second, w[shortcut], stride)
                g = g + strided_conv_input_gradient(g_second, w[shortcut], stride, x.shape)
        else:
            if kind == "dense":
                g_current = neuron_error(name, g)
            else:  # the same for every t
                g_current = np.broadcast_to(2 * error / (threshold * steps), potentials.shape)
            gradients[name] = dense_weight_gradient(flatten(x), g_current)
            g = dense_input_gradient(g_current, w[name]).reshape(x.shape)

    return OracleResult(
        logits=logits,
        loss=float(np.sum(error**2)),
        potentials=potentials,
        gradients={name: gradients[name] for name in w},
        counts={name: train.sum(axis=0) for name, train in s.items()},
        filtered={name: low_pass(s[name], leak) for name in bracket},
        derivative=bracket,
    )
