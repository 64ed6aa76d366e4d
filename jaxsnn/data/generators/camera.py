"""An event camera that looks at films: an event for each pixel whose brightness has changed by a threshold."""

from collections.abc import Callable

import numpy as np

from jaxsnn.data.events import EVENT
from jaxsnn.data.recordings import Recordings


def observe(
    film: Callable[[int], np.ndarray],
    steps: int,
    period: int,
    labels: np.ndarray,
    *,
    threshold: float,
    noise: float,
    rng: np.random.Generator,
) -> Recordings:
    """Recordings of N films.

    Every pixel remembers the brightness at its last event, at first that of the first picture. In each step a pixel
    that is brighter or darker than that by `threshold` sends one event, at a random time within the step, and moves its
    memory by the threshold. This is the camera of Lichtsteiner, Posch and Delbruck (2008), with linear brightness and
    at most one event per pixel and step.

    Args:
      film: number of a step to the pictures of all films, `[N, H, W]` in [0, 1].
      steps: number of steps.
      period: of a step, in microseconds.
      labels: `[N]`.
      threshold: change of brightness that makes an event.
      noise: probability of a pixel to send an event of random polarity in a step, whatever it sees.
      rng: random numbers.
    """
    memory = film(0).copy()
    parts = []
    for step in range(steps):
        change = film(step) - memory
        sign = np.sign(change) * (np.abs(change) >= threshold)
        memory += threshold * sign
        if noise:
            sign = np.where(rng.random(sign.shape) < noise, rng.choice([-1.0, 1.0], sign.shape), sign)
        n, y, x = np.nonzero(sign)
        events = np.empty(len(n), EVENT)
        events["t"] = step * period + rng.integers(0, period, len(n))
        events["x"], events["y"], events["p"] = x, y, sign[n, y, x] > 0
        parts.append((n, events))
    owners = np.concatenate([n for n, _ in parts])
    whole = np.concatenate([events for _, events in parts])
    order = np.lexsort((whole["t"], owners))
    starts = np.searchsorted(owners[order], np.arange(len(labels) + 1))
    return Recordings(whole[order], starts.astype(np.int64), labels.astype(np.int32))
