"""Everything that can be known before the first step is checked before anything is created."""

import numpy as np
import pytest
from flax import nnx

from jaxsnn import models, neurons, training
from jaxsnn.data import load
from jaxsnn.lab import build, run
from jaxsnn.lab.ablate import ablate, questions
from jaxsnn.lab.config import Config
from jaxsnn.lab.report import sample
from jaxsnn.lab.splits import sizes
from jaxsnn.lab.stored import opened
from jaxsnn.lab.sweep import populations, sweep
from tests.experiments.test_run import small

BAD = [
    ({"batch_size": 321}, "batch_size=321 is more than the 320 training samples"),
    ({"limit": 8}, "batch_size=16 is more than the 8 training samples"),
    ({"validation": 1438}, "validation=1438 images leave none of 1438 to train on"),
    ({"folds": 1439, "validation": 1}, "the test part of digits is empty: 1439 folds of 1438 training samples"),
    ({"shift": 16}, "shift=16 must be smaller than the images, which have 16 x 16 pixels"),
    ({"mean": (0.1, 0.2)}, "mean takes one number or one for each of 1 channels, got 2"),
    ({"std": (0.1, 0.2, 0.3)}, "std takes one number or one for each of 1 channels, got 3"),
    ({"thresholds": ("conv9:0.5",)}, "conv9"),
    ({"data_parallel": 1000}, "1000 devices were asked for"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_nothing_is_left_behind(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        run.run(small("", **change), "digits")
    assert list(tmp_path.iterdir()) == []


def test_nor_by_ablations_and_sweeps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="shift=16 must be smaller"):
        ablate.ablate(questions.digits().replace(shift=16), "pool")
    with pytest.raises(ValueError, match="shift=16 must be smaller"):
        sweep.sweep(small(""), "digits", ["shift=1,16"])
    with pytest.raises(ValueError, match="nothing is swept: give --sweep=field=values"):
        sweep.sweep(small(""), "digits", [])
    assert list(tmp_path.iterdir()) == []


def test_flags_of_single_runs_are_refused_by_sweeps():
    sweep.check_given(["progress", "figures", "epochs", "seeds"])
    with pytest.raises(ValueError, match="--log_every and --activity only for single runs"):
        sweep.check_given(["epochs", "log_every", "activity"])


def test_a_start_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="nowhere holds no run"):
        run.run(small("", init_from="nowhere"), "digits")
    with pytest.raises(ValueError, match="nowhere holds no run"):
        sweep.sweep(small("", init_from="nowhere"), "digits", ["lr=0.1,0.2"])
    assert list(tmp_path.iterdir()) == []


def test_evaluation_takes_no_more_samples_than_there_are(monkeypatch):
    """On a set smaller than the batch, a single run and a population compute no padding."""
    asked = []

    def record(*args, **options):
        asked.append(args[2])
        return lambda *arguments: None

    config, data = small("", evaluation_batch=50, width=0.1), load("digits")
    monkeypatch.setattr(training, "make_evaluate", record)
    evaluate = build.build(config, data).evaluate
    for samples in (40, 49, 50, 51, 300):
        evaluate(None, np.zeros(samples), np.zeros(samples))
    assert asked == [40, 49, 50]
    monkeypatch.setattr(
        populations.parallel, "make_population_evaluate", lambda make, size, **options: record(0, 0, size)
    )
    asked.clear()
    _, accuracy = populations.functions(config, data)
    for samples in (40, 300):
        accuracy(None, np.zeros(samples), np.zeros(samples))
    assert asked == [40, 50]


def test_sizes_are_those_of_the_parts():
    data = load("digits")
    assert sizes(small("", limit=0, limit_test=0, validation=38), data) == (1400, 38, 359, 0)
    assert sizes(small("", limit=0, folds=4, validation=38), data) == (1041, 38, 40, 359)


def test_somebody_elses_folders_are_not_used(capsys):
    folders = {"data_dir": "/theirs", "cache_dir": "/cache", "run_dir": "/run", "compilation_cache": "/programs"}
    config = opened(Config.of(**folders), cache_dir="/mine")
    assert config == Config.of(cache_dir="/mine")
    said = capsys.readouterr().err
    assert said == "note: the run used --data_dir=/theirs, this is your own default: give the flag to use another\n"


@pytest.mark.parametrize("convolution", [True, False])
def test_the_report_shows_the_first_convolution_or_none(convolution):
    net = models.Builder(init_scale=2.0, input_shape=(8, 8, 1), num_classes=3, neurons=neurons.lif(), rngs=nnx.Rngs(0))
    if convolution:
        net.conv(4)
    net.dense(5)
    module = net.finish()
    _, params, _ = models.functionalize(module)
    filters = sample._filters(module, params)
    assert (None if filters is None else filters.shape) == ((3, 3, 1, 4) if convolution else None)
