"""Tables as pictures: bars per layer for several networks, and a heat map over two settings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxsnn.viz.style import INK, SHARE, WIDE, colour, styled


@styled
def energy_bars(energies: Mapping[str, Mapping[str, float]], *, unit: str = "nJ", width: float = WIDE) -> Figure:
    """Energy of every layer, for several networks side by side, on a logarithmic axis.

    Args:
      energies: label of a network (or of a way to count) to layer name to energy per inference, all with the same
        layers; a layer that needs none has no bar.
      unit: of the numbers.
      width: of the figure in inches.

    Raises:
      ValueError: if there is nothing to draw, or the layers differ.
    """
    layers = list(next(iter(energies.values()), ()))
    if not layers or any(list(energy) != layers for energy in energies.values()):
        raise ValueError(
            f"energy_bars needs the same layers for all, got { {k: list(v) for k, v in energies.items()} }"
        )
    count = len(energies)
    figure = Figure(figsize=(width, 0.2 * (count + 0.6) * len(layers) + 1.1), layout="constrained")
    axes = figure.subplots()
    for number, (label, energy) in enumerate(energies.items()):
        y = np.arange(len(layers)) + (number - (count - 1) / 2) * 0.8 / count
        values = np.array([energy[layer] for layer in layers], float)
        shown = values > 0
        bars = axes.barh(y[shown], values[shown], height=0.74 / count, color=colour(number), label=label)
        axes.bar_label(bars, [_short(value) for value in values[shown]], padding=3, fontsize=7.5)
    axes.set(yticks=range(len(layers)), yticklabels=layers, xscale="log", xlabel=f"energy per inference [{unit}]")
    low, high = axes.get_xlim()
    axes.set_xlim(low / 2, high * 3)
    axes.invert_yaxis()
    axes.grid(True, axis="x")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper left", ncols=count)
    return figure


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@styled
def heat_map(
    values: np.ndarray,
    *,
    rows: Sequence[Any],
    columns: Sequence[Any],
    row_label: str,
    column_label: str,
    label: str,
    form: str = "{:.3g}",
    spread: np.ndarray | None = None,
    width: float = 5.2,
) -> Figure:
    """A number for every pair of two settings, e.g. the accuracy of a sweep over leak and T.

    Args:
      values: `[rows, columns]`; NaN where there is none.
      rows, columns: the settings' values.
      row_label, column_label: the settings' names.
      label: name and unit of the numbers.
      form: format of a number.
      spread: of every number, e.g. over seeds, `[rows, columns]`, written below it; None for none.
      width: of the figure in inches.

    Raises:
      ValueError: if `values` has another shape than rows by columns.
    """
    values = np.asarray(values, float)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"heat_map needs values [{len(rows)}, {len(columns)}], rows by columns, got {values.shape}")
    figure = Figure(figsize=(width, 0.45 * len(rows) + 1.1), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(values, cmap=SHARE, aspect="auto")
    low, high = image.get_clim()
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            shade = "white" if value - low > 0.5 * (high - low) else INK
            text = form.format(value)
            if spread is not None:
                text += f"\n± {form.format(spread[row, column])}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=shade)
    axes.set(xlabel=column_label, ylabel=row_label, xticks=range(len(columns)), yticks=range(len(rows)))
    axes.set(xticklabels=[str(c) for c in columns], yticklabels=[str(r) for r in rows])
    figure.colorbar(image, label=label)
    return figure
