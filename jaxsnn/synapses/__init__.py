"""Linear synapses over time: convolution, dense, average pool. No bias, no state.

They run on merged time and batch: `[T, B, ...]` as `[T * B, ...]`, one large product instead of T small ones.
The dtype of the input is that of the currents; products are added up in float32 at least.
"""

from jaxsnn.synapses.convolution import Padding, conv, resolve_padding
from jaxsnn.synapses.geometry import Connection
from jaxsnn.synapses.im2col import output_size
from jaxsnn.synapses.linear import Precision, average_pool, dense, masked, over_time, subsample

__all__ = [
    "Connection",
    "Padding",
    "Precision",
    "average_pool",
    "conv",
    "dense",
    "masked",
    "output_size",
    "over_time",
    "resolve_padding",
    "subsample",
]
