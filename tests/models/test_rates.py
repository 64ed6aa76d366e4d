"""Initial weights from data: every layer fires at the rate that was asked for, at any number of steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from jaxsnn import analysis, encoding, models, neurons
from jaxsnn.lab.config import Config


def network(name="lenet", shape=(12, 12, 1), **options):
    defaults = {"num_classes": 3, "width": 0.2, "neurons": neurons.spikebp(), "rngs": nnx.Rngs(0)}
    model = models.create(name, input_shape=shape, **defaults | options)
    return model, *models.functionalize(model)


def spikes(steps, shape=(12, 12, 1), samples=8):
    return encoding.poisson(jax.random.key(1), 0.5 * jnp.ones((samples, *shape)), steps)


@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.sampled_from([2, 4, 7]), st.floats(0.08, 0.3), st.floats(0.05, 20))
def test_layers_fire_at_the_rate(steps, rate, spread):
    model, apply, params, state = network()
    x = spikes(steps)
    scaled, moved, found = models.scale_to_rate(
        apply, jax.tree.map(lambda w: spread * w, params), state, models.connections(model), x, rate
    )
    assert list(found) == ["conv1", "pool1", "conv2", "pool2", "fc1"]
    measured = analysis.activity(apply, scaled, moved, x)
    for name, value in found.items():
        assert value > 0.8 * rate
        assert name[:4] == "pool" or value < 1.2 * rate
        assert measured[name].rate == pytest.approx(value, abs=1e-6)
    np.testing.assert_array_equal(scaled["fc2"]["kernel"], spread * params["fc2"]["kernel"])
    turned = scaled["conv1"]["kernel"] / params["conv1"]["kernel"]
    np.testing.assert_allclose(turned, turned.ravel()[0], rtol=1e-5)


@pytest.mark.thorough
def test_a_residual_block_scales_its_shortcut_too():
    model, apply, params, state = network("resnet9", (16, 16, 3), width=0.05)
    x = spikes(3, (16, 16, 3))
    scaled, _, found = models.scale_to_rate(apply, params, state, models.connections(model), x, 0.2)
    assert "block1/conv2" in found
    assert "block1/shortcut" not in found
    factors = [
        float((scaled["block1"][name]["kernel"] / params["block1"][name]["kernel"]).mean())
        for name in ("conv2", "shortcut")
    ]
    assert factors[0] == pytest.approx(factors[1], rel=1e-5)
    assert factors[0] != pytest.approx(1.0, rel=1e-3)


def test_what_cannot_be_scaled():
    model, apply, params, state = network()
    arguments = (apply, params, state, models.connections(model))
    with pytest.raises(ValueError, match=r"expected a rate in .0, 0.5., got 0.5"):
        models.scale_to_rate(*arguments, spikes(2), 0.5)
    with pytest.raises(ValueError, match=r"expected a rate in .0, 0.5., got 0:"):
        models.scale_to_rate(*arguments, spikes(2), 0.0)
    with pytest.raises(ValueError, match="no gain lets conv1 fire at a rate of 0.2: .* gives 0"):
        models.scale_to_rate(*arguments, jnp.zeros((2, 4, 12, 12, 1)), 0.2)
    kernel = jnp.zeros_like(params["conv1"]["kernel"]).at[2, 2].set(1.0)  # neurons that fire all at once, or not at all
    alike = params | {"conv1": {"kernel": kernel}}
    with pytest.raises(ValueError, match="no gain lets conv1 fire at a rate of 0.2: .* gives 0.5"):
        models.scale_to_rate(apply, alike, *arguments[2:], jnp.ones((2, 4, 12, 12, 1)), 0.2)
    model, apply, params, state = network(bias=True)
    with pytest.raises(ValueError, match="conv1 has a norm or a bias, which decides its currents"):
        models.scale_to_rate(apply, params, state, models.connections(model), spikes(2), 0.2)
    for fields in ({"norm": "bn"}, {"bias": True}, {"neuron": "relu"}):
        with pytest.raises(ValueError, match="init_rate scales the weights of spiking layers"):
            Config.of(init_rate=0.2, **fields)
