"""Recordings with fewer events: cropped, thinned at random, without isolated events. NumPy only."""

import numpy as np


def crop_to(events: np.ndarray, crop: tuple[int, ...]) -> np.ndarray:
    """The events of a rectangle, whose corner becomes (0, 0).

    Args:
      events: `events.EVENT` `[E]`.
      crop: top, left, height and width, in pixels.
    """
    top, left, height, width = crop
    y, x = events["y"].astype(np.int64) - top, events["x"].astype(np.int64) - left
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    kept = events[inside]
    kept["y"], kept["x"] = y[inside], x[inside]
    return kept


def drop(events: np.ndarray, probability: float, seed: int) -> np.ndarray:
    """Drops each event with this probability, by the seed.

    Raises:
      ValueError: the probability is not in [0, 1].

    Source: the random drop of EventDrop, Gu et al. (2021), IJCAI, arXiv 2106.05836.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"the probability to drop an event must lie in [0, 1], got {probability}")
    return events[np.random.default_rng(seed).random(len(events)) >= probability]


def denoised(events: np.ndarray, window: int, size: tuple[int, int]) -> np.ndarray:
    """Leaves out isolated events: one stays if one of its eight neighbours had an event shortly before it.

    Args:
      events: `events.EVENT` `[E]`, in the order of time.
      window: the longest time between the two, in microseconds.
      size: height and width of the sensor.

    Source: the background-activity filter of Delbruck (2008), "Frame-free dynamic digital vision".
    """
    count, (height, width) = len(events), size
    t, y, x = (events[field].astype(np.int64) for field in "tyx")
    order, number = np.argsort(y * width + x, kind="stable"), np.arange(count)
    keys = ((y * width + x) * count + number)[order]  # sorted by pixel, then by time
    kept = np.zeros(count, bool)
    for down, right in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        v, u = y + down, x + right
        pixel = v * width + u
        place = np.searchsorted(keys, pixel * count + number) - 1  # the last event there before this one, if any
        found = (place >= 0) & (v >= 0) & (v < height) & (u >= 0) & (u < width)
        place = np.maximum(place, 0)
        found &= keys[place] // max(count, 1) == pixel
        kept |= found & (t - t[order[place]] <= window)
    return events[kept]
