"""Figures: arrays in, matplotlib figures out."""

try:
    import matplotlib as _matplotlib  # noqa: F401  (said here, because every module of the package needs it)
except ImportError as error:
    raise ImportError('figures need matplotlib: pip install "jaxsnn-lab[viz]"') from error

from jaxsnn.viz.accuracy import accuracy_over_minutes, accuracy_over_time, confusion
from jaxsnn.viz.images import filters, input_against_image
from jaxsnn.viz.membranes import membrane_traces
from jaxsnn.viz.spikes import raster, spikes_per_layer
from jaxsnn.viz.style import save, svg
from jaxsnn.viz.sweeps import mean_and_spread
from jaxsnn.viz.tables import energy_bars, heat_map
from jaxsnn.viz.training import training_curve

__all__ = [
    "accuracy_over_minutes",
    "accuracy_over_time",
    "confusion",
    "energy_bars",
    "filters",
    "heat_map",
    "input_against_image",
    "mean_and_spread",
    "membrane_traces",
    "raster",
    "save",
    "spikes_per_layer",
    "svg",
    "training_curve",
]
