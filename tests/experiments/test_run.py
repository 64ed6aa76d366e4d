"""Experiments as a person runs them: from the command line, into a run folder."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from experiments import digits
from jaxsnn import models, training
from jaxsnn.data import load
from jaxsnn.lab import build, run, run_folder
from jaxsnn.lab.config import Config
from jaxsnn.lab.splits import split
from jaxsnn.losses import LOSSES
from jaxsnn.training.metrics import START, TIMES

ROOT = Path(__file__).parents[2]
SMALL = {
    "seeds": 1,
    "epochs": 2,
    "time_steps": 3,
    "width": 0.25,
    "limit": 320,
    "limit_test": 40,
    "validation": 40,
    "log_every": 1,
    "progress": False,
    "activity": False,
    "figures": False,
}
FLAGS = [f"--{name}={value}" for name, value in SMALL.items()]


def command(*arguments, module="experiments.digits"):
    return [sys.executable, "-m", module, *arguments]


def call(*arguments, module="experiments.digits"):
    done = subprocess.run(command(*arguments, module=module), capture_output=True, text=True, cwd=ROOT, check=False)
    return done.returncode, done.stdout, done.stderr


def rows(folder):
    every = map(json.loads, (folder / "seed0" / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [{k: v for k, v in row.items() if k not in TIMES} for row in every if row["kind"] != START]


def small(folder, **changes) -> Config:
    return digits.digits().replace(**{**SMALL, "run_dir": str(folder), **changes})


@pytest.mark.thorough
def test_killed_in_mid_epoch_and_resumed_equals_uninterrupted(tmp_path):
    """`kill -9` in the second epoch, then `--resume`: the same metrics, bit for bit."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    flags = [*FLAGS, f"--compilation_cache={tmp_path / 'cache'}"]  # compiles once, not three times
    code, out, error = call(*flags, f"--run_dir={whole}")
    assert code == 0, error
    assert "test, last epoch" in out
    process = subprocess.Popen(command(*flags, f"--run_dir={cut}"), cwd=ROOT, stdout=subprocess.DEVNULL)
    metrics = cut / "seed0" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text(encoding="utf-8").count('"epoch": 2') < 2:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(rows(cut)) < len(rows(whole))
    code, out, error = call(*flags, f"--run_dir={cut}", "--resume")
    assert code == 0, error
    assert "seed 0: resuming after step 20" in out
    assert rows(cut) == rows(whole)


def thorough(*values):
    return pytest.param(*values, marks=pytest.mark.thorough)


def test_results_and_figures(tmp_path, capsys):
    where = tmp_path / "run"
    summary = run.run(small(where, seeds=2, epochs=1, figures=True), "digits")
    out = capsys.readouterr().out
    assert "test accuracy over 2 seeds, mean +- std" in out
    stored = json.loads((where / "results.json").read_text(encoding="utf-8"))
    assert stored["runs"] == summary["runs"]
    assert [r["seed"] for r in stored["runs"]] == [0, 1]
    assert stored["versions"]["jax"] == jax.__version__
    assert json.loads((where / "config.json").read_text(encoding="utf-8"))["network"]["time_steps"] == 3
    for name in ("training_curve.png", "raster.png"):
        assert f"wrote {where / name}" in out
        assert (where / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("argument", "module", "message"),
    [
        (
            "--dataset=imagenet",
            "experiments.digits",
            "error: unknown data set 'imagenet', expected one of digits",
        ),
        ("--data=/nowhere", "experiments.train", "error: there is no /nowhere: give a .npz file or a folder of pict"),
        ("--leak=1.5", "experiments.digits", r"error: leak must be a finite number in (0, 1], got 1.5"),
        ("--data_dir=/nowhere", "experiments.mnist", "error: the data set 'mnist' is not prepared: no /nowhere/mnist"),
        thorough("--preset=mnist_vgg", "experiments.mnist", "should be one of <mnist_lenet_small|"),
        thorough("--learning_rate=1", "experiments.digits", "Unknown command line flag 'learning_rate'"),
        thorough("--threshold=0", "experiments.digits", "error: threshold must be a finite number > 0, got 0"),
        thorough("--time_steps=0", "experiments.digits", "error: time_steps must be a whole number in [1, 1000000], g"),
        thorough("--std=a,b", "experiments.digits", "error: --std takes a comma-separated list of float, got ['a', 'b"),
        thorough("digits", "experiments.digits", "unexpected argument 'digits': options are written --name=value"),
    ],
)
def test_bad_flags_end_with_a_message(tmp_path, argument, module, message):
    code, _, error = call(argument, f"--run_dir={tmp_path / 'run'}", module=module)
    assert code != 0
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "run" / "seed0").exists()


