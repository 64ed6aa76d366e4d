"""Spike times on smooth random manifolds (Randman): a class is a manifold, and every unit fires once.

Rates tell nothing, since each unit has one spike in every recording: a network must read the times. The time of unit i
at the point z of a manifold is the product over its dimensions d of

    sum_k  a / (k + 1)**alpha * sin(2 pi (k z_d b + c)),   k = 0 ... 999 (here 0 ... 49),

with a, b and c uniform in [0, 1), of their own for every class, i, d and k; then scaled to [0, 1] by unit. The larger
alpha, the smoother the manifold, and the easier the task.

Source: Zenke and Vogels (2021), "The remarkable robustness of surrogate gradient learning", Neural Computation 33:899.
"""

import numpy as np

from jaxsnn.data.events import EVENT
from jaxsnn.data.recordings import Recordings

UNITS, CLASSES = 100, 10
DURATION = 1_000_000
"""Microseconds."""
_TRAIN, _TEST = 2000, 500
_FREQUENCIES = 50


def make(seed: int, *, dimensions: int = 1, alpha: float = 1.0) -> tuple[Recordings, Recordings]:
    """Training and test recordings, 2,000 and 500, of the same manifolds: x = unit of 100, y = 0, p = 1, up to 1 s."""
    rng = np.random.default_rng(seed)
    count = (_TRAIN + _TEST) // CLASSES
    times = np.empty((count, CLASSES, UNITS))
    k = np.arange(_FREQUENCIES)
    for label in range(CLASSES):
        a, b, c = rng.random((3, dimensions, _FREQUENCIES, UNITS))
        value = np.ones((count, UNITS))
        for d, z in enumerate(rng.random((dimensions, count))):
            waves = np.sin(2 * np.pi * ((k * z[:, None])[..., None] * b[d] + c[d]))  # [count, k, units]
            value *= np.einsum("nku,ku->nu", waves, a[d] / (k[:, None] + 1) ** alpha)
        low, high = value.min(0), value.max(0)
        times[:, label] = (value - low) / (high - low)
    labels = np.tile(np.arange(CLASSES), count)
    microseconds = np.minimum((times.reshape(-1, UNITS) * DURATION).astype(np.int64), DURATION - 1)
    train, test = (_recordings(microseconds[part], labels[part]) for part in (np.s_[:_TRAIN], np.s_[_TRAIN:]))
    return train, test


def _recordings(times: np.ndarray, labels: np.ndarray) -> Recordings:
    order = np.argsort(times, axis=1, kind="stable")
    events = np.zeros(times.size, EVENT)
    events["t"] = np.take_along_axis(times, order, 1).ravel()
    events["x"], events["p"] = order.ravel(), 1
    return Recordings(events, np.arange(len(labels) + 1, dtype=np.int64) * UNITS, labels.astype(np.int32))
