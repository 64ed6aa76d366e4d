"""The mutator changes one point of meaning at a time, and leaves text, annotations and messages alone."""

import ast
import sys

import pytest

from tests import mutants as tool
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


def test_a_change_that_a_line_holds_twice_is_told_apart():
    found = [mutant.of("file") for mutant in mutants("f = lambda x: x + 1 + x * 1")]
    assert len(set(found)) == len(found)
    assert {"file.py:1: 1 -> 2", "file.py:1: 1 -> 2 (2)"} <= set(found)


def test_a_run_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    unchanged = (ROOT / "jaxsnn" / "keys.py").read_text(encoding="utf-8")
    count = len(list(mutants(unchanged)))
    tested = []

    def survives(name, source):
        tested.append(source)
        if len(tested) == 4:
            raise KeyboardInterrupt
        return source == unchanged

    monkeypatch.setattr(tool, "survives", survives)
    monkeypatch.setattr(sys, "argv", ["mutants", "--only=keys", f"--log={tmp_path / 'log'}"])
    with pytest.raises(KeyboardInterrupt):
        tool.main()
    log = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert len(log) == 2
    before = len(tested)
    assert tool.main() == 0
    assert capsys.readouterr().out.endswith(f"{count} of {count} mutants died (100%)\n")
    assert len(tested) - before == 1 + count - 2  # the file itself again, and all mutants but those in the log
    assert len((tmp_path / "log").read_text(encoding="utf-8").splitlines()) == count


def test_survivors_fail_the_command(monkeypatch, capsys):
    monkeypatch.setattr(tool, "survives", lambda name, source: True)
    monkeypatch.setattr(sys, "argv", ["mutants", "--only=keys", "--sample=3", "--jobs=2"])
    assert tool.main() == 1
    assert "0 of 3 mutants died (0%)" in capsys.readouterr().out


def test_the_files_and_their_tests_are_there():
    assert {"surrogate", "cells/lif", "training/step", "models/network", "layers/norms/batch"} <= TESTS.keys()
    for name, tests in TESTS.items():
        assert (ROOT / "jaxsnn" / f"{name}.py").is_file()
        assert all((ROOT / path).exists() for path in tests)
