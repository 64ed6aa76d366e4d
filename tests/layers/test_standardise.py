"""Scaled weight standardisation equals SpikingJelly's, and its weights have the mean and variance that it promises."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import models
from jaxsnn.layers import Conv, Dense
from jaxsnn.layers.synapses import standardised

RECORDED = np.load(Path(__file__).with_name("norms.npz"))  # from benchmarks.peers.vectors_norms


def synapse(kind):
    options = {"rngs": nnx.Rngs(0), "bias": True, "standardise": True, "param_dtype": jnp.float64}
    return Conv(4, 3, 2, padding=0, **options) if kind == "conv" else Dense(4, 3, **options)


def ours(kind, weight):
    """Their `[features, channels, H, W]` or `[features, inputs]` in our order."""
    return jnp.asarray(weight.transpose(2, 3, 1, 0) if kind == "conv" else weight.T)


@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_currents_and_gradients_are_theirs(kind, x64):
    weight, gain, bias, *slopes = (
        RECORDED[f"sws/{kind}/{part}{key}"] for part in ("", "slope/") for key in ("weight", "gain", "bias")
    )
    run, _, state = models.functionalize(synapse(kind))
    params = {"kernel": ours(kind, weight), "gain": jnp.asarray(gain.ravel()), "bias": jnp.asarray(bias)}
    x = jnp.asarray(RECORDED["first"][:1] if kind == "conv" else RECORDED["first"][:1, :, 0, 0])

    @jax.jit
    @jax.grad
    def by_params(params):
        return jnp.sum(jnp.sin(run(params, state, x)[0]))

    found, expected = run(params, state, x)[0][0], RECORDED[f"sws/{kind}"]
    close = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(found, np.moveaxis(expected, 1, -1) if kind == "conv" else expected, **close)
    theirs = {"kernel": ours(kind, slopes[0]), "gain": slopes[1].ravel(), "bias": slopes[2]}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), by_params(params), theirs)


def test_mean_and_variance_of_the_weights_and_their_dtype():
    kernel = 3 + jax.random.normal(jax.random.key(0), (3, 3, 40, 2))
    found = standardised(kernel, jnp.asarray([1.0, 2.0]))
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(found.var((0, 1, 2), ddof=1) * 360, [1, 4], rtol=1e-4)
    assert standardised(kernel.astype(jnp.bfloat16), jnp.ones(2)).dtype == jnp.bfloat16


def test_a_network_standardises_all_but_its_readout_and_one_weight_is_refused():
    options = {"input_shape": (8, 8, 1), "num_classes": 3, "standardise": True, "width": 0.2}
    _, params, _ = models.functionalize(models.create("lenet", rngs=nnx.Rngs(0), **options))
    assert {name for name, of in params.items() if "gain" in of} == {"conv1", "conv2", "fc1"}
    with pytest.raises(ValueError, match="takes the variance of a feature's weights, of which there is one"):
        Conv(1, 4, 1, rngs=nnx.Rngs(0), standardise=True)
