"""Thresholds from currents, layer after layer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import conversion, encoding, neurons, synapses
from tests.conversion import networks

STEPS = 12


def poisson(key, images, start, steps):
    return encoding.poisson(key, images, steps, start=start)


def direct(key, images, start, steps):
    return encoding.direct(images, steps)


def test_each_threshold_is_the_largest_current_of_its_layer():
    """Against trains of the balanced network: no current is larger, and one is as large."""
    _, params, _, apply, state = networks.twin(networks.plain)
    x, key, links = networks.images(), jax.random.key(3), networks.connections(networks.plain)
    net = conversion.thresholds_from_currents(apply, params, state, links, poisson, x, key=key, steps=STEPS)
    run = jax.jit(partial(apply, record=True))
    trains = run(net.params, net.state, poisson(key, x, 0, STEPS))[0].spikes
    pooled = synapses.average_pool(trains["conv1"])
    currents = {
        "conv1": synapses.conv(trains["input"], params["conv1"]["kernel"], padding=1),
        "fc1": synapses.dense(pooled.reshape(STEPS, len(x), -1), params["fc1"]["kernel"]),
    }
    for name, current in currents.items():
        assert net.state[name]["neurons"]["threshold"] == pytest.approx(float(current.max()), rel=1e-5)
        assert trains[name].any()
    assert net.scales["fc1"] == pytest.approx(float(currents["conv1"].max() * currents["fc1"].max()), rel=1e-5)
    np.testing.assert_array_equal(net.params["fc1"]["kernel"], params["fc1"]["kernel"])
    options = {"key": key, "steps": STEPS, "percentile": 90.0}
    lower = conversion.thresholds_from_currents(apply, params, state, links, poisson, x, **options)
    per_step = np.percentile(np.asarray(currents["conv1"]).reshape(STEPS, -1), 90, axis=1, method="inverted_cdf")
    assert lower.state["conv1"]["neurons"]["threshold"] == pytest.approx(per_step.max(), rel=1e-5)


@pytest.mark.slow
def test_a_balanced_residual_network_answers_as_the_relu_network():
    relu, params, relu_state, apply, state = networks.twin(networks.residual, pool="spiking", blocks=((6, 2),))
    x = networks.images(6)
    links = networks.connections(networks.residual, pool="spiking", blocks=((6, 2),))
    net = conversion.thresholds_from_currents(apply, params, state, links, direct, x, key=jax.random.key(0), steps=60)
    assert list(net.scales) == ["input", "conv1", "pool1", "block1/conv1", "block1/conv2"]
    logits = jax.jit(apply)(net.params, net.state, encoding.direct(x, 400))[0].logits
    analog = relu(params, relu_state, x[None])[0].logits
    assert np.abs(logits - analog).max() < 0.1 * np.abs(analog).max()


def test_silence_is_refused_by_name():
    _, params, _, apply, state = networks.twin(networks.plain)
    options, links = {"key": jax.random.key(0), "steps": 3}, networks.connections(networks.plain)
    with pytest.raises(ValueError, match="cannot convert the layer conv1: its threshold would be 0"):
        conversion.thresholds_from_currents(apply, params, state, links, direct, jnp.zeros((2, 6, 6, 2)), **options)
    relu, _, constants = networks.plain(neurons.relu())
    with pytest.raises(ValueError, match="cannot convert the layer conv1: its neurons have no threshold"):
        conversion.thresholds_from_currents(relu, params, constants, links, direct, networks.images(), **options)
    with pytest.raises(ValueError, match="number of time steps T must be an integer >= 1, got 0"):
        conversion.thresholds_from_currents(
            apply, params, state, links, direct, networks.images(), key=jax.random.key(0), steps=0
        )
