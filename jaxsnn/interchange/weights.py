"""Weights and pools of NIR nodes as synapses, channels last."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxsnn.interchange.exporting import BIAS
from jaxsnn.layers import AvgPool, Conv, Dense, Recurrent, Subsample, Synapse
from jaxsnn.typing import Shape


class Made(NamedTuple):
    """A layer on its way: its name, the shape that it sends, the factor that its numbers still lack."""

    name: str
    shape: Shape
    factor: float = 1.0


def _filled(synapse: Any, kernel: np.ndarray, bias: np.ndarray | None) -> Any:
    synapse.kernel = nnx.Param(jnp.asarray(kernel, jnp.float32))
    if bias is not None:
        synapse.bias = nnx.Param(jnp.asarray(bias, jnp.float32))
    return synapse


def _scaled(name: str, weight: np.ndarray, bias: Any, gain: Any, told: Mapping[str, Any]) -> tuple[Any, Any]:
    """Weights `[out, ...]` and bias times the gain of the neurons behind; a bias of zeros goes unless it is ours."""
    bias = None if bias is None or not (np.any(bias) or told.get(BIAS)) else np.asarray(bias)
    if np.all(gain == 1):
        return weight, bias
    per = np.asarray(gain)
    if per.ndim == 3:
        if not np.allclose(per, per[:1, :1], rtol=1e-9, atol=0):
            raise ValueError(f"{name}: the neurons of one channel scale their input differently")
        per = per[0, 0]
    if per.ndim and per.shape != weight.shape[:1]:
        raise ValueError(f"{name} has {weight.shape[0]} outputs, the neurons behind are {list(np.shape(gain))}")
    per = np.broadcast_to(per, weight.shape[:1])
    scaled = (weight * per.reshape(-1, *(1,) * (weight.ndim - 1))).astype(weight.dtype)
    return scaled, None if bias is None else (bias * per).astype(bias.dtype)


def _equal(name: str, what: str, value: Any) -> int:
    sides = np.broadcast_to(np.asarray(value), (2,))
    if sides[0] != sides[1]:
        raise ValueError(f"{name}: {what} {tuple(sides)} differs between height and width, which is not supported")
    return int(sides[0])


def _conv2d(name: str, node: Any, source: Made, gain: Any) -> tuple[Synapse, Made]:
    if len(source.shape) != 3:
        raise ValueError(f"{name} is a convolution of maps, but {source.name} sends {list(source.shape)}")
    weight, bias = _scaled(name, np.asarray(node.weight), node.bias, gain, node.metadata)
    if isinstance(node.padding, str):
        padding: Any = node.padding.upper()
    else:
        padding = tuple((int(p), int(p)) for p in np.broadcast_to(np.asarray(node.padding), (2,)))
    groups = int(node.groups)
    options: dict[str, Any] = {
        "stride": _equal(name, "stride", node.stride),
        "dilation": _equal(name, "dilation", node.dilation),
        "groups": groups,
        "padding": padding,
    }
    features, channels, *window = weight.shape
    module = Conv(
        channels * groups, features, (window[0], window[1]), bias=bias is not None, rngs=nnx.Rngs(0), **options
    )
    kernel = (weight * source.factor if source.factor != 1 else weight).transpose(2, 3, 1, 0)
    synapse = _filled(module, kernel, bias)
    return synapse, Made(name, synapse.connection(name, source.name, name, source.shape).output_shape)


def _affine(name: str, node: Any, source: Made, gain: Any) -> tuple[Synapse, Made]:
    weight, bias = _scaled(name, np.asarray(node.weight), getattr(node, "bias", None), gain, node.metadata)
    if source.factor != 1:
        weight = weight * source.factor
    kernel = weight.T
    if len(source.shape) == 3 and kernel.shape[0] == np.prod(source.shape):
        height, width, channels = source.shape
        order = np.arange(len(kernel)).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
        kernel = kernel[order]
    synapse = _filled(Dense(*kernel.shape, bias=bias is not None, rngs=nnx.Rngs(0)), kernel, bias)
    return synapse, Made(name, synapse.connection(name, source.name, name, source.shape).output_shape)


def _pool(name: str, node: Any, source: Made, gain: Any) -> tuple[Synapse, Made]:
    window = tuple(int(k) for k in np.broadcast_to(np.asarray(node.kernel_size), (2,)))
    stride = tuple(int(k) for k in np.broadcast_to(np.asarray(node.stride), (2,)))
    synapse: Any = AvgPool((window[0], window[1]))
    if np.any(np.asarray(node.padding)) or (window != stride and window != (1, 1)):
        raise ValueError(f"{name} pools windows {window} with stride {stride} and padding: only windows side by side")
    if window == (1, 1) and stride != (1, 1):
        synapse = Subsample(_equal(name, "stride", stride))
    factor = float(np.prod(window)) if type(node).__name__ == "SumPool2d" else 1.0
    shape = synapse.connection(name, source.name, name, source.shape).output_shape
    return synapse, Made(name, shape, source.factor * factor / 1.0)


def recurrent(name: str, node: Any, gain: Any) -> tuple[Synapse, Any]:
    """Weights from neurons back to themselves, and their bias or None, which flows at every step as any other does."""
    weight, bias = _scaled(name, np.asarray(node.weight), getattr(node, "bias", None), gain, {})
    return _filled(Recurrent(weight.shape[1], rngs=nnx.Rngs(0)), weight.T, None), bias


def add_bias(name: str, synapse: Any, bias: Any) -> None:
    """Adds another bundle's bias to that of the layer's own weights."""
    if not hasattr(synapse, "bias"):
        raise ValueError(f"{name} adds a bias, and the layer has no weights of its own that could take it")
    own = 0 if synapse.bias is None else synapse.bias.get_value()
    synapse.bias = nnx.Param(jnp.asarray(own + bias))


SYNAPSES: dict[str, Any] = {
    "Conv2d": _conv2d,
    "Affine": _affine,
    "Linear": _affine,
    "AvgPool2d": _pool,
    "SumPool2d": _pool,
}
"""Kind of a node to its maker, `(name, node, source, gain of the neurons behind) -> (synapse, what it sends)`."""
