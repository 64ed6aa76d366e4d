"""Figures: arrays in, matplotlib figures out."""

from jaxsnn.viz.figures import accuracy_over_time, confusion, raster, save, training_curve

__all__ = ["accuracy_over_time", "confusion", "raster", "save", "training_curve"]
