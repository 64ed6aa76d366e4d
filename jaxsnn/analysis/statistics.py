"""Running statistics of one spike train: counts, intervals between spikes, synchrony; in the memory of one step."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsnn.analysis.operations import fan_out
from jaxsnn.synapses import Connection
from jaxsnn.typing import Array, Shape

PART = 12
"""Bits of the lower of the two integers in which products of counts and fan-out are added up."""


class TrainStatistics(NamedTuple):
    """Statistics of one batch up to some step; `[B, ...]` like one step of the train."""

    fired: Array
    """Steps at which each neuron fired (or was not zero), int32 `[B, ...]`."""
    last: Array
    """The latest of them, -1 if there is none, int32 `[B, ...]`."""
    intervals: Array
    """How many intervals between spikes are at most each of the bins, over the batch, int32 `[bins, ...]`."""
    total: Array
    """Sum of these intervals in steps, over the batch, int32 `[...]`."""
    squares: Array
    """Sum of their squares, float32 `[...]`."""
    mean: Array
    """Fraction of the neurons that fire at a step, its mean over the steps so far, float32 `[B]`."""
    spread: Array
    """Sum of its squared deviations from that mean, float32 `[B]`."""
    analog: Array
    """Whether anything but -1, 0 and 1 came, for any sample, bool."""


def interval_bins(steps: int) -> tuple[int, ...]:
    """Largest interval of each bin: 1, 2, 4, 8, ... up to the first that is T or more."""
    return tuple(2**k for k in range(max(steps - 1, 1).bit_length() + 1))


def at_rest(shape: Shape, bins: int) -> TrainStatistics:
    """Statistics before the first step, for neurons `[B, ...]`."""
    neurons = shape[1:]
    return TrainStatistics(
        jnp.zeros(shape, jnp.int32),
        jnp.full(shape, -1, jnp.int32),
        jnp.zeros((bins, *neurons), jnp.int32),
        jnp.zeros(neurons, jnp.int32),
        jnp.zeros(neurons, jnp.float32),
        jnp.zeros(shape[0], jnp.float32),
        jnp.zeros(shape[0], jnp.float32),
        jnp.zeros((), bool),
    )


def update(statistics: TrainStatistics, x: Array, step: Array, inside: Array, bins: Sequence[int]) -> TrainStatistics:
    """Takes in one step.

    Args:
      statistics: of the steps before.
      x: output of the neurons at this step, `[B, ...]`.
      step: its number, int32.
      inside: which samples count, bool `[B]`.
      bins: from `interval_bins`.
    """
    fired = (x != 0) & inside.reshape(-1, *(1,) * (x.ndim - 1))
    again = fired & (statistics.last >= 0)
    interval = jnp.where(again, step - statistics.last, 0)
    active = jnp.mean(fired, range(1, x.ndim), dtype=jnp.float32)
    change = active - statistics.mean  # Welford's update of mean and spread: no difference of large numbers
    mean = statistics.mean + change / (step + 1).astype(jnp.float32)
    within = jnp.stack([jnp.sum(again & (interval <= longest), 0, dtype=jnp.int32) for longest in bins])
    return TrainStatistics(
        statistics.fired + fired.astype(jnp.int32),
        jnp.where(fired, step, statistics.last),
        statistics.intervals + within,
        statistics.total + jnp.sum(interval, 0, dtype=jnp.int32),
        statistics.squares + jnp.sum(jnp.square(interval.astype(jnp.float32)), 0),
        mean,
        statistics.spread + change * (active - mean),
        statistics.analog | is_analog(jnp.where(fired, x, jnp.zeros_like(x))),
    )


def is_analog(x: Array) -> Array:
    """Whether a train holds anything but -1, 0 and 1, bool."""
    return jnp.any((x != 0) & (jnp.abs(x) != 1))


class BatchCounts(NamedTuple):
    """The summary of one train of one batch after the last step."""

    counts: Array
    """Spikes of each neuron over the batch, int32 `[...]`."""
    spikes: Array
    """Spikes of all neurons, int32 `[B]`."""
    silent: Array
    """Fraction of the neurons that did not fire, float32 `[B]`."""
    synchrony: Array
    """chi^2, float32 `[B]`; nan where no neuron's firing varies."""
    intervals: Array
    total: Array
    squares: Array
    analog: Array


def summarise(statistics: TrainStatistics, steps: int) -> BatchCounts:
    """After T steps. Synchrony is that of Golomb and Rinzel: see `firing.Firing.synchrony`."""
    neurons = tuple(range(1, statistics.fired.ndim))
    rate = statistics.fired.astype(jnp.float32) / steps
    single = jnp.mean(rate * (1 - rate), neurons)
    whole = statistics.spread / steps
    return BatchCounts(
        jnp.sum(statistics.fired, 0, dtype=jnp.int32),
        jnp.sum(statistics.fired, neurons, dtype=jnp.int32),
        jnp.mean(statistics.fired == 0, neurons, dtype=jnp.float32),
        jnp.where(single > 0, whole / jnp.where(single > 0, single, 1), jnp.nan),
        statistics.intervals,
        statistics.total,
        statistics.squares,
        statistics.analog,
    )


def weighted_count(counts: Array, weights: Array) -> tuple[Array, Array]:
    """Counts `[B, ...]` times `weights` `[...]`, summed over neurons, exactly: (multiples of 2^12, the rest) `[B]`."""
    products = (counts * weights[None]).reshape(len(counts), -1)
    return (
        jnp.sum(products >> PART, 1, dtype=jnp.int32),
        jnp.sum(products & (2**PART - 1), 1, dtype=jnp.int32),
    )


def largest_sum(neurons: Shape, largest_weight: int, steps: int) -> int:
    """The largest number that `weighted_count` could meet on its way: it must stay below 2^31."""
    product, many = largest_weight * steps, math.prod(neurons)
    return max(product, many * 2**PART, many * (product >> PART), many * steps)


def whole(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """The numbers, int64, from the two parts that `weighted_count` returned."""
    return (np.asarray(high, np.int64) << PART) + low


def check_counts(connections: Sequence[Connection], steps: int, batch_size: int) -> None:
    """Whether counts of one batch fit the integers (int32) in which they are made on the device.

    Raises:
      ValueError: if one of them might not, saying which and what helps.
    """
    for connection in connections:
        largest = largest_sum(connection.input_shape, int(fan_out(connection).max(initial=0)), steps)
        if max(largest, batch_size * steps) >= 2**31:
            raise ValueError(
                f"counts of {connection.name} might exceed int32 with {connection.input_shape} input neurons, "
                f"T = {steps:,} and batches of {batch_size:,}: use fewer steps or smaller batches"
            )
