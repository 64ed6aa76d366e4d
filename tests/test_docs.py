"""What the documents say: their code runs, their links lead somewhere, docstring examples give what they show."""

import doctest
import importlib
import re
from pathlib import Path

import jax
import pytest

import jaxsnn

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    p
    for where in ("*.md", "docs/**/*.md", "experiments/*.md", "benchmarks/*.md", "notebooks/*.md")
    for p in ROOT.glob(where)
)
MODULES = [
    "surrogate",
    "cells.conformance",
    "models.functional",
    "models.connections",
    "models.membranes",
    "analysis.activity",
    "parallel.population",
    "parallel.fit",
]


def test_the_readmes_examples_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in blocks:
            exec(block, names)
    assert "(100, 8)" in capsys.readouterr().out
    assert set(names["gradients"]) == {"conv1", "conv2", "fc1", "fc2"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(f"jaxsnn.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_one_version():
    assert f'version = "{jaxsnn.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
