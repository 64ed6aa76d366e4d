"""The percentile of a layer's values that sets its threshold, to the very value."""

import math
from fractions import Fraction

import jax.numpy as jnp

from jaxsnn.typing import Array


def values_above(percentile: float, count: int) -> int:
    """How many of `count` values may exceed the percentile: of 1 to 1,000 it is 900 at 90, which 100 exceed.

    Computed in fractions of the number as it is written: in floats, 0.1 of 1,000 values are 99.
    """
    return math.floor((100 - Fraction(str(percentile))) * count / 100)


def percentile_of(values: Array, percentile: float) -> Array:
    """The least of the values that no more than the rest of them exceeds; 100 is the largest."""
    above = values_above(percentile, values.size)
    flat = values.ravel()
    return jnp.max(flat) if above == 0 else jnp.sort(flat)[flat.size - 1 - min(above, flat.size - 1)]
