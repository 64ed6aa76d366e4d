"""Docstrings begin their sentences with a subject."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxsnn"


def inverted(source):
    """Docstrings, those of fields and constants included, with a sentence that starts with Of, What or That."""
    expressions = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr))
    texts = ((node.lineno, node.value) for node in expressions if isinstance(node, ast.Constant))
    return [(line, text) for line, text in texts if isinstance(text, str) and re.search(r"\b(Of|What|That)\s", text)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_docstring_sentence_starts_with_of_what_or_that(path):
    assert not inverted(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", ["Of the readout.", "Counts spikes. What is left, is silent.", "A.\n\n    That of B."])
def test_inverted_sentences_are_seen(text):
    assert inverted(f'class A:\n    x: int\n    """{text}"""\n')
    assert not inverted('"""The readout of a network, and what it answers; that is all."""\n')
