"""ReLU in the place of spiking neurons: an ordinary analog network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import neurons
from tests.conversion import networks


def plain_jax(params, x):
    x = jax.lax.conv_general_dilated(
        x, params["conv1"]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = jax.nn.relu(x).reshape(len(x), 3, 2, 3, 2, 4).mean((2, 4))
    x = jax.nn.relu(x.reshape(len(x), -1) @ params["fc1"]["kernel"])
    return x @ params["fc2"]["kernel"]


@pytest.mark.parametrize("pool", ["spiking", "average"])
def test_relu_network_is_the_ordinary_one(x64, pool):
    """Logits and gradients; a backward pass that kept activations as bytes would round them."""
    apply, params, state = networks.plain(neurons.relu(), pool=pool, param_dtype=jnp.float64)
    x = networks.images()
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)))

    def ours(params):
        return jnp.sum(apply(params, state, x[None])[0].logits * weights)

    (value, gradients), (expected, g_expected) = (
        jax.jit(jax.value_and_grad(f))(params) for f in (ours, lambda params: jnp.sum(plain_jax(params, x) * weights))
    )
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), gradients, g_expected)


def test_the_twin_has_the_same_parameters():
    _, relu, _ = networks.residual(neurons.relu())
    _, spiking, _ = networks.residual(neurons.spikebp())
    jax.tree.map(np.testing.assert_array_equal, relu, spiking)
    with pytest.raises(ValueError, match="threshold given for conv1: .* or its neurons have no threshold"):
        networks.plain(neurons.relu(), per_layer={"threshold": {"conv1": 0.5}})
