"""One setting of a sweep: mean and spread over seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxsnn.viz.style import colour, styled


@styled
def mean_and_spread(
    mean: np.ndarray, spread: np.ndarray, *, settings: Sequence[Any], setting_label: str, label: str, width: float = 5.2
) -> Figure:
    """A number for every value of one setting, e.g. the accuracy of a sweep over the learning rate.

    Args:
      mean: `[settings]`; NaN where there is none.
      spread: `[settings]`, e.g. the standard deviation over seeds; drawn as bars up and down.
      settings: the setting's values; numbers are an axis, logarithmic where their largest is 30 times the smallest or
        more; anything else is a row of names.
      setting_label: the setting's name.
      label: name and unit of the numbers.
      width: of the figure in inches.

    Raises:
      ValueError: if the three lengths differ.
    """
    mean, spread = np.asarray(mean, float), np.asarray(spread, float)
    if mean.shape != (len(settings),) or spread.shape != mean.shape:
        raise ValueError(
            f"mean_and_spread needs one mean and one spread per setting, got {mean.shape} and {spread.shape} for "
            f"{len(settings)} settings"
        )
    figure = Figure(figsize=(width, 3.2), layout="constrained")
    axes = figure.subplots()
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in settings)
    x = np.asarray(settings, float) if numbers else np.arange(len(settings))
    axes.errorbar(x, mean, spread, fmt="o-", ms=4, capsize=3, color=colour(0))
    if not numbers:
        axes.set(xticks=x, xticklabels=[str(value) for value in settings])
    elif x.min() > 0 and x.max() >= 30 * x.min():
        axes.set_xscale("log")
    axes.set(xlabel=setting_label, ylabel=label)
    axes.grid(True)
    return figure
