"""Text files are UTF-8 wherever they are opened, whatever the locale is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("jaxsnn", "experiments", "benchmarks", "notebooks", "tests")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def is_mode(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(node.value.strip("rwxabt+") == "")


def opens_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a text file: by `open`, or by a method of `Path`."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("read_text", "write_text"):
        return True
    if name != "open":
        return False
    method = isinstance(call.func, ast.Attribute)
    given = call.args[:1] if method else call.args[1:2]
    modes = [*given, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    if method and modes and not is_mode(modes[0]):
        return False  # of something else than a path, e.g. `Image.open(file)`
    return not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)


def without_encoding(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls that leave the encoding to the locale."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and opens_text(node) and "encoding" not in {one.arg for one in node.keywords}:
            yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_file_is_opened_as_utf8(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.lineno for node in without_encoding(tree)] == [], f'add encoding="utf-8" in {path}'


@pytest.mark.parametrize(
    ("code", "found"),
    [
        *[(code, 1) for code in ("open(p)", "open(p, 'w')", "p.open()", "p.open('a')", "p.open(mode='w')")],
        *[(code, 1) for code in ("p.read_text()", "p.write_text(t)", "p.read_text(errors='replace')", "open(p, mode)")],
        *[(code, 0) for code in ("open(p, 'rb')", "p.open('xb')", "open(p, mode='wb')", "Image.open(file)")],
        *[(code, 0) for code in ("archive.open(f'{n}.npy')", "open(p, encoding='utf-8')")],
    ],
)
def test_the_search_finds_what_it_should(code, found):
    assert len(list(without_encoding(ast.parse(code)))) == found
