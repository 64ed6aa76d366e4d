"""Synapses over time: convolution, dense, pools. No state.

They run on merged time and batch: `[T, B, ...]` as `[T * B, ...]`, one large product instead of T small ones.
The dtype of the input is that of the currents; products are added up in float32 at least.
"""

from jaxsnn.synapses.convolution import Padding, conv, extent, resolve_padding
from jaxsnn.synapses.geometry import Connection
from jaxsnn.synapses.im2col import output_size
from jaxsnn.synapses.linear import Precision, dense, masked, over_time
from jaxsnn.synapses.pools import Window, average_pool, max_pool, subsample

__all__ = [
    "Connection",
    "Padding",
    "Precision",
    "Window",
    "average_pool",
    "conv",
    "dense",
    "extent",
    "masked",
    "max_pool",
    "output_size",
    "over_time",
    "resolve_padding",
    "subsample",
]
