"""Weights in files: back as they were, refused where layers or neurons differ; weights of PyTorch networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from jaxsnn import interchange, models, neurons


def network(**options):
    defaults = {"input_shape": (8, 8, 2), "num_classes": 3, "width": 0.2, "rngs": nnx.Rngs(0)}
    model = models.create("lenet", **defaults | options)
    return model, *models.functionalize(model)


def test_numbers_come_back_as_they_were(tmp_path):
    options = {"norm": "bn", "bias": True, "neurons": neurons.lif(learn=("leak",))}
    model, _, params, state = network(**options)
    params, state = jax.tree.map(lambda x: x + 0.1, (params, state))
    interchange.save_weights(tmp_path / "w.safetensors", model, params, state, accuracy="0.9")
    found = interchange.load_weights(
        tmp_path / "w.safetensors", network(norm="bn", bias=True, neurons=neurons.lif(learn=("leak",)))[0]
    )
    assert jax.tree.structure(found) == jax.tree.structure((params, state))
    jax.tree.map(np.testing.assert_array_equal, found, (params, state))
    with safetensors.safe_open(tmp_path / "w.safetensors", "np") as stream:
        assert stream.metadata()["accuracy"] == "0.9"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neurons": neurons.lif(reset="soft")}, "trained with other neurons in conv1: .*'hard'.*'soft'"),
        ({"neurons": neurons.lif(leak_first=True)}, "trained with other neurons in conv1: .*'leak_first': False.*True"),
        ({"width": 0.3}, "does not fit the network: params/conv1/kernel is .5, 5, 2, 4. there, .5, 5, 2, 6. here"),
        ({"bias": True}, "does not fit the network: params/conv1/bias is None there, .4,. here"),
        ({"pool": "average"}, "other neurons in pool1: .* here no such layer"),
    ],
)
def test_another_network_is_refused(options, message, tmp_path):
    model, _, params, state = network(neurons=neurons.lif())
    interchange.save_weights(tmp_path / "w.safetensors", model, params, state)
    with pytest.raises(ValueError, match=message):
        interchange.load_weights(tmp_path / "w.safetensors", network(**{"neurons": neurons.lif()} | options)[0])


def test_files_that_are_none(tmp_path):
    model, _, params, state = network()
    with pytest.raises(FileNotFoundError, match="there is no file"):
        interchange.load_weights(tmp_path / "none", model)
    interchange.save_weights(tmp_path / "w", model, params, state)
    whole = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="no safetensors file, or a damaged one"):
        interchange.load_weights(tmp_path / "w", model)
    safetensors.numpy.save_file({"x": np.ones(2)}, tmp_path / "w")
    with pytest.raises(ValueError, match="holds no weights of this library in version 2"):
        interchange.load_weights(tmp_path / "w", model)


@pytest.mark.parametrize("ending", ["npz", "safetensors", "dict"])
def test_weights_of_a_pytorch_network(ending, tmp_path):
    """Layouts OIHW and C, H, W: the readout's currents are those of the other network, computed here by its layout."""
    rng = np.random.default_rng(0)
    state = {
        "0.weight": rng.normal(size=(4, 2, 5, 5)),
        "0.bias": rng.normal(size=4),
        "3.weight": rng.normal(size=(10, 4, 5, 5)),
        "3.bias": rng.normal(size=10),
        "7.weight": rng.normal(size=(40, 40)),
        "7.bias": rng.normal(size=40),
        "9.weight": rng.normal(size=(3, 40)),
        "9.bias": rng.normal(size=3),
    }
    state = {name: np.ascontiguousarray(value, np.float32) for name, value in state.items()}
    source = tmp_path / f"net.{ending}"
    if ending == "npz":
        np.savez(source, **state)
    elif ending == "safetensors":
        safetensors.numpy.save_file(state, source)
    model, _, _, constants = network(bias=True, neurons=neurons.relu())
    params = interchange.from_torch(state if ending == "dict" else source, model)
    x = jax.random.uniform(jax.random.key(0), (1, 2, 8, 8, 2))
    ours = jax.jit(models.functionalize(model)[0])(params, constants, x)[0].potentials[0]
    y = jnp.moveaxis(x[0], -1, 1)
    for name in ("0", "3"):
        y = jax.lax.conv_general_dilated(y, state[f"{name}.weight"], (1, 1), "SAME")
        y = jax.nn.relu(y + state[f"{name}.bias"].reshape(1, -1, 1, 1))
        y = y.reshape(*y.shape[:2], y.shape[2] // 2, 2, -1, 2).mean((3, 5))
    y = jax.nn.relu(y.reshape(2, -1) @ state["7.weight"].T + state["7.bias"][None])
    theirs = y @ state["9.weight"].T + state["9.bias"][None]
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("9.weight"), r"the state dict has 3 weights \(0.weight, 3.weight, 7.weight\), the network 4"),
        (
            lambda s: s.update({"0.weight": np.ones((4, 3, 5, 5))}),
            r"0.weight is \[4, 3, 5, 5\].*conv1 has",
        ),
        (
            lambda s: s.update({"0.bias": np.ones(4)}),
            "0.weight has a bias, conv1 has none: .* bias=True",
        ),
    ],
)
def test_weights_that_do_not_fit(change, message):
    shapes = {"0": (4, 2, 5, 5), "3": (10, 4, 5, 5), "7": (40, 40), "9": (3, 40)}
    state = {f"{name}.weight": np.zeros(shape, np.float32) for name, shape in shapes.items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        interchange.from_torch(state, network()[0])
