import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from experiments import digits, evaluate, linear, run
from experiments.config import from_stored
from tests.experiments.test_run import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished cross-validation with two folds."""
    where = tmp_path_factory.mktemp("runs") / "run"
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(where, folds=2, epochs=2), "digits")
    return where


def test_a_run_folder_is_all_that_is_needed(folder, tmp_path, capsys):
    """Moved elsewhere; last epoch and epoch chosen on validation give the accuracies that training wrote."""
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    results = json.loads((folder / "results.json").read_text())["runs"]
    assert [r["run"] for r in results] == ["fold1", "fold2"]
    for which, key in (("last", "test_accuracy"), ("selected", "selected_test_accuracy")):
        summary = evaluate.evaluate(moved, which=which, part="test")
        assert [n["accuracy"] for n in summary["networks"]] == pytest.approx([r[key] for r in results])
    network = json.loads((moved / "evaluation.json").read_text())["networks"][0]
    confusion = np.array(network["confusion"])
    assert confusion.shape == (10, 10)
    assert confusion.trace() / confusion.sum() == pytest.approx(network["accuracy"])
    per_class = confusion.diagonal() / np.maximum(confusion.sum(1), 1)
    np.testing.assert_allclose(network["accuracy_per_class"], per_class, atol=1e-6)
    assert len(network["accuracy_at_step"]) == 3
    assert "confusion: rows are true classes" in capsys.readouterr().out
    for figure in evaluate.draw(moved, summary):
        assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_linear_classifier_sees_the_same_images(folder):
    result = linear.baseline(from_stored(json.loads((folder / "config.json").read_text())))
    assert result["samples"] == 320
    assert 0.8 < result["test_accuracy"] < 0.99


def test_bad_folders(folder, tmp_path):
    with pytest.raises(ValueError, match="holds no run .no config.json.: give the folder that the training printed"):
        evaluate.evaluate(tmp_path, which="last", part="test")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"flux": 1}))
    with pytest.raises(ValueError, match="unknown fields flux: it was written by another version"):
        evaluate.evaluate(tmp_path, which="last", part="test")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="nothing to evaluate: no network finished an evaluated epoch"):
        evaluate.evaluate(tmp_path, which="last", part="test")


def test_untrained_silence_is_said(tmp_path, capsys):
    run.run(small(tmp_path / "run", epochs=1, limit=32, init_gain=0.01, activity=True), "digits")
    assert "warning, before training: conv1 is silent" in capsys.readouterr().err
    assert dataclasses.replace(digits.digits()).activity