def test_help_is_readable():
    _, out, error = call("--help")
    text = out + error
    for name in ("--preset", "--lr", "--gradient", "--data_dir", "--[no]resume"):
        assert name in text
    assert "Spiking LeNet on the 1,797 digits" in text


def test_unwritable_run_folder(tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(OSError, match=r"cannot write the run folder .*file/run .*choose another with --run_dir"):
        run.run(small(tmp_path / "file" / "run"), "digits")


@pytest.fixture
def no_cache_afterwards():
    minima = ("persistent_cache_min_compile_time_secs", "persistent_cache_min_entry_size_bytes")
    names = [f"jax_{name}" for name in ("compilation_cache_dir", *minima)]
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.mark.thorough
def test_the_second_run_compiles_nothing(tmp_path, no_cache_afterwards):
    """The step and all else of the first run is found in the folder, also with the process's own caches empty.

    So does its resumption: what is restored is where a fresh state is.
    """
    cache, found = tmp_path / "new" / "cache", []
    for name, epochs, resume in (("first", 1, False), ("second", 1, False), ("second", 2, True)):
        jax.clear_caches()  # as in a new process
        options = {"epochs": epochs, "resume": resume, "limit": 32, "compilation_cache": str(cache)}
        run.run(small(tmp_path / name, schedule="constant", **options), "digits")
        found.append({path.name for path in cache.iterdir() if path.name.endswith("-cache")})
        if name == "second" and not resume:
            assert rows(tmp_path / "first") == rows(tmp_path / "second")
    assert any(name.startswith("jit_step-") for name in found[0])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("below", ["", "folder"])
def test_bad_compilation_cache(tmp_path, below):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    config = small(tmp_path / "run", compilation_cache=str(tmp_path / "file" / below))
    with pytest.raises(OSError, match=r"cannot keep compiled programs in .*another folder with --compilation_cache"):
        run.run(config, "digits")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which nobody may write")
def test_unwritable_compilation_cache(tmp_path):
    with pytest.raises(OSError, match=r"cannot keep compiled programs in /proc .*choose another folder"):
        run.run(small(tmp_path / "run", compilation_cache="/proc"), "digits")


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_put_together_right_from_parts_of_a_batch(loss):
    """What `--data_parallel` relies on: a sum over the batch, or a mean."""
    potentials = jax.random.normal(jax.random.key(0), (3, 8, 10))
    whole, *parts = (
        LOSSES[loss].function(models.Output(p[-1], p, p, {}, {}, {}), jnp.arange(10)[:8][part])
        for part in (slice(8), slice(4), slice(4, 8))
        for p in [potentials[:, part]]
    )
    together = sum(parts) / 2 if LOSSES[loss].reduction == "mean" else sum(parts)
    assert float(together) == pytest.approx(float(whole), rel=1e-6)


def test_devices_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match="1000 devices were asked for, .*choose devices from 1 to .*--data_parallel"):
        run.run(small(tmp_path / "run", data_parallel=1000), "digits")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_overwritten(tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="already holds a run: add --resume to go on with it, or choose another"):
        run.run(small(tmp_path), "digits")


