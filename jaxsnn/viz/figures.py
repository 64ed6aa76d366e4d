"""Training curve and spike raster."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    from matplotlib.figure import Figure
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
    right.set(xlabel="epoch", ylabel="accuracy [%]")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.xaxis.get_major_locator().set_params(integer=True)
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
      neurons: how many neurons to show per layer; the most active ones are shown.
    """
    figure = Figure(figsize=(8.4, 1.25 * (len(trains) + 2)), layout="constrained")
    grid = figure.add_gridspec(len(trains) + 1, 2, width_ratios=(1, 5), height_ratios=[1] * len(trains) + [1.8])
    picture = figure.add_subplot(grid[:2, 0])
    picture.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray_r" if image.shape[-1] == 1 else None)
    picture.set_title(f"class {label}", fontsize=9)
    picture.axis("off")
    steps = len(potentials)
    for row, (name, train) in enumerate(trains.items()):
        axes = figure.add_subplot(grid[row, 1])
        flat = train.reshape(steps, -1)
        order = np.argsort(-np.abs(flat).sum(0), kind="stable")[:neurons]
        time, neuron = np.nonzero(flat[:, order])
        axes.scatter(time, neuron, s=4, marker="|", color=COLOURS[row % len(COLOURS)], linewidths=1)
        rate = np.abs(flat).sum() / flat.size
        axes.set_title(
            f"{name}: {flat.shape[1]} neurons, {rate:.3f} spikes per neuron and step", fontsize=8, loc="left", pad=2
        )
        axes.set(xlim=(-0.5, steps - 0.5), ylim=(len(order), -1), yticks=[])
        axes.tick_params(labelbottom=False)
        axes.spines[["top", "right"]].set_visible(False)
    axes = figure.add_subplot(grid[-1, 1])
    for number in range(potentials.shape[1]):
        chosen = number == potentials[-1].argmax()
        axes.plot(
            potentials[:, number], color=COLOURS[1] if chosen else "0.7", lw=2 if chosen else 1, zorder=2 + chosen
        )
        axes.annotate(
            str(number),
            (steps - 1, potentials[-1, number]),
            (4, 0),
            textcoords="offset points",
            fontsize=7,
            va="center",
        )
    axes.set(xlim=(-0.5, steps - 0.5), xlabel="time step")
    axes.set_title(
        f"readout: membrane potential per class, answer {potentials[-1].argmax()}", fontsize=8, loc="left", pad=2
    )
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Writes the figure as PNG; returns the path."""
    figure.savefig(path, dpi=150)
    return path
