"""Trained networks in files: they answer as in their run, say where they come from, and are refused when changed."""

import json
import struct

import jax
import numpy as np
import pytest

from jaxsnn import interchange, lab, pretrained
from jaxsnn.data import load
from jaxsnn.lab import export, predict, run
from jaxsnn.lab.build import make_model
from jaxsnn.lab.environment import portable
from jaxsnn.lab.run_folder import read_config
from jaxsnn.lab.stored import changed, unchanged
from tests.experiments.test_run import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("runs") / "run"
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(where, epochs=1, init_gain=3.0, leak=0.9, norm="bn"), "digits")
    return where


@pytest.fixture(scope="module")
def file(folder):
    return export.export(folder, "safetensors", which="last")


def test_a_file_answers_as_its_run(folder, file):
    net, ours = pretrained.load(file), lab.load_run(folder, which="last")
    samples = load("digits").test.samples[:7]
    assert net.predict(samples) == ours.predict(samples)
    assert (net.classes, net.config.network) == (ours.classes, ours.config.network)
    output, _ = net.apply(net.params, net.model_state, net.prepare(jax.random.key(0), samples))
    assert output.logits.shape == (7, 10)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert net.facts["test_accuracy"] == results["runs"][0]["test_accuracy"]
    assert {"command", "commit", "date", "device", "versions", "epoch"} <= net.facts.keys()


@pytest.mark.thorough
def test_half_precision_is_half_as_long_and_measured(folder, file, tmp_path):
    path = export.export(folder, "safetensors", which="last", half=True, output=str(tmp_path / "half.safetensors"))
    assert path.stat().st_size < 0.6 * file.stat().st_size
    net, whole = pretrained.load(path), pretrained.load(file)
    for rounded, weight in zip(*map(jax.tree.leaves, (net.params, whole.params)), strict=True):
        assert rounded.dtype == weight.dtype
        np.testing.assert_array_equal(rounded, np.asarray(weight).astype(np.float16))
    jax.tree.map(np.testing.assert_array_equal, net.model_state, whole.model_state)
    test = load("digits").test
    right = np.mean([a.number == label for a, label in zip(net.predict(test.samples), test.labels, strict=True)])
    assert net.facts["test_accuracy"] == pytest.approx(right, abs=0.03)  # other random numbers of the input
    with pytest.raises(ValueError, match="half is for safetensors, got format=nir"):
        export.export(folder, "nir", half=True)


def test_numbers_too_large_for_half_precision(file, tmp_path):
    net = pretrained.load(file)
    params = jax.tree.map(lambda x: x + 1e5, net.params)
    model = make_model(net.config, net.outline, 0)
    with pytest.raises(ValueError, match="params/.* has numbers too large for float16: write the file without half"):
        interchange.save_weights(tmp_path / "w", model, params, net.model_state, half=True)


def test_any_changed_byte_is_refused(file, tmp_path):
    """Of the numbers or of the metadata; some make the file unreadable, which is said as well."""
    whole, other = file.read_bytes(), tmp_path / "changed.safetensors"
    (header,) = struct.unpack("<Q", whole[:8])
    rng = np.random.default_rng(0)
    for at in [0, 8, len(whole) - 1, *rng.integers(8, 8 + header, 40), *rng.integers(8 + header, len(whole), 10)]:
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.integers(0, 7)
        other.write_bytes(changed)
        with pytest.raises(ValueError, match=r"damaged one|has been changed|holds no weights"):
            pretrained.load(other)
    other.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="damaged one"):
        pretrained.load(other)


def test_names(tmp_path, file):
    with pytest.raises(ValueError, match=r"there is no pretrained network 'mnist_lene': there are .*files \*.safetens"):
        pretrained.load("mnist_lene")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        pretrained.load(tmp_path / "none.safetensors")
    net = pretrained.load(file)
    model = make_model(net.config, net.outline, 0)
    interchange.save_weights(tmp_path / "w.safetensors", model, net.params, net.model_state)
    with pytest.raises(ValueError, match="holds weights alone, without config, facts, sample: use load_weights"):
        pretrained.load(tmp_path / "w.safetensors")


def test_configurations_of_other_versions(tmp_path, folder):
    config = read_config(folder)
    told = json.loads(json.dumps(changed(config)))
    assert "data_dir" not in told
    assert unchanged(told, tmp_path).network == config.network
    with pytest.raises(ValueError, match="needs another version of jaxsnn: there is no field spin"):
        unchanged({**told, "spin": 1}, tmp_path)
    with pytest.raises(ValueError, match="needs another version of jaxsnn: .*leak"):
        unchanged({**told, "leak": 2.0}, tmp_path)


def test_commands_lose_the_places_of_one_machine():
    command = "python -m experiments.mnist --data_dir=/a/b --epochs=2 --run_dir=~/x --data=C:\\d --model=lenet"
    assert portable(command) == (
        "python -m experiments.mnist --data_dir=... --epochs=2 --run_dir=... --data=... --model=lenet"
    )


def test_a_prediction_names_one_network(file, tmp_path, capsys):
    np.save(tmp_path / "digit.npy", load("digits").test.samples[0])
    assert "confidence" in predict.predict(pretrained.load(file), [str(tmp_path / "digit.npy")])
