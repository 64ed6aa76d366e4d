"""Bright bars that move in eight directions, before an event camera."""

import numpy as np

from jaxsnn.data.generators.camera import observe
from jaxsnn.data.recordings import Recordings

SENSOR = (32, 32)
DIRECTIONS = ("E", "NE", "N", "NW", "W", "SW", "S", "SE")
_TRAIN, _TEST = 80, 20  # recordings per direction
_STEPS, _PERIOD = 100, 2000


def make(seed: int) -> tuple[Recordings, Recordings]:
    """Training and test recordings, 640 and 160, of 32x32 pixels and 200 ms; class = direction.

    Bars lie across their direction, are 2 to 5 pixels thick, start at random places and move 24 to 48 pixels, without
    end: one that leaves the picture comes in on the other side. No single frame tells a direction from its opposite but
    by polarities.
    """
    return _record(_TRAIN, seed, 0), _record(_TEST, seed, 1)


def _record(each: int, seed: int, part: int) -> Recordings:
    rng = np.random.default_rng([seed, part])
    labels = np.repeat(np.arange(len(DIRECTIONS)), each)
    angle = labels * np.pi / 4
    y, x = np.mgrid[: SENSOR[0], : SENSOR[1]]
    along = np.cos(angle)[:, None, None] * x - np.sin(angle)[:, None, None] * y  # rows are counted downward
    start, way, thick = (rng.uniform(low, high, (len(labels), 1, 1)) for low, high in ((0, 48), (24, 48), (2, 5)))

    def film(step: int) -> np.ndarray:
        distance = (along - start - way * step / _STEPS + 24) % 48 - 24  # from the middle of the bar
        return np.clip(thick / 2 + 0.5 - np.abs(distance), 0, 1)

    return observe(film, _STEPS, _PERIOD, labels, threshold=0.3, noise=2e-4, rng=rng)
