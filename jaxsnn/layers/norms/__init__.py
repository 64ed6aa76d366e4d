"""Norms by name: a member of `NORMS` is a value of `--norm`, and of the option `norm` of every network.

A norm stands between the synapses and the neurons of a layer; `layers.Layer` states its contract.
"""

from collections.abc import Callable

from flax import nnx

from jaxsnn.layers.norms.batch import BatchNorm, StepBatchNorm, ThresholdBatchNorm
from jaxsnn.layers.norms.group import GroupNorm, LayerNorm
from jaxsnn.layers.norms.steps import BatchNormThroughTime, TemporalBatchNorm

NORMS: dict[str, Callable[..., nnx.Module]] = {
    "bn": BatchNorm,
    "bn_step": StepBatchNorm,
    "tdbn": ThresholdBatchNorm,
    "tebn": TemporalBatchNorm,
    "bntt": BatchNormThroughTime,
    "gn": GroupNorm,
    "ln": LayerNorm,
}
"""Name of a norm to its maker, `(features, dtype, *, steps, threshold, branches, groups) -> module` for currents
`[T, B, ..., features]`: T (0: not known), the threshold of the layer's neurons (None: they have none), how many normed
currents are added before them, and the groups of features asked for. A maker takes what it needs, and leaves the rest
to `**_`."""

__all__ = [
    "NORMS",
    "BatchNorm",
    "BatchNormThroughTime",
    "GroupNorm",
    "LayerNorm",
    "StepBatchNorm",
    "TemporalBatchNorm",
    "ThresholdBatchNorm",
]
