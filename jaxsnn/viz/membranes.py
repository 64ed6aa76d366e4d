"""Membrane potentials of single neurons."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxsnn.viz.style import COLOURS, INK, WIDE, styled


@styled
def membrane_traces(
    potentials: Mapping[str, np.ndarray],
    spikes: Mapping[str, np.ndarray],
    thresholds: Mapping[str, float],
    *,
    width: float = WIDE,
) -> Figure:
    """Membrane potentials of some neurons over time, their thresholds and their spikes.

    Args:
      potentials: name of a neuron to its potential before the reset `[T]`, as compared with the threshold.
      spikes: the same names to spikes `[T]`.
      thresholds: the same names to firing thresholds.
      width: of the figure in inches.

    Raises:
      ValueError: if the names differ, or there are none.
    """
    if not potentials or not potentials.keys() == spikes.keys() == thresholds.keys():
        raise ValueError(
            f"membrane_traces needs potentials, spikes and thresholds of the same neurons, got {list(potentials)}, "
            f"{list(spikes)} and {list(thresholds)}"
        )
    figure = Figure(figsize=(width, 0.95 * len(potentials) + 0.5), layout="constrained")
    every = np.ravel(figure.subplots(len(potentials), 1, sharex=True))
    for axes, (name, potential) in zip(every, potentials.items(), strict=True):
        threshold = thresholds[name]
        fired = np.flatnonzero(spikes[name])
        low, high = min(potential.min(), 0), max(potential.max(), threshold)
        span = high - low
        axes.axhline(threshold, color=COLOURS[1], lw=1, ls=(0, (4, 3)))
        axes.plot(potential, color=COLOURS[0], lw=1.2)
        axes.plot(fired, np.full(len(fired), high + 0.18 * span), "|", color=INK, ms=5)
        axes.set(ylim=(low - 0.08 * span, high + 0.32 * span), xlim=(-0.5, len(potential) - 0.5))
        axes.set_title(f"{name}: {len(fired)} spike{'s' * (len(fired) != 1)}", fontsize=8, pad=3)
        axes.yaxis.set_major_locator(MaxNLocator(3))
    every[-1].set_xlabel("time step")
    every[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
