"""Figures of a network's answers: accuracy over time, confusion matrix."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from jaxsnn.viz.style import INK, NARROW, SHARE, colour, styled

LONG = 200
"""Curves of more steps than this are drawn over a logarithmic time axis."""
READABLE = 20
"""Matrices of more classes than this are drawn with a colour bar instead of their numbers."""
LONGEST = 12
"""Letters of a class's name that are shown."""


@styled
def accuracy_over_time(
    curves: Mapping[str, np.ndarray],
    *,
    exits: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    log: bool | None = None,
    width: float = 5.2,
) -> Figure:
    """Accuracy if the readout is asked after 1, 2, ... T steps.

    Args:
      curves: label to accuracy `[T]`, in [0, 1]; every curve with its own T.
      exits: label of a curve to mean steps and accuracy of early exit, one per margin; dots in the curve's colour.
      log: logarithmic time axis; None for one if a curve is long.
      width: of the figure in inches.

    Raises:
      ValueError: if there is no curve, or an empty one.
    """
    if not curves or not all(len(curve) for curve in curves.values()):
        raise ValueError("accuracy_over_time needs at least one curve, and one accuracy in each")
    longest = max(map(len, curves.values()))
    figure = Figure(figsize=(width, 0.5 * width if width > NARROW else 0.72 * width), layout="constrained")
    axes = figure.subplots()
    for number, (label, curve) in enumerate(curves.items()):
        steps = np.arange(1, len(curve) + 1)
        axes.plot(steps, 100 * np.asarray(curve), color=colour(number), label=label)
        axes.plot(steps[-1], 100 * curve[-1], "o", ms=4, color=colour(number))
        if exits and label in exits:
            stopped, reached = exits[label]
            axes.plot(stopped, 100 * np.asarray(reached), "x", ms=4, color=colour(number), label=f"{label}, early exit")
    axes.set(xlabel="time steps", ylabel="accuracy [%]", ylim=(0, 101))
    if longest > LONG if log is None else log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True)
    axes.legend()
    return figure


@styled
def confusion(matrix: np.ndarray, *, names: Sequence[str] = (), width: float = 5.0) -> Figure:
    """Confusion matrix, coloured by the fraction of the true class.

    Args:
      matrix: samples by true class (row) and answer (column), `[classes, classes]`.
      names: of the classes; none for their numbers.
      width: of the figure in inches.
    """
    readable = len(matrix) <= READABLE
    figure = Figure(figsize=(width, (0.94 if readable else 0.84) * width), layout="constrained")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axes.imshow(share, cmap=SHARE, vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count and readable:
            shade = "white" if share[row, column] > 0.5 else INK
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=shade)
    ticks = range(0, len(matrix), 1 if readable else 10)
    axes.set(xlabel="answer", ylabel="true class", xticks=ticks, yticks=ticks)
    if names and readable:
        shown = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
        axes.set_xticks(ticks, shown, rotation=90 if max(map(len, shown)) > 3 else 0)
        axes.set_yticks(ticks, shown)
    if not readable:
        figure.colorbar(image, label="fraction of the true class")
    return figure


@styled
def accuracy_over_minutes(
    minutes: Sequence[Sequence[float]],
    accuracies: Sequence[Sequence[float]],
    labels: Sequence[str],
    *,
    title: str = "",
    width: float = 5.2,
) -> Figure:
    """Test accuracy against the time of training, one curve for each run; the last point of each is written out.

    Args:
      minutes: for each run the minutes of training at its evaluations.
      accuracies: for each run the accuracies then, in [0, 1].
      labels: of the runs.
      title: of the figure.
      width: of the figure in inches.

    Raises:
      ValueError: if there is no curve, or an empty one.
    """
    if not minutes or not all(map(len, minutes)):
        raise ValueError("accuracy_over_minutes needs at least one curve, and one accuracy in each")
    figure = Figure(figsize=(width, 0.62 * width), layout="constrained")
    axes = figure.subplots()
    for number, (x, y, label) in enumerate(zip(minutes, accuracies, labels, strict=True)):
        axes.plot(x, [100 * value for value in y], "o-", ms=3, color=colour(number), label=label)
        axes.annotate(f"{100 * y[-1]:.2f} %", (x[-1], 100 * y[-1]), (0, 5), textcoords="offset points", ha="right")
    axes.set(xlabel="minutes of training", ylabel="test accuracy [%]", title=title)
    axes.set_xlim(left=0)
    axes.set_ymargin(0.12)
    axes.grid(True)
    if len(labels) > 1:
        axes.legend()
    return figure
