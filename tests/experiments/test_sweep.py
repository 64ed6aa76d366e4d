"""Sweeps from the command line to the table: as single runs, resumed, divided, joined."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import digits
from jaxsnn import parallel, training
from jaxsnn.data import load
from jaxsnn.lab import build, run
from jaxsnn.lab.splits import split
from jaxsnn.lab.sweep import plan, populations, sweep, table
from tests.experiments.test_run import SMALL

ROOT = Path(__file__).parents[2]
TINY = {
    **SMALL,
    "time_steps": 3,
    "width": 0.2,
    "init_gain": 2.0,
    "gain": 0.8,
    "limit": 48,
    "evaluation_batch": 40,
    "seeds": 2,
}
AXES = ["lr=0.001,0.02"]


def tiny(folder, **changes):
    return digits.digits().replace(**{**TINY, "run_dir": str(folder), **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep of four networks in one program."""
    where = tmp_path_factory.mktemp("sweep") / "whole"
    with jax.numpy_dtype_promotion("standard"):
        summary = sweep.sweep(tiny(where), "digits", AXES)
    return where, summary


def scores(rows):
    return {(row["lr"], row["seed"]): row["test_accuracy"] for row in rows}


def test_members_equal_single_runs(whole, tmp_path):
    """Through all of the code of a single run: the same accuracies, last and chosen on validation (float32)."""
    rows = table.read(whole[0])
    single = run.run(tiny(tmp_path / "run", lr=0.02), "digits")["runs"]
    assert len(set(scores(rows).values())) > 1
    for one, row in zip(single, [row for row in rows if row["lr"] == 0.02], strict=True):
        same = set(one) - {"run", "seconds"}
        assert {name: row[name] for name in same} == {name: one[name] for name in same}
        assert row["diverged_step"] is None


@pytest.mark.thorough
def test_members_equal_single_runs_in_float64(x64):
    """The whole step of the digits network, every number that is an axis another one: parameters to the last bits."""
    config = tiny("", gradient="bptt", slope=2.0, dropout=0.1, epochs=1)
    numbers = {"lr": 0.02, "leak": 0.8, "threshold": 0.7, "slope": 3.0, "dropout": 0.3, "weight_decay": 0.1}
    more = {"pool_threshold": 0.6, "init_gain": 2.4, "gain": 0.7, "seed": 9}
    configs = [config, config.replace(**numbers, **more)]
    assert len(plan.programs(configs)) == 1
    data = load("digits")
    sets = split(config, data)
    orders = np.stack([training.epoch_order(c.training.seed, 0, 48) for c in configs])
    step, _ = populations.functions(config, data, param_dtype=np.float64)
    population = populations.create(configs, data, param_dtype=np.float64)
    step = jax.jit(step)
    for _ in range(3):
        population = step(population, *sets.fitting, orders)
    one = configs[1]
    program = build.build(one, data, param_dtype=np.float64)
    state, single = program.start(one.training.seed), jax.jit(program.step)
    for _ in range(3):
        state = single(state, *sets.fitting, orders[1])
    for a, b in zip(jax.tree.leaves(population.states.params), jax.tree.leaves(state.params), strict=True):
        assert b.dtype == np.float64
        np.testing.assert_allclose(a[1], b, rtol=1e-10, atol=1e-12)


def test_table_summary_and_figure(whole):
    where, summary = whole
    rows = table.read(where)
    assert [(row["lr"], row["seed"]) for row in rows] == [(0.001, 0), (0.001, 1), (0.02, 0), (0.02, 1)]
    with (where / "results.csv").open(encoding="utf-8") as file:
        assert [float(row["test_accuracy"]) for row in csv.DictReader(file)] == list(scores(rows).values())
    mean = np.mean([row["test_accuracy"] for row in rows if row["lr"] == 0.02])
    assert summary[1]["test_accuracy"] == pytest.approx(mean)
    assert summary[1]["seeds"] == 2
    stored = json.loads((where / "summary.json").read_text(encoding="utf-8"))
    assert stored["settings"] == summary
    assert stored["device"]


