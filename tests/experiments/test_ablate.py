import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments import ablate, build
from jaxsnn import training

TINY = ablate.Ablation(
    "?",
    {"time_steps": (2, 3), "leak": (0.5, 1.0)},
    {"with": {"leak_correction": True}, "without": {"leak_correction": False}},
)


def tiny(where, **changes):
    changes = {"epochs": 1, "seeds": 2, "limit": 32, "limit_test": 40, "width": 0.1, "init_gain": 4.0} | changes
    return dataclasses.replace(ablate.digits(), run_dir=str(where), **changes)


@pytest.mark.parametrize("which", ablate.ABLATIONS)
def test_the_first_variant_is_the_papers(which):
    found = list(ablate.cells(ablate.digits(), which))
    ablation = ablate.ABLATIONS[which]
    first = next(iter(ablation.variants))
    for cell in found:
        changed = dataclasses.replace(ablate.digits(), **cell.row)
        assert (cell.config == changed) == (cell.variant == first)
    rows = np.prod([len(values) for values in ablation.rows.values()])
    assert len(found) == len({str(cell.key(which)) for cell in found}) == rows * len(ablation.variants) * 3


def test_fields_given_as_flags_are_held_fixed():
    found = list(ablate.cells(dataclasses.replace(ablate.digits(), time_steps=5), "leak_correction", ["time_steps"]))
    assert {cell.config.time_steps for cell in found} == {5}
    assert {cell.config.leak for cell in found} == {0.5, 0.8, 0.95, 0.99, 1.0}


def test_another_leak_is_another_state_of_the_same_program():
    program, _ = ablate._prepared(tiny(""))
    other = ablate._with_leak(program, 0.25)
    assert other.step is program.step
    before, after = program.start(3), other.start(3)
    changed = {path[-1].key for path, same in same_leaves(before.constants, after.constants) if not same}
    assert changed == {"leak"}
    assert {float(v) for path, v in leaves(after.constants) if path[-1].key == "leak"} == {0.25}
    jax.tree.map(np.testing.assert_array_equal, before.params, after.params)


def leaves(tree):
    return jax.tree_util.tree_leaves_with_path(tree)


def same_leaves(a, b):
    return [(path, np.array_equal(x, y)) for (path, x), (_, y) in zip(leaves(a), leaves(b), strict=True)]


def test_stopped_resumed_and_no_program_made_twice(tmp_path, monkeypatch, capsys):
    """Without a leak the correction is ln(1) = 0, so the two variants must be the same network."""
    monkeypatch.setitem(ablate.ABLATIONS, "tiny", TINY)
    built, trained = [], []
    train = ablate.train

    def count(config, *rest):
        built.append(config)
        return build.build(config, *rest)

    def stop_after_three(config, program, sets, one, where):
        if len(trained) == 3:
            raise training.Interrupted("stopped")
        trained.append((config.leak, config.leak_correction, one.seed))
        return train(config, program, sets, one, where)

    monkeypatch.setattr(ablate, "build", count)
    monkeypatch.setattr(ablate, "train", stop_after_three)
    config, where = tiny(tmp_path / "run", time_steps=3), tmp_path / "run"
    with pytest.raises(training.Interrupted):
        ablate.ablate(config, "tiny", ["time_steps"])
    with (where / "ablate.jsonl").open("a") as file:
        file.write('{"kind": "netw')  # killed while it wrote
    with pytest.raises(ValueError, match="already holds a run: add --resume"):
        ablate.ablate(config, "tiny", ["time_steps"])
    trained.clear()
    monkeypatch.setattr(ablate, "train", lambda config, *rest: trained.append(config.leak) or train(config, *rest))
    summary = ablate.ablate(dataclasses.replace(config, resume=True), "tiny", ["time_steps"])
    assert trained == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert len(built) == 2  # one program per variant, for both leaks and both seeds
    assert json.loads((where / "ablate.json").read_text())["rows"] == summary["rows"]
    assert [row["row"] for row in summary["rows"]] == [{"time_steps": 3, "leak": leak} for leak in (0.5, 1.0)]
    assert all(len(v) == 2 for row in summary["rows"] for v in row["accuracy"].values())
    assert summary["rows"][1]["difference"] == {"without": [0.0, 0.0]}
    rows = training.MetricsFile(where / "ablate.jsonl").read()
    assert [(row["leak"], row["variant"], row["seed"]) for row in rows[:3]] == [
        *((0.5, "with", seed) for seed in (0, 1)),
        (0.5, "without", 0),
    ]
    assert "| T | leak | with | without | without - with |" in capsys.readouterr().out
    assert not any((where / "unfinished").iterdir())


def test_table():
    rows = [
        {
            "row": {"time_steps": 8},
            "accuracy": {"a": [0.5, 0.7], "b": [0.6, 0.7]},
            "difference": {"b": [0.1, 0.0]},
        }
    ]
    assert ablate.table(rows).splitlines() == [
        "| T | a | b | b - a |",
        "|---|---|---|---|",
        "| 8 | 60.00 +- 14.14 | 65.00 +- 7.07 | +5.00 +- 7.07 |",
    ]


def test_bad_values_come_before_any_training(tmp_path):
    with pytest.raises(ValueError, match="leak_correction and leak_backward are variants of spikebp"):
        ablate.ablate(tiny(tmp_path / "run", rule="arctan"), "leak_correction")
    assert not (tmp_path / "run").exists()
