"""Networks at equal accuracy: steps, spikes and energy of each until it answers as well as the other."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from jaxsnn.analysis.answers import steps_needed
from jaxsnn.analysis.energy import TABLES, Counts, energy


class Curve(Protocol):
    """A network over time: `streaming.Streamed`."""

    @property
    def accuracy(self) -> np.ndarray: ...

    def per_inference(self, steps: int) -> Counts: ...


class Needed(NamedTuple):
    """Steps, spikes and operations of one inference until the accuracy is reached."""

    steps: int
    spikes: float
    """Spikes of all layers but the input."""
    operations: float
    """Synaptic operations of synapses with weights."""
    energy_ratio: dict[str, float]
    """Energy of the equal ReLU network over this one's, by table of `TABLES`: synaptic operations alone."""
    energy_ratio_with_neurons: dict[str, float]
    """With the neurons' own arithmetic."""


def common_accuracy(curves: Mapping[str, Curve], margin: float = 0.0) -> float:
    """The accuracy that all networks reach at the end, less a margin."""
    return max(min(float(curve.accuracy[-1]) for curve in curves.values()) - margin, 0.0)


def needed(curve: Curve, target: float, *, leaky: bool = True) -> Needed:
    """The steps, spikes and energy after which a network's accuracy no longer falls below the target.

    Args:
      curve: accuracy, spikes and operations at every step.
      target: a fraction of the samples.
      leaky: whether its neurons leak (see `energy`).

    Returns:
      The needs up to that step; the needs of all steps for a network that never gets there.
    """
    steps = steps_needed(curve.accuracy, target - 1e-9) or len(curve.accuracy)
    counts = curve.per_inference(steps)
    ratios: dict[bool, dict[str, float]] = {
        neurons: {
            table: total.ratio
            for table in TABLES
            for total in [energy(counts, table=table, neurons=neurons, leaky=leaky).synapses]
            if total.spiking
        }
        for neurons in (False, True)
    }
    return Needed(
        steps,
        sum(count for name, count in counts.spikes.items() if name != "input"),
        sum(counts.operations[c.name] for c in counts.connections if c.weighted),
        ratios[False],
        ratios[True],
    )
