"""Training curve, spike raster, accuracy over time, confusion matrix."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, ScalarFormatter
except ImportError as error:
    raise ImportError('figures need matplotlib: pip install "jaxsnn-lab[viz]", or run with --nofigures') from error

COLOURS = ("#2a6fbb", "#d1495b", "#3a9d6e", "#8f5bb5", "#c98a1b")


def training_curve(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Loss and accuracy over epochs.

    Args:
      runs: label to rows of a metrics file; rows with `loss` and `accuracy` are training, `*_accuracy` evaluation.
    """
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (label, rows) in enumerate(runs.items()):
        colour = COLOURS[number % len(COLOURS)]
        epochs = [row for row in rows if row["kind"] == "epoch"]
        x = [row["epoch"] for row in epochs]
        left.plot(x, [row["loss"] for row in epochs], "o-", ms=3, color=colour, label=label)
        right.plot(x, [100 * row["accuracy"] for row in epochs], ":", color=colour, alpha=0.6)
        tested = [row for row in epochs if "test_accuracy" in row]
        right.plot([r["epoch"] for r in tested], [100 * r["test_accuracy"] for r in tested], "o-", ms=3, color=colour)
    right.plot([], [], "o-", color="0.4", label="test")
    right.plot([], [], ":", color="0.4", label="training")
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    left.yaxis.set_major_formatter(ScalarFormatter())
    left.yaxis.set_minor_formatter(ScalarFormatter())
    right.set(xlabel="epoch", ylabel="accuracy [%]")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    return figure


def raster(
    trains: Mapping[str, np.ndarray], potentials: np.ndarray, *, image: np.ndarray, label: int, neurons: int = 60
) -> Figure:
    """Spikes of one sample in every layer, from the input to the readout's membrane potentials.

    Args:
      trains: layer name to spikes `[T, ...]`, in network order.
      potentials: readout membrane `[T, classes]`.
      image: the sample, `[H, W, C]`.
      label: its class.
      neurons: how many neurons to show per layer, evenly spaced among those that fired.
    """
    steps, answer = len(potentials), int(potentials[-1].argmax())
    figure = Figure(figsize=(8.4, 1.1 * len(trains) + 2.2), layout="constrained")
    grid = figure.add_gridspec(len(trains) + 1, 2, width_ratios=(1, 6), height_ratios=[1] * len(trains) + [1.9])
    picture = figure.add_subplot(grid[0, 0])
    picture.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray_r" if image.shape[-1] == 1 else None)
    picture.set_title(f"class {label}", fontsize=9)
    picture.axis("off")
    for row, (name, train) in enumerate(trains.items()):
        flat = train.reshape(steps, -1)
        fired = np.flatnonzero(flat.any(0))
        shown = fired[np.linspace(0, len(fired) - 1, min(neurons, len(fired))).round().astype(int)]
        time, neuron = np.nonzero(flat[:, shown])
        rate = np.abs(flat).mean()
        axes = figure.add_subplot(grid[row, 1])
        axes.scatter(time, neuron, s=3, color=COLOURS[row % len(COLOURS)], linewidths=0)
        axes.set(xlim=(-0.5, steps - 0.5), ylim=(max(len(shown), 1), -1), yticks=[], xticks=[])
        counts = f"{len(shown)} of the {len(fired)} neurons that fired, of {flat.shape[1]}"
        _plain(axes, f"{name}: {counts}; {rate:.3f} spikes per neuron and step")
    axes = figure.add_subplot(grid[-1, 1])
    for number, potential in enumerate(potentials.T):
        chosen = number == answer
        axes.plot(potential, color=COLOURS[1] if chosen else "0.75", lw=2 if chosen else 1, zorder=2 + chosen)
    axes.annotate(str(answer), (steps - 1, potentials[-1, answer]), (4, 0), textcoords="offset points", va="center")
    axes.set(xlim=(-0.5, steps - 0.5), xlabel="time step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _plain(axes, f"readout: membrane potential of every class; the answer is {answer}")
    return figure


def accuracy_over_time(curves: Mapping[str, np.ndarray]) -> Figure:
    """Accuracy if the readout is asked after 1, 2, ... T steps.

    Args:
      curves: label to accuracy `[T]`, in [0, 1].
    """
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    for number, (label, curve) in enumerate(curves.items()):
        axes.plot(np.arange(1, len(curve) + 1), 100 * curve, color=COLOURS[number % len(COLOURS)], label=label)
    axes.set(xlabel="time steps", ylabel="accuracy [%]", ylim=(0, 101))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def confusion(matrix: np.ndarray) -> Figure:
    """Confusion matrix, coloured by the fraction of the true class.

    Args:
      matrix: samples by true class (row) and answer (column), `[classes, classes]`.
    """
    figure = Figure(figsize=(5.0, 4.4), layout="constrained")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if share[row, column] > 0.5 else "0.2"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=colour)
    axes.set(xlabel="answer", ylabel="true class", xticks=range(len(matrix)), yticks=range(len(matrix)))
    figure.colorbar(image, label="fraction of the true class")
    return figure


def _plain(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=8, loc="left", pad=3)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> Path:
    """Writes the figure as PNG; returns the path."""
    figure.savefig(path, dpi=150)
    return path
