"""Who may import whom (docs/decisions/0001), how long a file may be, and how long the core takes to import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STANDARD = sys.stdlib_module_names
CORE = {"jax", "numpy", "chex", "jaxsnn"}
ALLOWED = {  # third-party packages, and parts of jaxsnn, that each part may import
    "layers": (
        {"jax", "numpy", "flax"},
        {"compiling", "layers", "neurons", "synapses", "storage", "checks", "typing", "keys"},
    ),
    "models": (
        {"jax", "flax"},
        {"models", "layers", "neurons", "spikebp", "synapses", "storage", "unroll", "checks", "typing", "keys"},
    ),
    "interchange": (
        {"jax", "numpy", "flax", "nir", "h5py", "safetensors"},
        {"interchange", "models", "layers", "neurons", "cells", "synapses", "files", "typing"},
    ),
    "data": (
        {"PIL", "jax", "numpy", "tensorflow_datasets", "sklearn", "tqdm", "h5py"},
        {"data", "files", "typing", "keys", "rows"},
    ),
    "training": (
        {"jax", "numpy", "optax", "orbax", "tqdm"},
        {"checks", "compiling", "files", "training", "typing", "keys", "rows"},
    ),
    "parallel": ({"jax", "numpy", "tqdm"}, {"checks", "compiling", "parallel", "training", "typing"}),
    "viz": ({"matplotlib", "numpy"}, {"files", "viz"}),
}
ORDER = ["typing", "checks", "surrogate", "cells", "unroll", "spikebp", "neurons"]


def imports(path: Path) -> set[str]:
    """Full names of everything a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(path: Path) -> str:
    return path.relative_to(ROOT / "jaxsnn").parts[0].removesuffix(".py")


FILES = sorted((ROOT / "jaxsnn").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_import_rules(path):
    names = imports(path)
    third_party = {name.split(".")[0] for name in names} - STANDARD - {"jaxsnn"}
    inside = {name.split(".")[1] for name in names if name.startswith("jaxsnn.")}
    assert "experiments" not in third_party
    if part(path) in ("lab", "pretrained"):
        return  # where all meet
    if part(path) in ALLOWED:
        packages, parts = ALLOWED[part(path)]
        assert third_party <= packages
        known = {part(p) for p in FILES}
        assert inside & known <= parts
    else:
        assert third_party <= CORE
        assert not inside & {*ALLOWED, "lab"}
    if part(path) in ORDER:
        above = set(ORDER[ORDER.index(part(path)) + 1 :])
        assert not inside & above


@pytest.mark.parametrize("path", [*FILES, *(ROOT / "experiments").glob("*.py")], ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_short_enough_to_be_read_whole(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


def test_the_core_imports_in_under_a_second_and_loads_nothing_else():
    program = """
import sys, time, jax, numpy
before = set(sys.modules)
began = time.perf_counter()
import jaxsnn
took = time.perf_counter() - began
new = {name.split(".")[0] for name in set(sys.modules) - before}
heavy = new & {"flax", "optax", "orbax", "tensorflow_datasets", "matplotlib", "absl", "sklearn", "tqdm", "h5py"}
print(took, sorted(heavy))
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    seconds, heavy = out.split(maxsplit=1)
    assert heavy.strip() == "[]"
    assert float(seconds) < 1.0
