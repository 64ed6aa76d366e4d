"""Images: the first layer's filters, and an image beside its input spikes."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from jaxsnn.viz.style import COLOURS, SIGNED, WIDE, no_axes, styled


def picture(values: np.ndarray) -> np.ndarray:
    """Any `[H, W, C]` as RGB in [0, 1], scaled by its largest value; a sample of another rank is drawn as one column.

    One channel is grey, three are RGB; of two, the polarities of events, the first (OFF) is blue and the second (ON)
    orange on black; of more, the mean is drawn. Values of both signs are scaled around mid-grey.
    """
    values = np.asarray(values, float)
    values = values if values.ndim == 3 else values.reshape(-1, 1, 1)
    top = max(np.abs(values).max(), 1e-9)
    scaled = values / top if values.min() >= 0 else 0.5 + values / (2 * top)
    channels = values.shape[-1]
    if channels == 3:
        return scaled
    if channels == 2:
        off, on = (np.array(to_rgb(COLOURS[number])) for number in (0, 1))
        return np.clip(1.6 * (scaled[..., :1] * off + scaled[..., 1:] * on), 0, 1)
    grey = scaled.mean(-1, keepdims=True)
    return np.repeat(grey / max(grey.max(), 1e-9), 3, -1)


def show(axes: Axes, values: np.ndarray, title: str) -> None:
    """Draws one `[H, W, C]` as `picture` sees it."""
    axes.imshow(picture(values), interpolation="nearest", aspect="equal" if np.ndim(values) == 3 else "auto")
    no_axes(axes)
    axes.set_title(title, fontsize=8, loc="center", pad=3)


@styled
def filters(kernel: np.ndarray, *, count: int = 64, width: float = WIDE) -> Figure:
    """The filters of the first layer; all on one scale.

    Kernels of three input channels are drawn in colour around mid-grey, others channel by channel: positive weights
    orange, negative blue.

    Args:
      kernel: weights `[height, width, channels, features]`.
      count: the first so many features are drawn.
      width: of the figure in inches.

    Raises:
      ValueError: for a kernel of another rank.
    """
    if np.ndim(kernel) != 4:
        raise ValueError(f"filters needs a kernel [height, width, channels, features], got shape {np.shape(kernel)}")
    kernel = np.asarray(kernel)[..., :count]
    colourful = kernel.shape[2] == 3
    top = max(np.abs(kernel).max(), 1e-9)
    panels = [kernel] if colourful else [kernel[:, :, c] for c in range(kernel.shape[2])]
    columns = min(kernel.shape[-1], max(4, math.ceil(width / (0.52 * len(panels)))))
    tiles = [_tiles(panel, columns) for panel in panels]
    height = width / len(tiles) * tiles[0].shape[0] / tiles[0].shape[1]
    figure = Figure(figsize=(width, height + 0.3), layout="constrained")
    for number, (axes, tile) in enumerate(zip(np.ravel(figure.subplots(1, len(tiles))), tiles, strict=True)):
        if colourful:
            axes.imshow(
                np.where(np.isnan(tile), 1.0, 0.5 + tile / (2 * top)), alpha=(~np.isnan(tile[..., 0])).astype(float)
            )
        else:
            axes.imshow(tile, cmap=SIGNED, vmin=-top, vmax=top, interpolation="nearest")
        no_axes(axes)
        if len(tiles) > 1:
            axes.set_title(f"input channel {number}", fontsize=8)
    return figure


def _tiles(panel: np.ndarray, columns: int) -> np.ndarray:
    """`[h, w, ..., features]` laid out in rows of `columns`, with a line of NaN between."""
    features = panel.shape[-1]
    rows = math.ceil(features / columns)
    height, width = panel.shape[0] + 1, panel.shape[1] + 1
    tiles = np.full((rows * height - 1, columns * width - 1, *panel.shape[2:-1]), np.nan)
    for feature in range(features):
        row, column = divmod(feature, columns)
        tiles[row * height :, column * width :][: height - 1, : width - 1] = panel[..., feature]
    return tiles


@styled
def input_against_image(image: np.ndarray | None, train: np.ndarray, *, width: float = WIDE) -> Figure:
    """An image beside its input spikes: their sums over the first steps, over more, over all.

    Args:
      image: `[H, W, C]`; None for event data, which has none.
      train: input spikes (or currents) `[T, H, W, C]`.
      width: of the figure in inches.
    """
    steps = len(train)
    ends = sorted({1, max(1, round(steps / 4)), steps})
    panels = [] if image is None else [("image", image)]
    panels += [(f"spikes of {end} step{'s' * (end > 1)}", np.sum(train[:end], 0)) for end in ends]
    figure = Figure(figsize=(width, width / len(panels) + 0.25), layout="constrained")
    for axes, (title, values) in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        show(axes, values, title)
    return figure
