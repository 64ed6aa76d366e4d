"""How all figures look: colours, quiet axes, and the way into a PNG or an SVG."""

import functools
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from jaxsnn import files

INK = "#24292f"
"""Colour of text and axes; in an SVG it becomes the text colour of the page."""
MUTED = "#808890"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b57f00", "#6a5acd")
"""Okabe and Ito's colours for all kinds of colour vision, the bright ones darkened: readable on white and on black."""
SHARE = LinearSegmentedColormap.from_list("share", ["#0072b200", "#0072b2"])
"""From 0, which is transparent, to 1."""
SIGNED = LinearSegmentedColormap.from_list(
    "signed", [(0, "#0072b2"), (0.5, "#0072b200"), (0.5, "#d55e0000"), (1, "#d55e00")]
).with_extremes(bad="#80889038")
"""Negative blue, positive orange, 0 transparent; NaN is a grey line between."""

WIDE = 8.4
"""Default width of a large figure in inches; below `NARROW` neighbours are put one below the other."""
NARROW = 6.0

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Makes a function that returns a figure draw it in the style of this module.

    A notebook shows such a figure as the value of a cell, also where pyplot, which else tells it how, is not in use.
    """

    @functools.wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            figure = draw(*args, **kwargs)
        figure._repr_png_ = functools.partial(_png, figure)  # type: ignore[attr-defined]
        return figure

    return drawn


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def colour(number: int) -> str:
    """The colour of the curve of that number, from 0."""
    return COLOURS[number % len(COLOURS)]


def no_axes(axes: Axes) -> None:
    """Leaves only the drawn elements and the title."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def save(figure: Figure, path: Path) -> Path:
    """Writes the figure as PNG, on white; returns the path."""
    return files.write_whole(path, lambda stream: figure.savefig(stream, format=path.suffix[1:] or "png", dpi=150))


def svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element to put into a page, whose text colour it takes.

    Colours of curves are the page's `--c0` to `--c5`, if it defines them (brighter ones on black).

    Args:
      figure: from a function of this package.
      name: prefix of all ids in it; another for every figure of a page.

    Returns:
      `<svg viewBox=...>...</svg>`, transparent, without size, metadata or any reference to another file.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, dpi=200)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    head, body = text.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    text = f"<svg {view[0] if view else ''}>{body}"
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    for number, shade in enumerate(COLOURS):
        text = text.replace(f": {shade}", f": var(--c{number}, {shade})")
    return text.replace(INK, "currentColor")
