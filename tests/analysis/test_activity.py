import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import analysis, encoding, models


def lenet(**options):
    model = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, rngs=nnx.Rngs(0), **options)
    return models.functionalize(model)


def test_numbers_are_those_of_the_recorded_trains():
    apply, params, state = lenet(init_gain=2.0)
    x = encoding.poisson(jax.random.key(0), jax.random.uniform(jax.random.key(1), (3, 8, 8, 1), minval=-1), 12)
    measured = analysis.activity(apply, params, state, x)
    output, _ = apply(params, state, x, record=True)
    assert list(measured) == list(output.spikes)
    for name, train in output.spikes.items():
        train = np.abs(np.asarray(train)).reshape(36, -1)
        layer = measured[name]
        assert layer.neurons == train.shape[1]
        assert layer.rate == pytest.approx(train.mean(), rel=1e-5)
        assert layer.silent == pytest.approx((train.sum(0) == 0).mean())
        assert layer.saturated == pytest.approx((train.min(0) == 1).mean())
    assert analysis.warnings(measured) == []


@pytest.mark.parametrize(
    ("options", "x", "message"),
    [
        ({"init_gain": 0.01}, 1.0, r"conv1 is silent: 100.0% of its 1280 neurons never fired .*Raise init_gain"),
        ({"per_layer": {"threshold": {"fc1": 1e9}}}, 1.0, r"fc1 is silent: 100.0% of its 200 neurons"),
        ({}, 0.0, r"input is silent: 100.0% of its 64 neurons"),
    ],
)
def test_what_is_wrong_is_said_once(options, x, message):
    found = analysis.warnings(analysis.activity(*lenet(**options), jnp.full((10, 2, 8, 8, 1), x)))
    assert len([sentence for sentence in found if "silent" in sentence]) <= 1
    assert any(re.search(message, sentence) for sentence in found), found


def test_saturated_layers_are_named():
    healthy = analysis.LayerActivity(rate=0.1, silent=0.2, saturated=0.0, neurons=10)
    found = analysis.warnings(
        {"input": healthy._replace(saturated=1.0), "conv1": healthy, "fc1": healthy._replace(saturated=0.6)}
    )
    assert len(found) == 1
    assert found[0].startswith("fc1 is saturated: 60.0% of its 10 neurons fired at every step")
