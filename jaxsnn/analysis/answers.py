"""Answers over time: accuracy after every step, steps that are needed, and stopping as soon as an answer is sure.

One pass over T steps says all of it, since the readout's membranes hold the answer at every step.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Answers(NamedTuple):
    """Of N samples after 1, 2, ... T steps."""

    correct: np.ndarray
    """Whether the largest potential is that of the true class, bool `[T, N]`."""
    margin: np.ndarray
    """How far the largest potential lies above the second, `[T, N]`, in units of the threshold's potential.

    Potentials, not potentials over t: they add up evidence, so that a margin grows while the answer stays the same
    (leak aside), and a large one needs several steps.
    """

    @property
    def accuracy(self) -> np.ndarray:
        """Fraction classified correctly after each step, `[T]`."""
        return self.correct.mean(1)


def answers(potentials: np.ndarray, labels: np.ndarray) -> Answers:
    """From readout potentials.

    Args:
      potentials: membranes of the readout `[T, N, classes]`, as models return them.
      labels: true classes `[N]`.

    Raises:
      ValueError: if the shapes do not fit, or there are fewer than two classes.
    """
    potentials, labels = np.asarray(potentials), np.asarray(labels)
    if potentials.ndim != 3 or labels.shape != potentials.shape[1:2] or potentials.shape[2] < 2:
        raise ValueError(
            f"answers need potentials [T, N, classes >= 2] and labels [N], got {potentials.shape} and {labels.shape}"
        )
    second, best = np.moveaxis(np.partition(potentials, -2, -1)[..., -2:], -1, 0)
    return Answers(potentials.argmax(-1) == labels, best - second)


def steps_needed(accuracy: Sequence[float] | np.ndarray, target: float) -> int | None:
    """After how many steps the accuracy is at `target` or above, and stays there until T; None if it never does.

    Args:
      accuracy: after each step, `[T]`.
      target: in the same unit, e.g. that of another network (iso-accuracy).

    Example:
      >>> from jaxsnn import analysis
      >>> analysis.steps_needed([0.1, 0.9, 0.7, 0.8, 0.9], 0.8)
      4
    """
    below = np.flatnonzero(np.asarray(accuracy) < target)
    needed = int(below[-1]) + 2 if below.size else 1
    return needed if needed <= len(accuracy) else None


class EarlyExit(NamedTuple):
    """What stopping early costs and saves, for each of several margins."""

    margins: np.ndarray
    """A sample is stopped after the first step at which its margin is this or more; after T if none is."""
    accuracy: np.ndarray
    """Fraction of the answers at that step which are correct, one per margin."""
    steps: np.ndarray
    """Mean number of steps until then, one per margin."""

    def cheapest(self, target: float) -> int | None:
        """Index of the margin with the fewest mean steps whose accuracy is `target` or more; None if there is none."""
        enough = np.flatnonzero(self.accuracy >= target)
        return int(enough[self.steps[enough].argmin()]) if enough.size else None


def early_exit(answers: Answers, margins: Sequence[float] | None = None) -> EarlyExit:
    """Accuracy and mean steps if every sample stops once it is sure enough.

    A margin chosen by its result on the same samples is too good; choose it on validation samples.

    Args:
      answers: of N samples at every step.
      margins: to try; by default 0 (always after one step), 20 quantiles of the margins that occur, and infinity
        (never early).

    Raises:
      ValueError: if there is no sample.
    """
    if not answers.margin.size:
        raise ValueError(f"early exit needs at least one sample and step, got margins of shape {answers.margin.shape}")
    if margins is None:
        margins = [0.0, *np.quantile(answers.margin, np.linspace(0.05, 1, 20)), np.inf]
    tried = np.asarray(margins, float)
    last, samples = len(answers.margin) - 1, np.arange(answers.margin.shape[1])
    accuracy, steps = [], []
    for margin in tried:
        sure = answers.margin >= margin
        at = np.where(sure.any(0), sure.argmax(0), last)
        accuracy.append(answers.correct[at, samples].mean())
        steps.append(at.mean() + 1)
    return EarlyExit(tried, np.array(accuracy), np.array(steps))
