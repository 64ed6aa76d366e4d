"""Trained networks written for other tools, by command."""

import json
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export

from experiments import records, tables
from jaxsnn import interchange, models, training
from jaxsnn.data import load
from jaxsnn.lab import export, run, run_folder, score
from jaxsnn.lab.build import build, make_model, restore
from tests.experiments.test_run import small

nir = pytest.importorskip("nir")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("runs") / "run"
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(where, epochs=1, init_gain=3.0), "digits")
    return where


def test_a_run_becomes_a_graph_that_answers_alike(folder, capsys):
    path = export.export(folder, "nir", which="last", dt=2e-3)
    assert path == folder / "seed0.nir"
    assert f"wrote {path}: lenet after step" in capsys.readouterr().out
    imported = interchange.from_nir(path)
    config, data = run_folder.read_config(folder), load("digits")
    program = build(config, data)
    state = restore(program, 0, folder / "seed0")
    x = jax.random.bernoulli(jax.random.key(0), 0.4, (3, 4, 16, 16, 1)).astype(jnp.float32)
    ours, _ = program.apply(state.params, state.model_state, x)
    theirs, _ = models.functionalize(imported.model)[0](imported.params, imported.model_state, x)
    np.testing.assert_allclose(ours.potentials, theirs.potentials, rtol=1e-5, atol=1e-6)
    assert float(nir.read(path).metadata["dt"]) == 2e-3


@pytest.mark.parametrize("format", ["safetensors", "jaxsnn"])
def test_weights_and_programs(format, folder):
    """Of the same network: the weights load, the program gives its answers."""
    path = export.export(folder, format, which="last")
    config, data = run_folder.read_config(folder), load("digits")
    state = restore(build(config, data), 0, folder / "seed0")
    x = jax.random.bernoulli(jax.random.key(0), 0.4, (3, 1, 16, 16, 1)).astype(jnp.float32)
    model = make_model(config, data, 0)
    expected, _ = models.functionalize(model)[0](state.params, state.model_state, x)
    if format == "safetensors":
        params, _ = interchange.load_weights(path, model)
        jax.tree.map(np.testing.assert_array_equal, params, state.params)
        return
    with zipfile.ZipFile(path) as archive:
        facts = json.loads(archive.read("facts.json"))
        whole = jax_export.deserialize(bytearray(archive.read("whole"))).call
    assert (facts["dataset"], facts["encoding"], facts["steps"]) == ("digits", "poisson", 3)
    np.testing.assert_allclose(whole(x), expected.answers, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_exported(folder, tmp_path):
    with pytest.raises(ValueError, match="has no network 'seed9': it has seed0"):
        export.export(folder, "nir", network="seed9")
    with jax.numpy_dtype_promotion("standard"):
        soft = small(tmp_path / "soft", epochs=1, gradient="bptt", reset="soft")
        run.run(soft, "digits")
    with pytest.raises(ValueError, match="NIR cannot hold the neurons of conv1: their reset is 'soft'"):
        export.export(tmp_path / "soft", "nir", which="last")
    assert not list((tmp_path / "soft").glob("*.nir"))
    for row in (folder / "seed0" / "metrics.jsonl",):
        kept = row.read_text(encoding="utf-8")
        row.write_text("", encoding="utf-8")
        with pytest.raises(ValueError, match="has no evaluated epoch yet"):
            export.export(folder, "nir")
        row.write_text(kept, encoding="utf-8")
    assert training.MetricsFile(folder / "seed0" / "metrics.jsonl").read()


def test_a_graph_is_scored_as_the_run_was_evaluated(folder):
    """On the very input of the evaluation: the same answers."""
    config = run_folder.read_config(folder)
    path = export.export(folder, "nir", which="last")
    data = load("digits")
    program = build(config.replace(readout="mean"), data)
    state = restore(program, 0, folder / "seed0")
    small_part = config.replace(evaluation_batch=40)
    found = score.score(small_part, path, dt=None, reset="value", part="test")
    assert found["samples"] == len(data.test.labels)
    mean = program.evaluate(state, data.test.samples, data.test.labels)
    np.testing.assert_array_equal(found["confusion"], mean.confusion)
    assert found["accuracy"] == mean.accuracy[-1]
    with pytest.raises(ValueError, match=r"takes samples \[16, 16, 1\] .*, digits with encoding=population gives"):
        score.score(config.replace(encoding="population"), path, dt=None, reset="value", part="test")


def test_a_score_leaves_a_file(folder, tmp_path):
    """Of the command, with which `experiments.publish` makes a record."""
    path = export.export(folder, "nir", which="last")
    flags = ["--dataset=digits", "--time_steps=2", "--evaluation_batch=40", f"--graph={path}"]
    for out in (tmp_path / "nowhere" / "score.json", tmp_path / "score.json"):
        done = subprocess.run(
            [sys.executable, "-m", "jaxsnn.lab.score", *flags, f"--out={out}"], capture_output=True, text=True
        )
        if out.parent == tmp_path:
            assert done.returncode == 0, done.stderr
        else:
            assert done.returncode == 1
            assert "is no folder; make it first" in done.stderr
    record = records.of_score(tmp_path / "score.json", "one", device="a machine")
    assert record["score"]["graph"] == path.name
    assert f"--graph={path.name}" in record["command"]
    assert "--out" not in record["command"]
    shown = f"{100 * record['score']['accuracy']:.2f} %"
    assert shown in done.stdout
    assert f"| {shown} |" in tables.scores({"one": record, "none": {}})
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="is no result of python -m experiments.score --out=...: it has no graph"):
        records.of_score(tmp_path / "other.json", "one")
