"""Spikes: one sample through all layers, and how many every layer sends."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxsnn.viz.images import show
from jaxsnn.viz.style import COLOURS, MUTED, NARROW, WIDE, colour, styled


@styled
def raster(
    trains: Mapping[str, np.ndarray],
    potentials: np.ndarray,
    *,
    image: np.ndarray,
    label: int,
    answer: int | None = None,
    names: Sequence[str] = (),
    neurons: int = 60,
    width: float = WIDE,
) -> Figure:
    """Spikes of one sample in every layer, from the input to the readout's membrane potentials.

    Args:
      trains: layer name to spikes `[T, ...]`, in network order.
      potentials: readout membrane `[T, classes]`.
      image: the sample, `[H, W, C]`.
      label: its class.
      answer: the class that the network says; None for that of the highest potential after the last step.
      names: of the classes; their numbers if there are none.
      neurons: how many neurons to show per layer, evenly spaced among those that fired.
      width: of the figure in inches; in a narrow one the image stands above.
    """
    steps, narrow = len(potentials), width < NARROW
    answer = int(potentials[-1].argmax()) if answer is None else answer
    names = names or tuple(map(str, range(potentials.shape[-1])))
    figure = Figure(figsize=(width, 1.1 * len(trains) + 2.2 + narrow), layout="constrained")
    first, column = (1, 0) if narrow else (0, 1)
    grid = figure.add_gridspec(
        len(trains) + 1 + first,
        1 + column,
        width_ratios=(1, 6)[: 1 + column],
        height_ratios=[1.1] * first + [1.0] * len(trains) + [1.9],
    )
    picture = figure.add_subplot(grid[0, 0])
    show(picture, image, f"class {names[label]}")
    for row, (name, train) in enumerate(trains.items()):
        flat = train.reshape(steps, -1)
        fired = np.flatnonzero(flat.any(0))
        shown = fired[np.linspace(0, len(fired) - 1, min(neurons, len(fired))).round().astype(int)]
        time, neuron = np.nonzero(flat[:, shown])
        rate = np.abs(flat).mean()
        axes = figure.add_subplot(grid[row + first, column])
        axes.scatter(time, neuron, s=3, color=colour(row), linewidths=0, rasterized=True)
        axes.set(xlim=(-0.5, steps - 0.5), ylim=(max(len(shown), 1), -1), yticks=[], xticks=[])
        if narrow:
            text = f"{name}: {len(fired)} of {flat.shape[1]} fired; rate {rate:.3f}"
        else:
            counts = f"{len(shown)} of the {len(fired)} neurons that fired, of {flat.shape[1]}"
            text = f"{name}: {counts}; {rate:.3f} spikes per neuron and step"
        axes.set_title(text, fontsize=8, pad=3)
    axes = figure.add_subplot(grid[-1, column])
    for number, potential in enumerate(potentials.T):
        chosen = number == answer
        alpha, shade = (1.0, COLOURS[1]) if chosen else (0.5, MUTED)
        axes.plot(potential, color=shade, alpha=alpha, lw=1 + chosen, zorder=2 + chosen)
    axes.annotate(names[answer], (steps - 1, potentials[-1, answer]), (4, 0), textcoords="offset points", va="center")
    axes.set(xlim=(-0.5, steps - 0.5), xlabel="time step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    text = "readout: potential of every class" if narrow else "readout: membrane potential of every class"
    axes.set_title(f"{text}; the answer is {names[answer]}", fontsize=8, pad=3)
    return figure


@styled
def spikes_per_layer(
    spikes: Mapping[str, float], neurons: Mapping[str, int], *, steps: int, width: float = WIDE
) -> Figure:
    """How many spikes every layer sends for one sample, and how busy its neurons are.

    Args:
      spikes: layer name to spikes per sample, a mean over samples; in network order.
      neurons: layer name to the number of neurons.
      steps: number of time steps T.
      width: of the figure in inches.
    """
    narrow = width < NARROW
    height = 0.28 * len(spikes) + 0.75
    figure = Figure(figsize=(width, height * (1 + narrow)), layout="constrained")
    totals, rates = figure.subplots(*((2, 1) if narrow else (1, 2)))
    rate = [100 * count / (neurons[name] * steps) for name, count in spikes.items()]
    for axes, values, form in ((totals, list(spikes.values()), "{:,.0f}"), (rates, rate, "{:.2f} %")):
        bars = axes.barh(range(len(values)), values, height=0.7, color=colour(0))
        axes.bar_label(bars, [form.format(value) for value in values], padding=3, fontsize=8)
        axes.set(yticks=range(len(values)), yticklabels=list(spikes), xticks=[], xlim=(0, 1.28 * max(*values, 1e-9)))
        axes.invert_yaxis()
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    totals.set_title("spikes per sample")
    rates.set_title("share of the neurons that fire in a step")
    return figure
