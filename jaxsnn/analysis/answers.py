"""Answers over time: accuracy after every step, steps that are needed, and stopping as soon as an answer is sure.

One pass over T steps says all of it, since the readout's membranes hold the answer at every step.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxsnn.checks import check_labels
from jaxsnn.typing import Array, ArrayLike, accumulator

Readout = Literal["last", "mean"]
"""The values that answer after t steps: the potentials of step t, or their mean over the steps 1 to t."""


def check_readout(readout: str) -> None:
    """Raises ValueError unless this is a `Readout`."""
    if readout not in get_args(Readout):
        raise ValueError(f"readout must be one of {', '.join(get_args(Readout))}, got {readout!r}")


def evidence(potentials: Any, sums: Any, start: ArrayLike, readout: Readout) -> tuple[Any, Any]:
    """The values whose largest is the answer after each step, for a chunk of time steps; JAX or NumPy arrays.

    Args:
      potentials: membranes of the readout `[steps, B, classes]`.
      sums: their sum over the steps before, float32 at least, `[B, classes]`.
      start: number of the first step.
      readout: see `Readout`.

    Returns:
      `[steps, B, classes]`, and the sum up to the last of these steps.
    """
    if readout == "last":
        return potentials, sums
    wide = sums[None] + potentials.astype(sums.dtype).cumsum(0)
    count = (start + np.arange(1, len(potentials) + 1, dtype=np.int32)).astype(wide.dtype)
    return wide / count.reshape(-1, 1, 1), wide[-1]


def margins(values: Array) -> Array:
    """How far the largest of `[..., classes]` lies above the second, `[...]`; infinity for a single class."""
    wide = values.astype(accumulator(values.dtype))
    if wide.shape[-1] == 1:
        return jnp.full(wide.shape[:-1], jnp.inf, wide.dtype)
    best, second = jnp.moveaxis(jax.lax.top_k(wide, 2)[0], -1, 0)
    return best - second


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Samples by true class (row) and answer (column), int64 `[classes, classes]`."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (np.asarray(labels), np.asarray(predictions)), 1)
    return counts


def accuracy_per_class(confusion: np.ndarray) -> np.ndarray:
    """Fraction of each class's samples classified correctly, `[classes]`; nan for a class without samples."""
    count = confusion.sum(1)
    return np.where(count > 0, np.diag(confusion) / np.maximum(count, 1), np.nan)


class Answers(NamedTuple):
    """The readout's answers to N samples after 1, 2, ... T steps."""

    correct: np.ndarray
    """Whether the largest potential is that of the true class, bool `[T, N]`."""
    margin: np.ndarray
    """How far the largest potential lies above the second, `[T, N]`, in units of the threshold's potential; infinity
    for a single class.

    With `readout="last"` these are potentials, not potentials over t: they add up evidence, so a margin grows while the
    answer stays the same (leak aside), and a large one needs several steps.
    """

    @property
    def accuracy(self) -> np.ndarray:
        """Fraction classified correctly after each step, `[T]`."""
        return self.correct.mean(1)


def answers(evidence: np.ndarray, labels: np.ndarray) -> Answers:
    """From the evidence for each class at every step.

    Args:
      evidence: `[T, N, classes]`, as models return it (`models.Output.answers`).
      labels: true classes `[N]`.

    Raises:
      ValueError: if the shapes do not fit, there is no class, or labels are no classes.
    """
    evidence, labels = np.asarray(evidence), np.asarray(labels)
    if evidence.ndim != 3 or labels.shape != evidence.shape[1:2] or not evidence.shape[2]:
        raise ValueError(
            f"answers need evidence [T, N, classes] and labels [N], got {evidence.shape} and {labels.shape}"
        )
    check_labels(labels, evidence.shape[2])
    ordered = np.concatenate([np.full((*evidence.shape[:2], 1), -np.inf), evidence], -1)  # a second of a single class
    second, best = np.moveaxis(np.partition(ordered, -2, -1)[..., -2:], -1, 0)
    return Answers(evidence.argmax(-1) == labels, best - second)


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
    """The cost and the saving of stopping early, for each of several margins."""

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
        known = answers.margin[np.isfinite(answers.margin)]  # a single class has infinite ones
        margins = [0.0, *(np.quantile(known, np.linspace(0.05, 1, 20)) if known.size else ()), np.inf]
    tried = np.asarray(margins, float)
    last, samples = len(answers.margin) - 1, np.arange(answers.margin.shape[1])
    accuracy, steps = [], []
    for margin in tried:
        sure = answers.margin >= margin
        at = np.where(sure.any(0), sure.argmax(0), last)
        accuracy.append(answers.correct[at, samples].mean())
        steps.append(at.mean() + 1)
    return EarlyExit(tried, np.array(accuracy), np.array(steps))
