"""Loss and accuracy over the epochs of a training."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from jaxsnn.viz.style import MUTED, NARROW, WIDE, colour, styled


@styled
def training_curve(runs: Mapping[str, Sequence[Mapping[str, Any]]], *, width: float = WIDE) -> Figure:
    """Loss and accuracy over epochs.

    Args:
      runs: label to rows of a metrics file; rows with `loss` and `accuracy` are training, `*_accuracy` evaluation.
      width: of the figure in inches.
    """
    narrow = width < NARROW
    figure = Figure(figsize=(width, 6.0 if narrow else 3.4), layout="constrained")
    left, right = figure.subplots(*((2, 1) if narrow else (1, 2)))
    for number, (label, rows) in enumerate(runs.items()):
        epochs = [row for row in rows if row["kind"] == "epoch"]
        x, line = [row["epoch"] for row in epochs], {"color": colour(number)}
        left.plot(x, [row["loss"] for row in epochs], "o-", ms=3, label=label, **line)
        right.plot(x, [100 * row["accuracy"] for row in epochs], ":", **line)
        tested = [row for row in epochs if "test_accuracy" in row]
        right.plot([r["epoch"] for r in tested], [100 * r["test_accuracy"] for r in tested], "o-", ms=3, **line)
    right.plot([], [], "o-", ms=3, color=MUTED, label="test")
    right.plot([], [], ":", color=MUTED, label="training")
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    low, high = left.get_ylim()
    left.yaxis.set_major_formatter(ScalarFormatter())
    left.yaxis.set_minor_formatter(ScalarFormatter() if high < 10 * low else NullFormatter())
    right.set(xlabel="epoch", ylabel="accuracy [%]")
    for axes in (left, right):
        axes.grid(True)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    return figure
