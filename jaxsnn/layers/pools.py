"""Synapses without parameters: pools, subsampling, and an input as it is; contract as in `synapses.py`.

`relays` says how a layer of such synapses and no neurons is counted. "through": each spike acts, with a divided weight,
on the layers behind, so that the layer is no operation of its own. "as sent": the layer sends a train of its own, whose
values are of the kind that its source sends (spikes stay spikes).
"""

from flax import nnx

from jaxsnn import synapses
from jaxsnn.layers.synapses import NO_PADS
from jaxsnn.storage import Storage
from jaxsnn.synapses import Connection, Window
from jaxsnn.typing import Array, Shape


def _masked(x: Array, mask: Array | None) -> Array:
    return x if mask is None else x * mask[None].astype(x.dtype)


class _Pool(nnx.Module):
    """A pool over windows without overlap; a window None is the whole map."""

    def __init__(self, window: Window | None = 2):
        self.window = window

    def size(self, shape: Shape) -> tuple[int, int]:
        """Height and width of a window on maps of this shape, `(H, W, ...)`."""
        if self.window is None:
            return (shape[0], shape[1])
        return (self.window, self.window) if isinstance(self.window, int) else self.window

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        if len(input_shape) != 3 or any(n < k for n, k in zip(input_shape, self.size(input_shape), strict=False)):
            size = "x".join(map(str, self.size(input_shape))) if len(input_shape) > 1 else self.window
            raise ValueError(
                f"{name} pools windows of {size}, but {source} sends {list(input_shape)}: it needs maps [H, W, C] of "
                "that size at least"
            )
        window = self.size(input_shape)
        reached = (input_shape[0] // window[0], input_shape[1] // window[1], input_shape[2])
        return Connection(name, source, target, "pool", window, 1, NO_PADS, input_shape, reached)


class AvgPool(_Pool):
    """Average pool: `[T, B, H, W, C]` to means `[T, B, H / height, W / width, C]`.

    Args:
      window: height and width, one number for both; None for the whole map (global average pool).
    """

    relays = "through"

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        return synapses.average_pool(_masked(x, mask), self.size(x.shape[2:]))


class MaxPool(_Pool):
    """Max pool: `[T, B, H, W, C]` to the largest values of windows; of spikes, whether any neuron fired.

    Args:
      window: as in `AvgPool`.
    """

    relays = "as sent"

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        kept: Storage = storage if mask is None else "floats"
        return synapses.max_pool(_masked(x, mask), self.size(x.shape[2:]), storage=kept)


class Subsample(nnx.Module):
    """Every `stride`-th row and column: `[T, B, H, W, C]` to `[T, B, ceil(H/stride), ceil(W/stride), C]`."""

    relays = "as sent"

    def __init__(self, stride: int):
        self.stride = stride

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        return synapses.subsample(x, mask, stride=self.stride)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        if len(input_shape) != 3:
            raise ValueError(f"{name} subsamples maps [H, W, C], but {source} sends {list(input_shape)}")
        height, width, channels = input_shape
        reached = (-(-height // self.stride), -(-width // self.stride), channels)
        return Connection(name, source, target, "subsample", (), self.stride, NO_PADS, input_shape, reached)


class Voting(nnx.Module):
    """The mean of the neurons of each class: `[T, B, classes * votes]` to `[T, B, classes]`; those of a class are
    neighbours."""

    def __init__(self, num_classes: int):
        self.num_classes = num_classes

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        x = _masked(x, mask)
        return x.reshape(*x.shape[:-1], self.num_classes, -1).mean(-1)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        if len(input_shape) != 1 or input_shape[0] % self.num_classes:
            raise ValueError(
                f"{name} takes the mean of equally many neurons of each of {self.num_classes} classes, but {source} "
                f"sends {list(input_shape)}"
            )
        return Connection(name, source, target, "subsample", (), 1, NO_PADS, input_shape, (self.num_classes,))


class Identity(nnx.Module):
    """An input as it is, `[T, B, ...]`: a residual connection, or neurons that receive the sum of earlier layers."""

    relays = "as sent"

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        return _masked(x, mask)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        return Connection(name, source, target, "subsample", (), 1, NO_PADS, input_shape, input_shape)