@pytest.fixture
def trained(monkeypatch):
    """Instead of training, invents accuracies; holds the rates and seeds that would have been trained from now on."""
    found = []

    def train(group, mesh, *, most, progress):
        found.extend((one.training.lr, one.training.seed) for one in group)
        accuracy = np.array([[one.training.lr + 0.1 * one.training.seed] for one in group]).T
        accuracies = {"validation_accuracy": accuracy, "test_accuracy": accuracy}
        none = np.full(len(group), -1)
        costs = training.Costs(0.0, 0.0, 0.0, 0.0)
        result = parallel.Trained(None, accuracy, np.array([1]), accuracies, none, 1.0, costs)
        yield populations.Result(group, result, 3, costs)

    monkeypatch.setattr(populations, "train", train)
    monkeypatch.setattr(populations, "check", lambda config: {})
    return found


def test_resume_trains_what_is_missing_and_nothing_else(trained, tmp_path):
    """Killed while a row was being written."""
    where = tmp_path / "cut"
    sweep.sweep(tiny(where), "digits", AXES)
    rows, path = table.read(where), where / "results.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(lines[0] + lines[3] + lines[1][:30], encoding="utf-8")
    trained.clear()
    sweep.sweep(tiny(where, resume=True), "digits", AXES)
    assert trained == [(0.001, 1), (0.02, 0)]
    assert scores(table.read(where)) == scores(rows)
    trained.clear()
    sweep.sweep(tiny(where, resume=True), "digits", AXES)
    assert trained == []


def test_killed_between_programs_loses_none_that_ended(trained, tmp_path, monkeypatch):
    train = populations.train
    calls = []

    def killed(group, *args, **options):
        calls.append(group)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(group, *args, **options)

    monkeypatch.setattr(populations, "train", killed)
    axes = [*AXES, "time_steps=2,3,4"]
    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(tiny(tmp_path / "cut"), "digits", axes)
    sweep.sweep(tiny(tmp_path / "cut", resume=True), "digits", axes)
    assert len(trained) == len(table.read(tmp_path / "cut")) == 12
    assert [group[0].network.time_steps for group in calls] == [2, 3, 3, 4]


def test_workers_and_merge(trained, tmp_path, capsys):
    config = tiny(tmp_path / "shared")
    sweep.sweep(config, "digits", AXES, worker=(1, 2))
    sweep.merge(config)
    assert "2 networks have no row yet" in capsys.readouterr().err
    sweep.sweep(config, "digits", AXES, worker=(2, 2))
    summary = sweep.merge(config)
    assert (
        sorted(trained)
        == sorted(scores(table.read(tmp_path / "shared")))
        == [(0.001, 0), (0.001, 1), (0.02, 0), (0.02, 1)]
    )
    assert [row["seeds"] for row in summary] == [2, 2]
    second = tmp_path / "shared" / "worker2of2"
    twice = (second / "results.jsonl").read_text(encoding="utf-8")
    (second / "results.jsonl").write_text(twice + twice, encoding="utf-8")
    with pytest.raises(ValueError, match="two workers below .* have trained {'lr': 0.001, 'seed': 1}"):
        sweep.merge(config)
    other = json.loads((second / "sweep.json").read_text(encoding="utf-8")) | {"preset": "mnist"}
    (second / "sweep.json").write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(ValueError, match="are of different sweeps: preset is mnist and digits"):
        sweep.merge(config)


