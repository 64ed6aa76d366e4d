"""Numbers about networks: how much each layer fires, and what is wrong if it does not."""

from jaxsnn.analysis.activity import SATURATED, SILENT, LayerActivity, activity, warnings

__all__ = ["SATURATED", "SILENT", "LayerActivity", "activity", "warnings"]
