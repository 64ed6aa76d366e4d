"""Norms by name: a member of `NORMS` is a value of `--norm`, and of the option `norm` of every network.

A norm stands between the synapses and the neurons of a layer; `layers.Layer` states its contract.
"""

from collections.abc import Callable

from flax import nnx

from jaxsnn.typing import DTypeLike

NORMS: dict[str, Callable[[int, DTypeLike], nnx.Module]] = {}
"""Name of a norm to its maker, `(features, dtype) -> module` for currents `[T, B, ..., features]`."""
