"""The scripts run from top to bottom at a small size; the executed notebooks beside them are theirs, and small."""

import ast
import io
import json
import re
from pathlib import Path
from typing import NamedTuple

import jax
import matplotlib
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FOLDER = Path(__file__).parents[2] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
LARGEST = 250_000
"""Bytes of one .ipynb."""
TINY = {  # other values for the names of the cell tagged "parameters"
    "01_a_neuron": {"steps": 30},
    "02_surrogate_gradients": {"steps": 12, "updates": 2, "side": 8},
    "03_your_own_cell": {"steps": 20, "updates": 12, "batch": 4, "side": 8},
    "04_a_spiking_lenet": {"steps": 3, "epochs": 1, "samples": 32, "tested": 24, "width": 0.1},
    "05_a_sweep": {"steps": 2, "epochs": 1, "samples": 48, "tested": 24, "leaks": (0.6, 0.9), "thresholds": (0.5,)},
    "06_coming_from_other_libraries": {"steps": 3, "updates": 2, "batch": 4},
    "07_a_network_of_your_own": {"steps": 2, "epochs": 1, "samples": 32, "tested": 24},
}
every = pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)


class Cell(NamedTuple):
    kind: str
    source: str
    parameters: bool
    line: int


def cells(path: Path) -> list[Cell]:
    """The cells of a percent script."""
    found: list[Cell] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("# %%")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        head, body = lines[start], lines[start + 1 : end]
        markdown = "[markdown]" in head
        if markdown:
            body = [line.removeprefix("#").removeprefix(" ") for line in body if line.startswith("#")]
        source = "\n".join(body).strip("\n")
        found.append(Cell("markdown" if markdown else "code", source, '"parameters"' in head, start + 1))
    return found


def run(cell: Cell, path: Path, names: dict) -> object:
    """Executes a cell; returns what a notebook would show, the value of its last line."""
    tree = ast.parse("\n" * cell.line + cell.source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, path, "exec"), names)
    return eval(compile(ast.Expression(last.value), path, "eval"), names) if last else None


LONG = {"02_surrogate_gradients", "03_your_own_cell", "04_a_spiking_lenet", "07_a_network_of_your_own"}


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.thorough] if path.stem in LONG else []) for path in SCRIPTS],
    ids=lambda p: p.stem,
)
def test_a_script_runs(path, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    names: dict = {"__name__": "__main__"}
    sized = 0
    with matplotlib.rc_context(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for cell in cells(path):
            if cell.kind == "code":
                shown = run(cell, path, names)
                if isinstance(shown, matplotlib.figure.Figure):
                    shown.savefig(io.BytesIO(), dpi=30)
                if cell.parameters:
                    assert set(TINY[path.stem]) <= set(names)
                    names.update(TINY[path.stem])
                    sized += 1
    assert sized == 1


@every
def test_the_notebook_is_the_script_executed(path):
    notebook = json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))
    have = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    assert have == [(cell.kind, cell.source) for cell in cells(path)], "run `make notebooks`"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    text = json.dumps([cell for cell in notebook["cells"] if cell["cell_type"] == "code"])
    assert not re.search(r"/(home/|work|tmp/|root/|Users/)[\w.]*", text)


@every
def test_the_notebook_is_small(path):
    assert path.with_suffix(".ipynb").stat().st_size < LARGEST


def test_all_are_listed():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(TINY) == {path.stem for path in SCRIPTS} == {path.stem for path in FOLDER.glob("*.ipynb")}
    for path in SCRIPTS:
        assert f"({path.stem}.ipynb)" in readme
