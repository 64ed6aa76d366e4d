"""Thresholds from activations: against the theory of rates, and what percentiles mean."""

import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import conversion, encoding, models, neurons
from jaxsnn.cells import lif
from jaxsnn.conversion import percentiles
from tests.conversion import networks


@pytest.mark.parametrize(("make", "pool"), [(networks.plain, "average"), (networks.residual, "spiking")])
def test_logits_and_rates_become_the_relu_networks(make, pool):
    """Constant input, soft reset: the error of every rate falls as 1/T, through shortcuts and pools too."""
    relu, params, relu_state, apply, state = networks.twin(make, pool=pool)
    x = networks.images()
    found = conversion.largest_activations(relu, params, relu_state, [x[None]])
    net = conversion.thresholds_from_activations(params, state, networks.connections(make, pool=pool), found)
    analog = jax.jit(partial(relu, record=True))(params, relu_state, x[None])[0]
    run = jax.jit(partial(models.in_chunks(apply, 50), record=True))
    spiking = run(net.params, net.state, encoding.direct(x, 1000))[0]
    readout, size = max(params), np.abs(analog.logits).max()
    errors = [
        np.abs(spiking.potentials[t - 1] / (t * net.state[readout]["neurons"]["threshold"]) - analog.logits)
        for t in (100, 1000)
    ]
    assert errors[1].max() < 0.02 * size
    assert errors[1].max() < errors[0].max() / 4
    np.testing.assert_allclose(spiking.logits, analog.logits, atol=0.02 * size)
    assert list(net.scales) == ["input", *found]
    for name, largest in found.items():
        assert net.scales[name] == pytest.approx(largest)
        rate = np.asarray(spiking.spikes[name]).mean(0) * largest
        np.testing.assert_allclose(rate, analog.spikes[name][0], atol=0.03 * largest, err_msg=name)


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_rate_of_a_neuron_under_constant_current(x64, reset):
    """(E11): soft reset counts ceil(T I / V) - 1 spikes, hard reset one every floor(V / I) + 1 steps."""
    rng, steps, threshold = np.random.default_rng(0), 200, 0.7
    current = rng.uniform(0, threshold, 50)
    current[:5] *= -1
    neuron = neurons.lif(leak=1.0, threshold=threshold, reset=reset).hidden
    train = jnp.broadcast_to(jnp.asarray(current), (steps, 1, 50))
    params = lif.LIFParams(1.0, threshold)
    _, spikes = neuron.run(params, neuron.init(params, (1, 50), jnp.float64), train)
    count = np.asarray(spikes).sum((0, 1))
    positive = np.maximum(current, 1e-12)
    soft = np.ceil(steps * positive / threshold) - 1
    hard = np.floor(steps / (np.floor(threshold / positive) + 1))
    np.testing.assert_array_equal(count, np.where(current > 0, soft if reset == "soft" else hard, 0))
    rate = np.maximum(current, 0) / threshold
    if reset == "soft":
        assert np.abs(count / steps - rate).max() <= 1 / steps
    else:
        assert (count / steps <= rate).all()


@pytest.mark.parametrize(
    ("percentile", "count", "value"),
    [(90, 1000, 900), (90.0, 1000, 900), (99.9, 1000, 999), (99.9, 10**6, 999_000), (100, 10, 10), (0.1, 1000, 1)],
)
def test_a_percentile_is_the_very_value(percentile, count, value):
    """In floats 0.1 of 1,000 are 99 values, and the percentile of 1 to 1,000 was 901."""
    values = np.random.default_rng(0).permutation(count) + 1.0
    assert count - percentiles.values_above(percentile, count) == value
    assert percentiles.percentile_of(jnp.asarray(values, jnp.float32), percentile) == value

    def apply(params, state, x, *, record=False):
        return types.SimpleNamespace(spikes={"input": x, "fc1": x}), state

    apply.names = ("fc1",)

    parts = np.split(values.astype(np.float32), 5)
    batches = [jnp.asarray(part)[None] for part in parts]
    found = conversion.largest_activations(apply, {}, {}, batches, percentile=percentile)
    assert found == {"fc1": value}


@pytest.mark.parametrize("percentile", [100.0, 99.0, 50.0])
def test_percentiles_over_all_batches(percentile):
    relu, params, state, *_ = networks.twin(networks.plain)
    batches = [networks.images(4, seed)[None] for seed in range(3)]
    found = conversion.largest_activations(relu, params, state, batches, percentile=percentile)
    assert list(found) == ["conv1", "fc1"]
    run = jax.jit(partial(relu, record=True))
    for name, value in found.items():
        every = np.concatenate([np.ravel(run(params, state, x)[0].spikes[name]) for x in batches])
        expected = np.percentile(every, percentile, method="inverted_cdf")
        exactness = 1e-5 * float(every.max())  # of a convolution in float32
        assert value == pytest.approx(expected, abs=exactness), name


def test_gain_of_the_input_and_what_cannot_be():
    relu, params, relu_state, _, state = networks.twin(networks.plain)
    found = conversion.largest_activations(relu, params, relu_state, [networks.images()[None]])
    links = networks.connections(networks.plain)
    whole, half = (
        conversion.thresholds_from_activations(params, state, links, found, gain=gain) for gain in (1.0, 0.5)
    )
    threshold = [net.state["conv1"]["neurons"]["threshold"] for net in (whole, half)]
    assert threshold[1] == threshold[0] / 2  # a spike of the input stands for twice as much
    assert half.state["fc1"]["neurons"]["threshold"] == whole.state["fc1"]["neurons"]["threshold"]
    with pytest.raises(ValueError, match="cannot convert the layer fc1: its threshold would be 0, since nothing in it"):
        conversion.thresholds_from_activations(params, state, links, found | {"fc1": 0.0})
    with pytest.raises(ValueError, match="percentile must lie in .0, 100., got 0"):
        conversion.largest_activations(relu, params, relu_state, [networks.images()[None]], percentile=0)
    with pytest.raises(ValueError, match="no batch of samples came"):
        conversion.largest_activations(relu, params, relu_state, [])