@pytest.mark.parametrize(
    ("changes", "texts", "options", "message"),
    [
        ({}, ["lr=log:1"], {}, "log takes first:last:number"),
        ({}, ["run_dir=a"], {}, "cannot be swept: it says where files are"),
        ({}, ["leak=2"], {}, "leak must be a finite number in"),
        ({}, AXES, {"members": -1}, "--members must be >= 0"),
        ({"data_parallel": 99}, AXES, {}, "99 devices were asked for"),
        ({"limit": 8}, AXES, {}, "batch_size=16 is more than the 8 training samples"),
        ({}, ["validation=40,2000"], {}, "validation=2000 images leave none of 1438 to train on"),
        ({"resume": True}, AXES, {}, "nothing to resume"),
    ],
)
def test_errors_come_before_anything_is_written(tmp_path, changes, texts, options, message):
    with pytest.raises(ValueError, match=message):
        sweep.sweep(tiny(tmp_path / "new", **changes), "digits", texts, **options)
    assert not (tmp_path / "new").exists()


def test_what_does_not_go_together(trained, tmp_path):
    where = tmp_path / "whole"
    sweep.sweep(tiny(where), "digits", AXES)
    with pytest.raises(ValueError, match="already holds a sweep: add --resume"):
        sweep.sweep(tiny(where), "digits", AXES)
    with pytest.raises(ValueError, match="cannot resume: axes of the sweep is"):
        sweep.sweep(tiny(where, resume=True), "digits", ["lr=0.001"])
    with pytest.raises(ValueError, match="epochs.* 2, now 3"):
        sweep.sweep(tiny(where, resume=True, epochs=3), "digits", AXES)
    with pytest.raises(ValueError, match="--worker needs --run_dir"):
        sweep.sweep(tiny(""), "digits", AXES, worker=(1, 2))
    with pytest.raises(ValueError, match="nothing to merge"):
        sweep.merge(tiny(tmp_path))


def test_diverged_networks_are_counted_and_left_out():
    axes = [plan.Axis("lr", (0.2, 0.1))]
    row = {"validation_accuracy": 0.5, "selected_test_accuracy": 0.5, "diverged_step": None}
    rows = [row | {"lr": 0.1, "seed": n, "test_accuracy": 0.4 + 0.1 * n} for n in range(3)]
    none = dict.fromkeys(("test_accuracy", "validation_accuracy", "selected_test_accuracy"))
    rows += [{**none, "lr": lr, "seed": 3, "diverged_step": 7} for lr in (0.1, 0.2)]
    worse, better = table.summarise(rows, axes)
    assert (worse["lr"], worse["test_accuracy"], worse["diverged"], worse["seeds"]) == (0.2, None, 1, 1)
    assert better["test_accuracy"] == pytest.approx(0.5)
    assert better["test_accuracy_std"] == pytest.approx(0.1)
    assert (better["diverged"], better["seeds"]) == (1, 4)
    assert "all diverged" in table.show([worse, better], axes)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_sweep_step_and_evaluation_lower_for_other_platforms(platform):
    config = tiny("", shift=1)
    data = load("digits")
    sets = split(config, data)
    configs = [config.replace(seed=n) for n in range(2)]
    population = populations.create(configs, data)
    orders = np.zeros((2, 48), np.int32)
    step, _ = populations.functions(config, data, vmap_size=0)
    text = jax.jit(step).trace(population, *sets.fitting, orders).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") >= 5  # two layers, forward and both gradients (one has no input's)

    def count_batch(member, *arguments):
        return build.build(config, data, hparams=member.hparams).count_batch(member.states, *arguments)

    each = jax.jit(parallel.over_members(count_batch, vmap_size=0))
    text = each.trace(population, *sets.test, np.int32(0)).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") >= 2


@pytest.mark.thorough
def test_command_line(tmp_path):
    command = [sys.executable, "-m", "experiments.sweep"]
    for flags, message in (
        (["--sweep=lr=0.1", "--worker=3/2"], "error: --worker takes i/n"),
        (["--sweep=figures=true"], "error: --sweep=figures=true: figures cannot be swept"),
    ):
        done = subprocess.run(
            [*command, *flags, f"--run_dir={tmp_path / 'x'}"], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()
