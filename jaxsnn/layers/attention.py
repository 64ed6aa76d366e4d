"""Spiking self-attention: how queries, keys and values of spikes become currents.

    I = scale * (Q K^T) V        per head, over the tokens of one time step

Queries, keys and values are spikes, so that no softmax is needed and every product is an addition. A token is one place
of a map `[H, W, C]`; heads divide the channels. Source: Zhou et al. (2023), Spikformer, ICLR, arXiv 2209.15425, eq. 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers.synapses import NO_PADS
from jaxsnn.storage import Storage
from jaxsnn.synapses import Connection
from jaxsnn.typing import Array, Shape


@dataclass(frozen=True)
class SelfAttention:
    """A way to join three trains `[T, B, H, W, C]`, queries, keys and values, into currents of the same shape.

    Raises:
      ValueError: unless there are three trains and the heads divide the channels.
    """

    heads: int
    scale: float = 0.125

    def __call__(self, trains: Sequence[Array]) -> Array:
        shape = trains[0].shape
        if len(trains) != 3 or shape[-1] % self.heads:
            raise ValueError(
                f"self-attention joins queries, keys and values whose {shape[-1]} channels {self.heads} heads divide, "
                f"got {len(trains)} trains: choose other heads or another width"
            )
        q, k, v = (x.reshape(*shape[:2], -1, self.heads, shape[-1] // self.heads) for x in trains)
        tokens, depth = q.shape[2], q.shape[-1]
        if tokens > depth:  # the cheaper order of the two products, which are sums of whole numbers either way
            mixed = jnp.einsum("tbnhd,tbhde->tbnhe", q, jnp.einsum("tbnhd,tbnhe->tbhde", k, v))
        else:
            mixed = jnp.einsum("tbhnm,tbmhe->tbnhe", jnp.einsum("tbnhd,tbmhd->tbhnm", q, k), v)
        return (mixed * self.scale).reshape(shape)


class Attend(nnx.Module):
    """The way of one train into self-attention, unchanged, `[T, B, H, W, C]`.

    Its operations: a spike of a query meets the keys of all tokens, and a spike of a value is added to all tokens; keys
    are counted with the queries.

    Args:
      keys: whether the train is the keys.
    """

    def __init__(self, *, keys: bool = False):
        self.keys = keys

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        return x if mask is None else x * mask[None].astype(x.dtype)

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        if len(input_shape) != 3:
            raise ValueError(f"{name} attends to maps [H, W, C], but {source} sends {list(input_shape)}")
        reach = 0 if self.keys else input_shape[0] * input_shape[1]
        return Connection(name, source, target, "attention", (reach,), 1, NO_PADS, input_shape, input_shape)
