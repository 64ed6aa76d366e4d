"""Numbers about networks: how much each layer fires, what operations and energy that costs."""

from jaxsnn.analysis.activity import SATURATED, SILENT, LayerActivity, activity, warnings
from jaxsnn.analysis.operations import dense_operations, fan_out, synaptic_operations

__all__ = [
    "SATURATED",
    "SILENT",
    "LayerActivity",
    "activity",
    "dense_operations",
    "fan_out",
    "synaptic_operations",
    "warnings",
]
