"""The synapses of a network as plain data, so that they can be counted without flax."""

from collections.abc import Iterator

from flax import nnx

from jaxsnn.layers import AvgPool, Readout, ResidualBlock, SpikingAvgPool, SpikingConv, SpikingDense
from jaxsnn.layers.residual import Shortcut
from jaxsnn.models.sequential import Sequential
from jaxsnn.synapses import Connection, resolve_padding
from jaxsnn.synapses.im2col import output_size
from jaxsnn.typing import Shape

NO_PADS = ((0, 0), (0, 0))


def connections(module: Sequential) -> tuple[Connection, ...]:
    """Every bundle of synapses of a network, in network order.

    Args:
      module: from `models.create`, or any `Sequential`.

    Raises:
      TypeError: for a layer whose synapses are not known, by name.

    Example:
      >>> from flax import nnx
      >>> from jaxsnn import models
      >>> model = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, rngs=nnx.Rngs(0))
      >>> [(c.name, c.source, c.kind, c.output_shape) for c in models.connections(model)][:2]
      [('conv1', 'input', 'conv', (8, 8, 20)), ('pool1', 'conv1', 'pool', (4, 4, 20))]
    """
    found: list[Connection] = []
    source, sent, shape, pooled = "input", module.input_shape, module.input_shape, 1
    for name in module.names:
        layer = getattr(module, name)
        if isinstance(layer, AvgPool):  # it has no neurons: what it receives acts through it on the next layer
            pooled *= layer.window
            shape = _halved(shape, layer.window)
            continue
        for connection in _of_layer(name, layer, source, shape):
            from_pool = connection.source == source
            found.append(connection._replace(input_shape=sent, pooled=pooled) if from_pool else connection)
        source, sent, shape, pooled = found[-1].target, found[-1].output_shape, found[-1].output_shape, 1
    return tuple(found)


def _halved(shape: Shape, window: int) -> Shape:
    return (shape[0] // window, shape[1] // window, shape[2])


def _of_layer(name: str, layer: nnx.Module, source: str, shape: Shape) -> Iterator[Connection]:
    if isinstance(layer, SpikingConv):
        yield _conv(name, name, layer, layer.padding, source, shape)
    elif isinstance(layer, SpikingDense | Readout):
        kernel = layer.kernel.get_value().shape
        yield Connection(name, source, name, "dense", kernel, 1, NO_PADS, shape, kernel[1:])
    elif isinstance(layer, SpikingAvgPool):
        window = (layer.window, layer.window)
        yield Connection(name, source, name, "pool", window, layer.window, NO_PADS, shape, _halved(shape, layer.window))
    elif isinstance(layer, ResidualBlock):
        first, second = f"{name}/conv1", f"{name}/conv2"
        inner = _conv(first, first, layer.conv1, layer.conv1.padding, source, shape)
        yield inner
        if layer.equal:
            height, width = (-(-side // layer.stride) for side in shape[:2])
            reached = (height, width, shape[2])
            yield Connection(f"{name}/shortcut", source, second, "subsample", (), layer.stride, NO_PADS, shape, reached)
        else:
            yield _conv(f"{name}/shortcut", second, layer.shortcut, 0, source, shape)
        yield _conv(second, second, layer.conv2, layer.conv2.padding, first, inner.output_shape)
    else:
        raise TypeError(f"{name} is a {type(layer).__name__}: its synapses are not known, so they cannot be counted")


def _conv(
    name: str, target: str, layer: SpikingConv | Shortcut, padding: str | int, source: str, shape: Shape
) -> Connection:
    kernel = layer.kernel.get_value().shape
    pads = resolve_padding(shape[:2], kernel[:2], layer.stride, padding)
    reached = (*output_size(shape[:2], kernel[:2], layer.stride, pads), kernel[3])
    return Connection(name, source, target, "conv", kernel, layer.stride, pads, shape, reached)
