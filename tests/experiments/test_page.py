"""HTML from words, tables and figures; no run, no jax."""

from html.parser import HTMLParser

import numpy as np
import pytest

from jaxsnn import viz
from jaxsnn.lab.report import page

VOID = {"meta", "link", "br", "img", "path", "use", "rect", "image"}


class Reader(HTMLParser):
    """Notes tags, ids, references and words, and that every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references, self.words, self.open = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        self.references += [value for name, value in attributes if name in ("href", "src", "xlink:href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def drawing(**changes):
    def draw(width):
        return viz.accuracy_over_time({"a": np.array([0.1, 0.9])}, width=width)

    return page.Drawing(**{"name": "accuracy", "draw": draw, "alt": 'says "<so>"', "caption": "by `x < y`", **changes})


def test_words_are_escaped_and_code_is_marked():
    assert page.words("a < b & `c > d`") == "a &lt; b &amp; <code>c &gt; d</code>"
    assert page.paragraph("x", "note") == '<p class="note">x</p>\n'


def test_a_table_scrolls_in_its_own_box_and_sets_numbers_right():
    html = page.table(["what", "n"], [["<b>", 12], ["all", "1,300.5 %"]], caption="A & B", whole=True)
    read = Reader(html)
    assert ("div", {"class": "table", "role": "region", "tabindex": "0", "aria-label": "A & B"}) in read.tags
    assert ("th", {"scope": "row"}) in read.tags
    assert [attributes.get("class") for tag, attributes in read.tags if tag == "td"] == ["n", "n"]
    assert ("tr", {"class": "whole"}) in read.tags
    assert "<b>" in read.words
    assert "<b>" not in html


@pytest.mark.parametrize(("full", "count"), [(False, 1), (True, 2)])
def test_a_figure_has_alt_text_and_caption(full, count):
    section = page.Section("s", "S", [drawing(full=full)])
    read = Reader(page.page("T", [], [section], "end"))
    pictures = [attributes for tag, attributes in read.tags if tag == "svg"]
    assert len(pictures) == count
    assert {(p["role"], p["aria-label"]) for p in pictures} == {("img", 'says "<so>"')}
    assert "x < y" in read.words
    assert len(set(read.ids)) == len(read.ids)


def test_a_page_needs_only_itself():
    title = "<script>alert(1)</script>"
    section = page.Section(
        "first",
        "First & last",
        ["Words.", (drawing(), drawing(name="other")), page.details("more", page.paragraph("x"))],
    )
    html = page.page(title, [page.facts([("accuracy", "99 %")])], [section], "made by `me`")
    read = Reader(html)
    assert "script" not in {tag for tag, _ in read.tags}
    assert "http:" not in html
    assert "https:" not in html
    assert read.references
    assert all(reference.startswith(("#", "data:")) for reference in read.references)
    assert {reference[1:] for reference in read.references if reference.startswith("#")} <= set(read.ids)
    assert len(set(read.ids)) == len(read.ids)
    assert [d.name for d in page.drawings([section])] == ["accuracy", "other"]
    policy = next(attributes for tag, attributes in read.tags if attributes.get("http-equiv"))
    assert policy["content"].startswith("default-src 'none'")
