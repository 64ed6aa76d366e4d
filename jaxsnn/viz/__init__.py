"""Figures: arrays in, matplotlib figures out."""

from jaxsnn.viz.figures import raster, save, training_curve

__all__ = ["raster", "save", "training_curve"]
