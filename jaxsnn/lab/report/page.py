"""One HTML page that needs nothing but itself: figures as inline SVG, no script, and a policy that forbids requests.

Words are escaped here, and words between backquotes are code; html is put into the page as it is.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from jaxsnn.viz import svg

TEMPLATE = Path(__file__).with_name("page.html")
FULL, HALF = 8.4, 4.4
"""Widths of figures in inches: across the page, and half of it or across a phone."""


@dataclass(frozen=True)
class Drawing:
    """A figure with its words."""

    name: str
    """Name of its PNG, and prefix of the ids in its SVG: letters, digits and `_`."""
    draw: Callable[[float], Figure]
    """`width in inches -> figure`."""
    alt: str
    """The content in words, for those who do not see it."""
    caption: str
    """The content, and how it was made."""
    full: bool = False
    """Across the page; phones get one of half the width."""


class Html(str):
    """A part that is HTML already."""


Part = str | Html | Drawing | tuple[Drawing, ...]
"""Words (a paragraph), HTML, a figure, or figures side by side (on a phone one below the other)."""


class Section(NamedTuple):
    """A part of the page with a heading of its own."""

    name: str
    """In its address, `report.html#name`."""
    title: str
    parts: Sequence[Part]


def words(text: str) -> str:
    """Words as HTML."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def paragraph(text: str, kind: str = "") -> Html:
    """A paragraph; the kind "note" tells of missing parts, "lead" is the first paragraph."""
    attribute = f' class="{kind}"' if kind else ""
    return Html(f"<p{attribute}>{words(text)}</p>\n")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str, whole: bool = False) -> Html:
    """A table that scrolls in its own box where it is too wide; the first cell of a row names it.

    Args:
      head: the columns' names.
      rows: cells; columns of numbers stand on the right, long words are wrapped.
      caption: the content in words.
      whole: the last row sums up the others.
    """
    rows = [[str(cell) for cell in row] for row in rows]
    right = [bool(rows) and all(re.match(r"[-+]?[\d.]|$", row[n]) for row in rows) for n in range(len(head))]
    top = "".join(_cell("th", name, right[n], "col") for n, name in enumerate(head))
    body = ""
    for number, row in enumerate(rows):
        kind = ' class="whole"' if whole and number == len(rows) - 1 else ""
        cells = (_cell("td" if n else "th", cell, right[n], "" if n else "row") for n, cell in enumerate(row))
        body += f"<tr{kind}>{''.join(cells)}</tr>\n"
    return Html(
        f'<p class="caption">{words(caption)}</p>\n'
        f'<div class="table" role="region" tabindex="0" aria-label="{escape(caption)}"><table>\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )


def _cell(tag: str, text: str, right: bool, scope: str) -> str:
    kind = "n" if right else "w" if len(text) > 40 else ""
    attributes = (f' class="{kind}"' if kind else "") + (f' scope="{scope}"' if scope else "")
    return f"<{tag}{attributes}>{words(text)}</{tag}>"


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """The few numbers that matter most: `(what, value)`."""
    items = "".join(f"<div><dt>{words(what)}</dt><dd>{words(value)}</dd></div>" for what, value in pairs)
    return Html(f'<dl class="facts">{items}</dl>')


def details(summary: str, html: Html) -> Html:
    """HTML that is folded away until a reader opens it."""
    return Html(f"<details><summary>{words(summary)}</summary>\n{html}</details>\n")


def drawings(sections: Iterable[Section]) -> Iterator[Drawing]:
    """All figures, in order."""
    for section in sections:
        for part in section.parts:
            if isinstance(part, Drawing):
                yield part
            elif isinstance(part, tuple):
                yield from part


def page(title: str, header: Iterable[Html], sections: Sequence[Section], footer: str) -> str:
    """The whole page: its title, its header, its sections, and words at the end."""
    parts = (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">\n'
        f'<h2 id="{section.name}-title">{words(section.title)}</h2>\n{"".join(map(_html, section.parts))}</section>'
        for section in sections
    )
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        header="".join(header),
        links=" ".join(f'<a href="#{section.name}">{words(section.title)}</a>' for section in sections),
        sections="\n".join(parts),
        footer=words(footer),
    )


def _html(part: Part) -> str:
    if isinstance(part, Drawing):
        return _figure(part)
    if isinstance(part, tuple):
        return f'<div class="pair">\n{"".join(map(_figure, part))}</div>\n'
    return part if isinstance(part, Html) else paragraph(part)


def _figure(drawing: Drawing) -> str:
    pictures = _picture(drawing, HALF, "narrow" if drawing.full else "wide")
    if drawing.full:
        pictures = _picture(drawing, FULL, "wide") + pictures
    kind = ' class="two"' if drawing.full else ""
    return f"<figure{kind}>\n{pictures}<figcaption>{words(drawing.caption)}</figcaption>\n</figure>\n"


def _picture(drawing: Drawing, width: float, kind: str) -> str:
    text = svg(drawing.draw(width), f"{drawing.name}_{kind}")
    return text.replace("<svg", f'<svg class="{kind}" role="img" aria-label="{escape(drawing.alt)}"', 1) + "\n"
