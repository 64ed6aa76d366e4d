"""Recurrent synapses of a layer of neurons: dense, with or without synapses from a neuron to itself."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn import synapses
from jaxsnn.layers.synapses import NO_PADS
from jaxsnn.storage import Storage
from jaxsnn.synapses import Connection, Precision
from jaxsnn.synapses.linear import check_precision
from jaxsnn.typing import Array, DTypeLike, Shape

Recurrence = Literal["all", "others"]
"""Each neuron receives from all neurons of its layer, or from all others: no synapse to itself."""


class Recurrent(nnx.Module):
    """Dense synapses from a layer's neurons to themselves, one step later, without bias: `[T, B, n]` to `[T, B, n]`.

    In a layer they stand among its `synapses`, with the layer itself as their source.

    Args:
      features: n.
      rngs: for the weights, an orthogonal matrix times `gain`.
      connect: "all", or "others" for a diagonal of zeros, which is not trained (no self-connections).
      gain: of the initial weights.
      param_dtype: of the weights.
      precision: as in `synapses.dense`.

    Raises:
      ValueError: for unknown `connect` or `precision`.
    """

    def __init__(
        self,
        features: int,
        *,
        rngs: nnx.Rngs,
        connect: Recurrence = "all",
        gain: float = 1.0,
        param_dtype: DTypeLike = jnp.float32,
        precision: Precision = "default",
    ):
        check_precision(precision)
        if connect not in get_args(Recurrence):
            raise ValueError(f"recurrent synapses connect 'all' or 'others', got {connect!r}")
        made = jax.nn.initializers.orthogonal(gain)(rngs.params(), (features, features), jnp.float32)
        self.kernel = nnx.Param(made.astype(param_dtype))
        self.connect, self.precision = connect, precision

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        kernel = self.kernel[...]
        if self.connect == "others":
            kernel = kernel * (1 - jnp.eye(len(kernel), dtype=kernel.dtype))
        return synapses.dense(x, kernel, storage=storage, mask=mask, precision=self.precision)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        kernel = self.kernel.get_value().shape
        if input_shape != kernel[:1]:
            raise ValueError(f"{name} has weights for {kernel[0]} neurons, but {source} has {list(input_shape)}")
        hollow = self.connect == "others"
        return Connection(name, source, target, "dense", kernel, 1, NO_PADS, input_shape, kernel[1:], hollow=hollow)
