"""The firing of a layer over a data set, as `make_profile` records it."""

from typing import NamedTuple

import numpy as np

from jaxsnn.analysis.statistics import BatchCounts, interval_bins


class Firing(NamedTuple):
    """Spikes of the neurons `[...]` of one layer, for N samples over T steps; of signed spikes, both signs alike."""

    steps: int
    """T."""
    counts: np.ndarray
    """Spikes of each neuron over all samples and steps, int64 `[...]`."""
    spikes: np.ndarray
    """Spikes of all neurons for each sample, int64 `[N]`."""
    silent_per_sample: np.ndarray
    """Fraction of the neurons that do not fire for a sample, `[N]`."""
    synchrony: np.ndarray
    """chi^2 for each sample, `[N]`: variance over time of the fraction of neurons that fire at a step, divided by the
    mean over neurons of the variance of each one's spike train; 1 if all fire together, about 1 / neurons if they are
    independent; nan where no neuron's firing varies.

    Source: Golomb and Rinzel (1993), Phys. Rev. E 48:4810, there for membrane potentials; here for spikes (0 or 1).
    """
    intervals: np.ndarray
    """Intervals between spikes of a neuron within a sample, counted by length, int64 `[bins, ...]`."""
    interval_total: np.ndarray
    """Their sum in steps, int64 `[...]`."""
    interval_squares: np.ndarray
    """The sum of their squares, `[...]`."""
    analog: bool
    """Whether the train holds anything but -1, 0 and 1; then "spike" means "not zero"."""

    @classmethod
    def of(cls, batch: BatchCounts, inside: np.ndarray, steps: int) -> "Firing":
        """From the counts of one batch, and which of its samples count, bool `[B]`."""
        return cls(
            steps,
            counts=np.asarray(batch.counts, np.int64),
            spikes=np.asarray(batch.spikes, np.int64)[inside],
            silent_per_sample=np.asarray(batch.silent)[inside],
            synchrony=np.asarray(batch.synchrony)[inside],
            intervals=np.diff(np.asarray(batch.intervals, np.int64), axis=0, prepend=0),
            interval_total=np.asarray(batch.total, np.int64),
            interval_squares=np.asarray(batch.squares, np.float64),
            analog=bool(batch.analog),
        )

    def joined(self, other: "Firing") -> "Firing":
        """With further samples of the same layer."""
        return Firing(
            self.steps,
            counts=self.counts + other.counts,
            spikes=np.concatenate([self.spikes, other.spikes]),
            silent_per_sample=np.concatenate([self.silent_per_sample, other.silent_per_sample]),
            synchrony=np.concatenate([self.synchrony, other.synchrony]),
            intervals=self.intervals + other.intervals,
            interval_total=self.interval_total + other.interval_total,
            interval_squares=self.interval_squares + other.interval_squares,
            analog=self.analog or other.analog,
        )

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return self.counts.size

    @property
    def rates(self) -> np.ndarray:
        """Spikes per step of each neuron, `[...]`, in [0, 1]."""
        return self.counts / (self.steps * len(self.spikes))

    @property
    def rate(self) -> float:
        """Spikes per neuron and step."""
        return float(self.rates.mean())

    @property
    def silent(self) -> float:
        """Fraction of the neurons that never fire, for any sample."""
        return float((self.counts == 0).mean())

    @property
    def saturated(self) -> float:
        """Fraction of the neurons that fire at every step, for every sample."""
        return float((self.counts == self.steps * len(self.spikes)).mean())

    @property
    def interval_bins(self) -> tuple[int, ...]:
        """The longest interval that each bin of `intervals` counts: 1, 2, 4 (that is 3 and 4), 8 (5 to 8), ..."""
        return interval_bins(self.steps)

    @property
    def interval_mean(self) -> float:
        """Mean interval between spikes in steps, over neurons and samples; nan if no neuron fires twice."""
        count = self.intervals.sum()
        return float(self.interval_total.sum() / count) if count else float("nan")

    @property
    def interval_variation(self) -> float:
        """Coefficient of variation of the intervals of a neuron, the mean over neurons weighted by their intervals:
        0 for a clock, about 1 for a Poisson process; nan if no neuron fires twice."""
        count = self.intervals.sum(0)
        some = count > 0
        if not some.any():
            return float("nan")
        mean = self.interval_total[some] / count[some]
        variance = np.maximum(self.interval_squares[some] / count[some] - mean**2, 0)
        return float(np.average(np.sqrt(variance) / mean, weights=count[some]))
