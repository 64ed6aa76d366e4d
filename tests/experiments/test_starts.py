"""Training that starts from the weights of another run (`--init_from`), as they are."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxsnn.lab import build, export, load_run, run
from jaxsnn.lab.config import Config
from jaxsnn.lab.splits import load_data
from jaxsnn.lab.starts import start_from
from jaxsnn.lab.stored import changed
from tests.experiments.test_run import small

QUICK = {"width": 0.25, "gradient": "bptt", "pool": "average", "epochs": 1, "encoding": "direct", "norm": "bn"}


@pytest.fixture(scope="module")
def relu(tmp_path_factory):
    """A run of a ReLU network with norms."""
    path = tmp_path_factory.mktemp("runs") / "relu"
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(path, **{**QUICK, "neuron": "relu", "time_steps": 1, "leak": 1.0, "epochs": 4}), "digits")
    return path


def started(where, **changes):
    config = small("", **{**QUICK, "time_steps": 3, "init_from": str(where), **changes})
    program = build.build(config, load_data(config))
    state = program.start(7)
    found = start_from(config, state, program.connections)
    return flatten_dict(state.params, sep="/"), flatten_dict(found.params, sep="/"), found


@pytest.mark.parametrize("gradient", ["bptt", "spikebp"])
def test_weights_norms_and_statistics_come_and_neurons_stay(relu, gradient):
    net = load_run(relu)
    before, params, state = started(relu, gradient=gradient, threshold=0.7, leak=0.8)
    assert {name: value.tolist() for name, value in params.items()} == {
        name: value.tolist() for name, value in flatten_dict(net.params, sep="/").items()
    }
    assert not np.array_equal(params["conv1/kernel"], before["conv1/kernel"])
    np.testing.assert_array_equal(state.model_state["conv2"]["norm"]["var"], net.model_state["conv2"]["norm"]["var"])
    assert float(net.model_state["conv2"]["norm"]["var"].min()) != 1
    neurons = {float(state.model_state["conv2"]["neurons"][name]) for name in ("leak", "threshold")}
    assert neurons == {np.float32(0.8), np.float32(0.7)}


def test_a_run_goes_on_from_a_relu_network(relu, tmp_path):
    """Its first epoch with a rate near zero is as good as the ReLU network allows, far above chance."""
    flags = {"time_steps": 8, "lr": 1e-6, "init_from": str(relu), "leak": 1.0, "reset": "soft"}
    with jax.numpy_dtype_promotion("standard"):
        summary = run.run(small(tmp_path / "run", **{**QUICK, **flags}), "digits")
    assert summary["runs"][0]["test_accuracy"] > 0.3


def test_what_neurons_have_learned_comes_along(tmp_path):
    learned = {**QUICK, "norm": "", "neuron": "plif"}
    with jax.numpy_dtype_promotion("standard"):
        run.run(small(tmp_path / "plif", **learned), "digits")
    net = load_run(tmp_path / "plif")
    before, params, _ = started(tmp_path / "plif", **learned)
    logit = float(params["conv1/neurons/leak_logit"])
    assert logit == float(net.params["conv1"]["neurons"]["leak_logit"]) != float(before["conv1/neurons/leak_logit"])
    with pytest.raises(ValueError, match=r"its network has conv1/neurons/leak_logit \[\], this one no such numbers"):
        started(tmp_path / "plif", **{**learned, "neuron": "lif"})
    written = export.export(tmp_path / "plif", "safetensors")
    _, again, _ = started(written, **learned)
    assert {name: value.tolist() for name, value in again.items()} == {k: v.tolist() for k, v in params.items()}


def test_another_architecture_is_refused(relu):
    with pytest.raises(ValueError, match=r"has conv1/kernel \[5, 5, 1, 5\], this one \[5, 5, 1, 10\]"):
        started(relu, width=0.5)
    with pytest.raises(ValueError, match=r"has conv1/norm/bias \[5\], this one no such numbers"):
        started(relu, norm="")
    with pytest.raises(ValueError, match="its network has no conv1/bias, conv2/bias"):
        started(relu, bias=True)


def test_a_file_does_not_tell_where_its_weights_started():
    """It is a place on one machine, and trained weights do not need it."""
    assert changed(Config.of(init_from="runs/relu", width=0.5)) == {"width": 0.5}
