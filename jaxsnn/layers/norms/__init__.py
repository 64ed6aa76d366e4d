"""Norms by name: a member of `NORMS` is a value of `--norm`, and of the option `norm` of every network.

A norm stands between the synapses and the neurons of a layer; `layers.Layer` states its contract.
"""

from collections.abc import Callable

from flax import nnx

from jaxsnn.layers.norms.batch import BatchNorm

NORMS: dict[str, Callable[..., nnx.Module]] = {"bn": BatchNorm}
"""Name of a norm to its maker, `(features, dtype) -> module` for currents `[T, B, ..., features]`."""

__all__ = ["NORMS", "BatchNorm"]
