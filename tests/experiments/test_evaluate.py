import json
import shutil

import jax
import numpy as np
import pytest

from jaxsnn import training
from jaxsnn.data import Split, load
from jaxsnn.lab import evaluate, linear, run, run_folder
from jaxsnn.lab.config import Config
from jaxsnn.lab.splits import split
from jaxsnn.lab.stored import opened
from tests.experiments.test_run import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished cross-validation with two folds."""
    where = tmp_path_factory.mktemp("runs") / "run"
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(where, folds=2, epochs=2, init_gain=3.0), "digits")
    return where


def test_a_run_folder_is_all_that_is_needed(folder, tmp_path, capsys):
    """Moved elsewhere; last epoch and epoch chosen on validation give the accuracies that training wrote."""
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))["runs"]
    assert [r["run"] for r in results] == ["fold1", "fold2"]
    for which, key in (("last", "test_accuracy"), ("selected", "selected_test_accuracy")):
        summary = evaluate.evaluate(moved, which=which, part="test", analyse=False)
        assert [n["accuracy"] for n in summary["networks"]] == pytest.approx([r[key] for r in results])
    network = json.loads((moved / "evaluation.json").read_text(encoding="utf-8"))["networks"][0]
    confusion = np.array(network["confusion"])
    assert confusion.shape == (10, 10)
    assert confusion.trace() / confusion.sum() == pytest.approx(network["accuracy"])
    per_class = confusion.diagonal() / np.maximum(confusion.sum(1), 1)
    np.testing.assert_allclose(network["accuracy_per_class"], per_class, atol=1e-6)
    assert len(network["accuracy_at_step"]) == 3
    assert len(set(network["accuracy_at_step"])) > 1  # or the last step could not be told from the others
    assert "analysis" not in network
    assert "confusion: rows are true classes" in capsys.readouterr().out
    for figure in evaluate.draw(moved, summary):
        assert figure.read_bytes().startswith(b"\x89PNG")


def test_analysis(folder, capsys):
    """One pass alone: it sees the spikes on which training evaluates, and what is written agrees with itself."""
    alone = evaluate.evaluate(folder, which="last", part="test", analyse=False)["networks"]
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_evaluate", lambda *_, **__: None)  # the network runs once
        evaluate.evaluate(folder, which="last", part="test")
    networks = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["networks"]
    assert len(networks) == 2
    assert [{k: v for k, v in n.items() if k != "analysis"} for n in networks] == alone
    for network in networks:
        found = network["analysis"]
        assert (found["steps"], found["samples"]) == (3, 40)
        assert found["early_exit"]["accuracy"][-1] == pytest.approx(network["accuracy"])
        assert found["early_exit"]["accuracy"][0] == pytest.approx(network["accuracy_at_step"][0], abs=1e-6)
        synapses = found["energy"]["int32"]["synapses"]
        weighted = ("conv1", "conv2", "fc1", "fc2")
        assert synapses["acs"] == pytest.approx(sum(found["operations"][name] for name in weighted))
        assert synapses["acs"] == pytest.approx(found["neurobench"]["effective_acs"])
        assert synapses["ratio"] == pytest.approx(synapses["dense"] * 3.2 / (synapses["acs"] * 0.1))
        with_neurons = found["energy"]["int32 with neurons"]["synapses"]
        neurons = 16 * 16 * 5 + 8 * 8 * 12 + 50 + 10, 8 * 8 * 5 + 4 * 4 * 12  # that leak, and of pools
        added = 3 * (neurons[0] * 3.2 + neurons[1] * 0.1)
        assert with_neurons["spiking"] == pytest.approx(synapses["spiking"] + added)
        assert with_neurons["relu"] == synapses["relu"]
        assert found["activity"]["conv1"]["spikes"] > 0
        assert len(found["activity"]["conv1"]["spikes_by_class"]) == 10
    out = capsys.readouterr().out
    head = "Energy of one inference, 45 nm, int32: MAC 3.2 pJ, AC 0.1 pJ (Horowitz 2014); "
    assert out.count(f"{head}synaptic operations alone\n") == 2
    assert out.count(f"{head}synaptic operations and the neurons' own arithmetic\n") == 2
    assert "assumed: every access moves one word" in out
    assert "early exit, chosen on these samples" in out


def test_counts_by_exact_products(folder, monkeypatch):
    """The products are chosen for the evaluation alone; of weights that lie on no grid they change hardly a spike."""
    asked = []
    build = evaluate.build
    monkeypatch.setattr(
        evaluate, "build", lambda config, data: asked.append(config.network.precision) or build(config, data)
    )
    found = {
        precision: evaluate.evaluate(folder, which="last", part="test", precision=precision)
        for precision in ("", "default", "exact")
    }
    assert asked == ["default", "default", "exact"]
    assert [summary["precision"] for summary in found.values()] == asked
    assert found[""]["networks"] == found["default"]["networks"]
    energies = [
        found[name]["networks"][0]["analysis"]["energy"]["int32"]["synapses"]["acs"] for name in ("default", "exact")
    ]
    assert energies[0] == pytest.approx(energies[1], rel=1e-3)
    with pytest.raises(ValueError, match="precision"):
        evaluate.evaluate(folder, which="last", part="test", precision="double")


def test_an_empty_part(folder, tmp_path):
    config = run_folder.read_config(folder)
    data = load("digits")
    empty = data._replace(test=Split(data.test.samples[:0], data.test.labels[:0]))
    with pytest.raises(ValueError, match="the test part of digits is empty"):
        split(config, empty)
    with pytest.raises(ValueError, match="the test part of digits is empty: 2000 folds of 1438 training samples"):
        split(config.replace(folds=2000), data, 0)


def test_the_linear_classifier_sees_the_same_images(folder):
    """On one device, wherever the run was trained."""
    config = opened(run_folder.read_config(folder).replace(data_parallel=1000))
    result = linear.baseline(config)
    assert result["samples"] == 320
    assert 0.8 < result["test_accuracy"] < 0.99


def test_bad_folders(folder, tmp_path):
    with pytest.raises(ValueError, match="holds no run .no config.json.: give the folder that the training printed"):
        evaluate.evaluate(tmp_path, which="last", part="test")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"flux": 1}), encoding="utf-8")
    with pytest.raises(ValueError, match="unknown fields flux: it was written by another version"):
        evaluate.evaluate(tmp_path, which="last", part="test")
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match="nothing to evaluate: no network finished an evaluated epoch"):
        evaluate.evaluate(tmp_path, which="last", part="test")


def test_untrained_silence_is_said(tmp_path, capsys):
    run.run(small(tmp_path / "run", epochs=1, limit=32, init_gain=0.01, activity=True), "digits")
    assert "warning, before training: conv1 is silent" in capsys.readouterr().err
    assert Config().run.activity
