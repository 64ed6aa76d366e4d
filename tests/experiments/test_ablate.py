import json
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from jaxsnn import training
from jaxsnn.lab.ablate import ablate, questions, table

TINY = questions.Ablation(
    "?",
    {"time_steps": (2, 3), "leak": (0.5, 1.0)},
    {"with": {"leak_correction": True}, "without": {"leak_correction": False}},
)


def tiny(where, **changes):
    changes = {"epochs": 1, "seeds": 2, "limit": 32, "limit_test": 40, "width": 0.1, "init_gain": 4.0} | changes
    return questions.digits().replace(run_dir=str(where), **changes)


@pytest.mark.parametrize("which", questions.ABLATIONS)
def test_the_first_variant_is_the_papers(which):
    ablation = questions.ABLATIONS[which]
    base = questions.PRESETS[ablation.preset]()
    found = list(ablate.jobs(base, which))
    first = next(iter(ablation.variants))
    for cell in found:
        changed = base.replace(**cell.row)
        assert (cell.config == changed) == (cell.variant == first)
    rows = np.prod([len(values) for values in ablation.rows.values()])
    assert len(found) == len({str(cell.key(which)) for cell in found}) == rows * len(ablation.variants) * 3


def test_fields_given_as_flags_are_held_fixed():
    found = list(ablate.jobs(questions.digits().replace(time_steps=5), "leak_correction", ["time_steps"]))
    assert {cell.config.network.time_steps for cell in found} == {5}
    assert {cell.config.network.leak for cell in found} == {0.5, 0.8, 0.95, 0.99, 1.0}


def test_another_leak_is_another_state_of_the_same_program(tmp_path):
    program, *_ = ablate._prepared(tiny(""))
    other = ablate._with_leak(program, 0.25)
    assert other.step is program.step
    before, after = program.start(3), other.start(3)
    changed = {path[-1].key for path, same in same_leaves(before.model_state, after.model_state) if not same}
    assert changed == {"leak"}
    assert {float(v) for path, v in leaves(after.model_state) if path[-1].key == "leak"} == {0.25}
    jax.tree.map(np.testing.assert_array_equal, before.params, after.params)


def leaves(tree):
    return jax.tree_util.tree_leaves_with_path(tree)


def same_leaves(a, b):
    return [(path, np.array_equal(x, y)) for (path, x), (_, y) in zip(leaves(a), leaves(b), strict=True)]


class Fake(NamedTuple):
    """A program that nothing calls."""

    start: Any = None


def test_stopped_and_resumed(tmp_path, monkeypatch, capsys):
    """Finished networks are not trained again, and every variant is one program for all leaks and seeds."""
    monkeypatch.setitem(questions.ABLATIONS, "tiny", TINY)
    built, trained, most = [], [], 3

    def train(config, program, sets, one, where):
        if len(trained) == most:
            raise training.Interrupted("stopped")
        where.mkdir()
        trained.append((config.network.leak, config.network.leak_correction, one.seed))
        return {
            "test_accuracy": config.network.leak + one.seed / 10 + (0.01 if config.network.leak_correction else 0),
            "seconds": 1.0,
        }

    monkeypatch.setattr(ablate, "build", lambda config, data: built.append(config) or Fake())
    monkeypatch.setattr(ablate, "train", train)
    config, where = tiny(tmp_path / "run", time_steps=3), tmp_path / "run"
    with pytest.raises(training.Interrupted):
        ablate.ablate(config, "tiny", ["time_steps"])
    with (where / "ablate.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"kind": "netw')  # killed while it wrote
    with pytest.raises(ValueError, match="already holds a run: add --resume"):
        ablate.ablate(config, "tiny", ["time_steps"])
    trained.clear()
    most = 9
    summary = ablate.ablate(config.replace(resume=True), "tiny", ["time_steps"])
    wanted = [(leak, correction, seed) for leak in (0.5, 1.0) for correction in (True, False) for seed in (0, 1)]
    assert trained == wanted[3:]
    assert len(built) <= 2 + 2  # two of the stopped run
    assert json.loads((where / "ablate.json").read_text(encoding="utf-8"))["rows"] == summary["rows"]
    for row, leak in zip(summary["rows"], (0.5, 1.0), strict=True):
        assert row["row"] == {"time_steps": 3, "leak": leak}
        assert row["accuracy"] == {"with": [leak + 0.01, leak + 0.11], "without": [leak, leak + 0.1]}
        np.testing.assert_allclose(row["difference"]["without"], [-0.01, -0.01])
    rows = training.MetricsFile(where / "ablate.jsonl").read()
    assert [(row["leak"], row["variant"] == "with", row["seed"]) for row in rows] == wanted
    assert "| T | leak | with | without | without - with |" in capsys.readouterr().out
    assert not any((where / "unfinished").iterdir())


@pytest.mark.slow
def test_without_a_leak_the_correction_is_nothing(tmp_path, monkeypatch):
    """ln(1) = 0: trained for real, the two variants are the same network; with a leak they are not."""
    monkeypatch.setitem(questions.ABLATIONS, "tiny", TINY)
    config = tiny(tmp_path / "run", time_steps=4, epochs=2, seeds=1, limit=400, limit_test=0)
    leaky, whole = ablate.ablate(config, "tiny", ["time_steps"])["rows"]
    assert whole["difference"]["without"] == [0.0]
    assert leaky["difference"]["without"] != [0.0]


def test_table():
    rows = [
        {
            "row": {"time_steps": 8},
            "accuracy": {"a": [0.5, 0.7], "b": [0.6, 0.7]},
            "difference": {"b": [0.1, 0.0]},
        }
    ]
    assert table.show(rows).splitlines() == [
        "| T | a | b | b - a |",
        "|---|---|---|---|",
        "| 8 | 60.00 +- 14.14 | 65.00 +- 7.07 | +5.00 +- 7.07 |",
    ]


def test_bad_values_come_before_any_training(tmp_path):
    with pytest.raises(ValueError, match="leak_correction and leak_backward are variants of spikebp"):
        ablate.ablate(tiny(tmp_path / "run", gradient="bptt"), "leak_correction")
    assert not (tmp_path / "run").exists()
