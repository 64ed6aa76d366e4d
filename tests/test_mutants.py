"""The mutator changes one point of meaning at a time, and leaves text, annotations and messages alone."""

import ast

from tests.mutants import ROOT, TESTS, mutants

SOURCE = '''
"""1 + 1"""
def run(x: int = 3) -> "1 < 2":
    if not x or x < 1:
        raise ValueError(f"{x + 1}")
    return -x * 2 if x is None else True
'''


def test_every_point_is_changed_once():
    found = {(mutant.line, mutant.change) for mutant in mutants(SOURCE)}
    assert found == {
        (3, "3 -> 4"),
        (4, "not x or x < 1 -> not x and x < 1"),
        (4, "not x -> not not x"),
        (4, "x < 1 -> x <= 1"),
        (4, "1 -> 2"),
        (6, "-x * 2 if x is None else True -> -x * 2 if not x is None else True"),
        (6, "-x * 2 -> -x / 2"),
        (6, "-x -> +x"),
        (6, "2 -> 3"),
        (6, "x is None -> x is not None"),
        (6, "True -> False"),
    }
    for mutant in mutants(SOURCE):
        assert ast.unparse(ast.parse(mutant.source)) != ast.unparse(ast.parse(SOURCE))


def test_the_files_and_their_tests_are_there():
    assert {"surrogate", "cells/lif", "training/step", "models/network", "layers/norms/batch"} <= TESTS.keys()
    for name, tests in TESTS.items():
        assert (ROOT / "jaxsnn" / f"{name}.py").is_file()
        assert all((ROOT / path).exists() for path in tests)