@pytest.mark.parametrize(("content", "message"), [(None, "nothing to resume: .* holds no run"), ("{", "is damaged")])
def test_nothing_or_rubbish_to_resume(tmp_path, content, message):
    if content:
        (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        run.run(small(tmp_path, resume=True), "digits")


def test_resume_with_another_architecture(tmp_path):
    config = small(tmp_path)
    other = config.replace(model="vgg9", leak=0.5)
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(other)), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"(?s)model: the run has 'vgg9', now 'lenet'.*leak: the run has 0.5, now 0.99"
    ):
        run.run(config.replace(resume=True), "digits")


def test_run_folders_are_numbered_and_the_newest_is_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small("", run_dir="")
    for expected in ("runs/digits", "runs/digits-2", "runs/digits-3"):
        path = run_folder.choose(config, "digits")
        assert str(path) == expected
        with ExitStack() as held:
            assert run_folder.create(path, config, "digits", held) == path
    (tmp_path / "runs/digits-4").mkdir()  # of a run that was killed before it was one
    again = config.replace(resume=True)
    assert str(run_folder.choose(again, "digits")) == "runs/digits-3"
    with pytest.raises(ValueError, match="nothing to resume: no run of other below runs/"):
        run_folder.choose(again, "other")


def test_nothing_left_to_train_on(tmp_path):
    with pytest.raises(ValueError, match="validation=2000 images leave none of 1438 to train on"):
        run.run(small(tmp_path / "run", validation=2000), "digits")


@pytest.mark.parametrize(("gradient", "time_chunk"), [("spikebp", 0), ("spikebp", 2), ("bptt", 0)])
def test_train_step_lowers_for_other_platforms(gradient, time_chunk):
    """The whole step (augmentation, encoding, network, update) lowers for accelerators on a machine that has none."""
    config = small("", run_dir="", gradient=gradient, shift=1, flip=True, time_chunk=time_chunk)
    data = load("digits")
    program, sets = build.build(config, data), split(config, data)
    order = training.epoch_order(0, 0, len(sets.fitting.labels))
    traced = jax.jit(program.step, donate_argnums=0).trace(program.start(0), *sets.fitting, order)
    for platform in ("tpu", "cuda", "cpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        # off the CPU, convolutions are XLA's own: two layers, forward and gradients (no input gradient of the first)
        assert (text.count("stablehlo.convolution") >= 5) == (platform != "cpu")


def test_evaluation_lowers_for_other_platforms():
    config = small("", run_dir="")
    data = load("digits")
    program, sets = build.build(config, data), split(config, data)
    traced = jax.jit(program.count_batch).trace(program.start(0), *sets.test, jnp.int32(0))
    for platform in ("tpu", "cuda", "cpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert (text.count("stablehlo.convolution") >= 2) == (platform != "cpu")


@pytest.mark.slow
def test_mnist_reaches_its_accuracy(tmp_path, prepared_data):
    """The `mnist_lenet_small` preset on real data: at least 98.8 % on the test set after the last epoch."""
    arguments = [f"--data_dir={prepared_data / 'tfds'}", f"--run_dir={tmp_path / 'run'}", "--noprogress"]
    code, _, error = call(*arguments, module="experiments.mnist")
    assert code == 0, error
    assert json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["test_accuracy"]["mean"] >= 0.988


@pytest.mark.thorough
def test_mnist_starts_on_real_data(tmp_path, prepared_data):
    arguments = [
        f"--data_dir={prepared_data / 'tfds'}",
        f"--cache_dir={tmp_path / 'cache'}",
        f"--run_dir={tmp_path / 'r'}",
    ]
    small = ["--time_steps=2", "--limit=128", "--limit_test=64", "--validation=64", "--epochs=1", "--nofigures"]
    code, out, error = call(*arguments, *small, module="experiments.mnist")
    assert code == 0, error
    assert "60000 training and 10000 test samples" in out
    assert os.listdir(tmp_path / "cache")


def test_data_that_are_missing_leave_no_folder_for_programs(tmp_path):
    config = small(tmp_path / "run", dataset="mnist", data_dir=str(tmp_path), compilation_cache=str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="the data set 'mnist' is not prepared"):
        run.run(config, "digits")
    assert not (tmp_path / "cache").exists()
