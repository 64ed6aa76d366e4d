"""Samples to the input of a network over time, `[B, ...]` to `[T, B, ...]`, for samples of any shape.

`ENCODINGS` holds every encoding by name; an entry that is added there is found by its name everywhere. Random numbers
and firing times are computed in float32 at least, whatever the dtype of the samples.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxsnn.encoding.frames import delta, events
from jaxsnn.encoding.rates import direct, phase, poisson
from jaxsnn.encoding.times import latency, population, receptive_fields
from jaxsnn.typing import Array

__all__ = [
    "ENCODINGS",
    "Encoding",
    "delta",
    "direct",
    "events",
    "latency",
    "phase",
    "poisson",
    "population",
    "receptive_fields",
]


class Encoding(NamedTuple):
    """One way to make the input of a network from samples."""

    encode: Callable[..., Array]
    """`(key, x [B, ...], start, steps, *, total, gain, **options) -> [steps, B, ...]`: the steps from number `start`
    on.

    `key` is one for the batch, or one per sample, `[B]`.
    A train made in chunks is the train made at once. `total` is the T of a run: a train that has a length of its own
    begins again after it. `gain` scales firing rates. An encoding that needs neither takes them as `**_`.
    """
    label: str
    """For people, before the word "input": "Poisson"."""
    description: str
    """How the input of one step was made, a sentence without its full stop."""
    spikes: bool | None
    """Whether the input holds -1, 0 and 1 alone; None if that depends on the samples."""
    frames: bool = False
    """Whether samples are `[B, T, ...]`, one frame per time step, as event data are."""
    constant: bool = False
    """Whether the input is the same at every step."""
    rates: bool = True
    """Whether the mean of the train over time tells the sample, so that a network converted from ReLUs can read it."""
    options: tuple[str, ...] = ()
    """Fields of the network group that `encode` takes by keyword."""
    expands: bool = False
    """Whether the input has another shape than the samples."""


ENCODINGS: dict[str, Encoding] = {
    "poisson": Encoding(
        lambda key, x, start, steps, *, gain=1.0, **_: poisson(key, x, steps, gain=gain, start=start),
        "Poisson",
        "In every step each pixel spikes with a probability given by its intensity (Poisson input)",
        spikes=True,
    ),
    "direct": Encoding(
        lambda key, x, start, steps, **_: direct(x, steps),
        "direct",
        "The image itself is the input current of every step (direct input), so sums are multiples of it",
        spikes=False,
        constant=True,
    ),
    "latency": Encoding(
        lambda key, x, start, steps, *, total, **_: latency(x, steps, start=start, total=total),
        "latency",
        "Each pixel spikes once, bright ones early (latency input)",
        spikes=True,
        rates=False,
    ),
    "phase": Encoding(
        lambda key, x, start, steps, **_: phase(x, steps, start=start),
        "phase",
        "Each step carries one bit of the intensity, the largest first, with its weight (phase input)",
        spikes=False,
        rates=False,
    ),
    "population": Encoding(
        lambda key, x, start, steps, *, total, receptive_fields, **_: population(
            x, steps, start=start, total=total, receptive_fields=receptive_fields
        ),
        "population",
        "Each value is told by several neurons that prefer different values, those near it first (population code)",
        spikes=True,
        rates=False,
        options=("receptive_fields",),
        expands=True,
    ),
    "delta": Encoding(
        lambda key, x, start, steps, *, delta_threshold, **_: delta(x, steps, start=start, threshold=delta_threshold),
        "delta",
        "Each step holds the places where the sample rose or fell since the last one (delta input)",
        spikes=True,
        frames=True,
        rates=False,
        options=("delta_threshold",),
    ),
    "events": Encoding(
        lambda key, x, start, steps, **_: events(x, steps, start=start),
        "event",
        "Each step holds the events that the camera saw in it: ON orange, OFF blue",
        spikes=None,
        frames=True,
    ),
}
"""Every encoding by its name."""
