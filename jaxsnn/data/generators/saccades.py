"""The 1,797 digits inside scikit-learn before a camera that moves in three saccades, as N-MNIST was recorded."""

import numpy as np

from jaxsnn.data.digits import small_splits
from jaxsnn.data.generators.camera import observe
from jaxsnn.data.recordings import Recordings

SENSOR = (34, 34)
CLASSES = 10
_SIDE = 28  # of the digit, in pixels of the sensor
_STEPS, _PERIOD = 105, 3000  # 35 steps of 3 ms for each saccade
_CORNERS = np.array([[-1.5, -2.0], [-1.5, 2.0], [2.0, 0.0], [-1.5, -2.0]])  # of the triangle, y and x, in pixels


def make(seed: int) -> tuple[Recordings, Recordings]:
    """Training and test recordings, 1,438 and 359, of the same split as the digits; 34x34 pixels, 315 ms.

    Source: the movement is that of Orchard et al. (2015), Frontiers in Neuroscience 9:437.

    Raises:
      ImportError: if scikit-learn is missing, saying how to install it.
    """
    train, test = small_splits()
    return _record(train.samples, train.labels, seed, 0), _record(test.samples, test.labels, seed, 1)


def _record(digits: np.ndarray, labels: np.ndarray, seed: int, part: int) -> Recordings:
    pictures = digits.reshape(-1, 8, 8) / 16

    def film(step: int) -> np.ndarray:
        saccade, rest = divmod(3 * step / _STEPS, 1)
        begin, end = _CORNERS[int(saccade)], _CORNERS[int(saccade) + 1]
        y, x = begin + rest * (end - begin)
        shifted: np.ndarray = _weights(y) @ pictures @ _weights(x).T
        return shifted

    return observe(film, _STEPS, _PERIOD, labels, threshold=0.25, noise=1e-3, rng=np.random.default_rng([seed, part]))


def _weights(shift: float) -> np.ndarray:
    """`[34, 8]`: bilinear, a digit of 28 pixels in the middle, moved by `shift`; dark around it."""
    place = (np.arange(SENSOR[0]) - (SENSOR[0] - _SIDE) / 2 - shift + 0.5) * 8 / _SIDE - 0.5
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(8)))
