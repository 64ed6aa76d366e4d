"""No gradient is silently zero: every surrogate, in every neuron, behind every format in which spikes are kept."""

from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import SURROGATES, neurons
from jaxsnn.cells import CELLS
from jaxsnn.heaviside import Surrogate
from jaxsnn.storage import Storage
from jaxsnn.synapses import dense

STEPS = 5
FORMATS = get_args(Storage)
SCALES = {"psn": 6.0, "masked_psn": 6.0, "plif": 3.0, "klif": 3.0, "alif": 25.0, "adlif": 12.0, "izhikevich": 3.0}
"""Larger weights where neurons scale their input down."""
MAKERS = {
    **{name: partial(neurons.bptt, cell) for name, cell in CELLS.items() if cell.fires},
    "psn": lambda spike: neurons.psn(STEPS, spike=spike),
    "masked_psn": lambda spike: neurons.masked_psn(STEPS, spike=spike),
    "sliding_psn": lambda spike: neurons.sliding_psn(spike=spike),
    "recurrent lif": partial(neurons.bptt, CELLS["lif"]),
}


def derivatives(x, number):
    """Of the surrogate of this number, which comes in the place of a slope: one program for all."""
    found = [surrogate.derivative(x, jnp.asarray(surrogate.slope, x.dtype)) for surrogate in SURROGATES.values()]
    return jnp.stack(found)[number.astype(jnp.int32)]


ANY = Surrogate("any", derivatives, derivatives, 0.0)


def gradients(name, storage, number, first, second, x):
    """Of both weights, of a network of two layers whose neurons fire through surrogate `number`."""
    neuron = MAKERS[name](spike=lambda u: ANY(u, number))
    weights = {field: make(jax.random.key(3)) for field, make in neuron.weights.items()}
    params = neuron.params._replace(**weights)
    back = 0.5 * jnp.ones((len(second), len(second)))

    def loss(first, second):
        currents = dense(x, first, storage=storage)
        rest = neuron.init(params, currents.shape[1:], currents.dtype)
        if name == "recurrent lif":
            rest = neurons.RecurrentState(rest, jnp.zeros_like(currents[0]))
            feed = lambda weights, sent: sent @ weights  # noqa: E731
            spikes = neurons.run_recurrent(neuron, feed, params, back, rest, currents, storage=storage)[1]
        else:
            spikes = neuron.run(params, rest, currents)[1]
        return jnp.sum(jnp.sin(dense(spikes, second, storage=storage)))

    return jax.grad(loss, (0, 1))(first, second)


@pytest.mark.parametrize("name", MAKERS)
def test_of_every_surrogate_through_every_neuron_and_format(name):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.bernoulli(keys[0], 0.6, (STEPS, 2, 4)).astype(jnp.float32)
    first = SCALES.get(name, 1.0) * jax.random.uniform(keys[1], (4, 6), minval=-0.4, maxval=1.6)
    second = jax.random.normal(keys[2], (6, 3))

    @jax.jit
    def all_of_them(first, second, x):
        numbers = jnp.arange(len(SURROGATES), dtype=jnp.float32)
        one = lambda storage: lambda number: gradients(name, storage, number, first, second, x)  # noqa: E731
        return [jax.vmap(one(storage))(numbers) for storage in FORMATS]

    found = jax.device_get(all_of_them(first, second, x))
    for storage, (of_first, of_second) in zip(FORMATS, found, strict=True):
        for surrogate, by_first, by_second in zip(SURROGATES, of_first, of_second, strict=True):
            assert np.isfinite(by_first).all(), (surrogate, storage)
            assert np.abs(by_first).max() > 1e-4, (surrogate, storage)
            assert np.abs(by_second).max() > 1e-4, (surrogate, storage)
        np.testing.assert_allclose(of_first, found[0][0], rtol=1e-4, atol=1e-5, err_msg=storage)
        np.testing.assert_allclose(of_second, found[0][1], rtol=1e-5, err_msg=storage)
    # up to 1 above the threshold, and below it, leaky_k_relu and log_tailed_relu are one
    assert len({tuple(np.round(by_first.ravel(), 6)) for by_first in found[0][0]}) >= len(SURROGATES) - 1
