"""Mutants of the core: one point of meaning changed at a time, and which changes no test notices.

    python -m tests.mutants [--only=surrogate,training/step] [--sample=10] [--seed=0] [--jobs=2] [--log=FILE]

Comparisons are flipped, + and -, * and / exchanged, numbers moved, conditions negated, `not` dropped, `and` and `or`
exchanged. Each mutant is a copy of package and tests in a folder of its own, where the tests of the file run until one
fails. Hours for all; a sample is drawn at random. The same command with the same log goes on where it was stopped.
Ends with 1 if less than 85 % of the mutants die.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
OPTIONS = "tests/models/test_options.py"
PARTS = {  # files and folders of jaxsnn, and their tests, the cheapest first: they stop at the first failure
    "surrogate": ("tests/test_surrogate.py", "tests/peers/test_surrogates.py"),
    "unroll": ("tests/test_unroll.py", OPTIONS),
    "encoding": ("tests/test_encoding.py", "tests/test_keys.py", "tests/peers/test_losses.py"),
    "losses": ("tests/test_losses.py", "tests/peers/test_losses.py"),
    "storage": ("tests/test_spikebp.py", "tests/test_synapses.py"),
    "keys": ("tests/test_keys.py",),
    "spikebp": ("tests/test_spikebp.py", "tests/test_precision.py", OPTIONS),
    "cells": ("tests/cells", "tests/peers/test_neurons.py", OPTIONS),
    "neurons": (
        "tests/test_spikebp.py",
        "tests/cells",
        "tests/peers/test_neurons.py",
        "tests/layers",
        OPTIONS,
        "tests/models",
    ),
    "layers": ("tests/layers", "tests/models"),
    "models": ("tests/models",),
    "training": ("tests/training", "tests/test_keys.py"),
    "analysis": ("tests/analysis",),
    "conversion": ("tests/conversion",),
    "data": ("tests/data",),
}
TESTS = {
    path.relative_to(ROOT / "jaxsnn").with_suffix("").as_posix(): tests
    for part, tests in PARTS.items()
    for path in sorted([(ROOT / "jaxsnn" / part).with_suffix(".py"), *(ROOT / "jaxsnn" / part).rglob("*.py")])
    if path.is_file() and path.stem != "__init__"
}
ENOUGH = 0.85
SECONDS = 600
"""A mutant whose tests take longer counts as dead: it made a loop endless."""

FLIPPED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
FLIPPED |= {ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div}
FLIPPED |= {ast.Div: ast.Mult, ast.And: ast.Or, ast.Or: ast.And}


class Mutant(NamedTuple):
    """A file with one point changed."""

    line: int
    change: str
    source: str

    def of(self, name: str) -> str:
        """The place and the change, in a line."""
        return f"{name}.py:{self.line}: {self.change}"


def mutants(source: str) -> Iterator[Mutant]:
    """All mutants of a source text; where a line holds the same change more than once, its number is in `change`."""
    tree = ast.parse(source)
    seen: dict[tuple[int, str], int] = {}
    for place, node in enumerate(_nodes(tree)):
        for number in range(len(list(_changes(node)))):
            mutated = copy.deepcopy(tree)
            point = list(_nodes(mutated))[place]
            before = ast.unparse(point)
            list(_changes(point))[number]()
            text = ast.unparse(ast.fix_missing_locations(mutated))
            change = f"{before} -> {ast.unparse(point)}"
            count = seen[node.lineno, change] = seen.get((node.lineno, change), 0) + 1
            yield Mutant(node.lineno, change if count == 1 else f"{change} ({count})", text)


def _nodes(node: ast.AST) -> Iterator[ast.expr]:
    """Expressions that compute: no annotations, no messages of errors, no text."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.expr):
        yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _nodes(child)


def _changes(node: ast.expr) -> Iterator[object]:
    """The changes that can be made in place at this node."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in FLIPPED:
        yield lambda: node.ops.__setitem__(0, FLIPPED[type(node.ops[0])]())
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in FLIPPED:
        yield lambda: setattr(node, "op", FLIPPED[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield lambda: setattr(node, "operand", ast.UnaryOp(ast.Not(), node.operand))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield lambda: setattr(node, "op", ast.UAdd())
    elif isinstance(node, ast.IfExp):
        yield lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield lambda: setattr(node, "value", node.value + 1 if isinstance(node.value, int) else node.value * 1.5 or 1.0)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield lambda: setattr(node, "value", not node.value)


def survives(name: str, source: str) -> bool:
    """Whether the tests of a file pass with this source text in its place."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("jaxsnn", "tests", "experiments"):
            shutil.copytree(ROOT / part, Path(folder) / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        (Path(folder) / "jaxsnn" / f"{name}.py").write_text(source, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *TESTS[name]]
        options = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": folder}, "timeout": SECONDS}
        try:
            return not subprocess.run(command, capture_output=True, check=False, **options).returncode
        except subprocess.TimeoutExpired:
            return False


def main() -> int:
    """Runs mutants, prints what became of each, and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(TESTS), help="Files, as in TESTS, separated by commas.")
    parser.add_argument("--sample", type=int, default=0, help="So many mutants, drawn at random; 0 for all.")
    parser.add_argument("--seed", type=int, default=0, help="Of the draw.")
    parser.add_argument("--jobs", type=int, default=1, help="So many mutants at once.")
    parser.add_argument("--log", type=Path, help="File that keeps what became of each mutant, and is read first.")
    given = parser.parse_args()
    sources = {name: (ROOT / "jaxsnn" / f"{name}.py").read_text(encoding="utf-8") for name in given.only.split(",")}
    every = [(name, mutant) for name, source in sources.items() for mutant in mutants(source)]
    if given.sample:
        every = random.Random(given.seed).sample(every, min(given.sample, len(every)))
    known = given.log.read_text(encoding="utf-8").splitlines() if given.log and given.log.exists() else []
    fates = {place: fate == "SURVIVED" for fate, place in (line.split(maxsplit=1) for line in known)}
    to_come = [(name, mutant) for name, mutant in every if mutant.of(name) not in fates]
    pool = ThreadPoolExecutor(given.jobs)
    try:
        names = list({TESTS[name]: name for name, _ in to_come}.values())
        for name, passes in zip(names, pool.map(lambda name: survives(name, sources[name]), names), strict=True):
            if not passes:  # otherwise all would count as dead
                raise SystemExit(f"the tests of {name}.py fail without a mutant: {' '.join(TESTS[name])}")
        alive = pool.map(lambda each: survives(each[0], each[1].source), to_come)
        for (name, mutant), fate in zip(to_come, alive, strict=True):
            fates[mutant.of(name)] = fate
            line = f"{'SURVIVED' if fate else 'killed'}  {mutant.of(name)}"
            print(line, flush=True)
            if given.log:
                with given.log.open("a", encoding="utf-8") as log:
                    log.write(line + "\n")
    finally:
        pool.shutdown(cancel_futures=True)
    survivors = sum(fates[mutant.of(name)] for name, mutant in every)
    dead = len(every) - survivors
    print(f"{dead} of {len(every)} mutants died ({dead / max(len(every), 1):.0%})")
    return int(dead < ENOUGH * len(every))


if __name__ == "__main__":
    sys.exit(main())
