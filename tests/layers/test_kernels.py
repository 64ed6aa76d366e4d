"""Kernels have the numbers of the scan, and lower for accelerators without one."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import SURROGATES, neurons

STEPS, SHAPE = 6, (2, 3, 5)
RESETS = {"hard": {}, "soft": {}, "none": {}, "delayed": {}, "value": {"v_reset": 0.2}}
VARIANTS = [
    (name, reset, leak_first)
    for name, reset, leak_first in itertools.product(SURROGATES, RESETS, (False, True))
    if not (reset == "delayed" and leak_first)
]
FEW = {("arctan", "hard", False), ("sigmoid", "soft", True), ("triangle", "delayed", False), ("s2nn", "value", True)}


def train(dtype=jnp.float32, shape=SHAPE, steps=STEPS):
    keys = jax.random.split(jax.random.key(3), 3)
    currents = 0.4 + jax.random.normal(keys[0], (steps, *shape), jnp.float32)
    return currents.astype(dtype), jax.random.normal(keys[1], (steps, *shape)), jax.random.normal(keys[2], shape)


def outcome(neuron, dtype=jnp.float32, params=None, shape=SHAPE):
    """Spikes, last carry, and gradients of currents and first carry."""
    currents, weights, last = train(dtype, shape)
    params = neuron.params if params is None else params
    rest = neuron.init(params, shape, jnp.float32)
    rest = rest._replace(potential=rest.potential + 0.3)

    def loss(currents, potential):
        carry, spikes = neuron.run(params, rest._replace(potential=potential), currents)
        assert spikes.dtype == dtype
        return (spikes * weights).sum() + (carry.potential * last).sum(), (spikes, carry)

    (_, out), gradients = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(currents, rest.potential)
    return out, gradients


def assert_alike(make, **more):
    found, expected = outcome(make(kernel="pallas"), **more), outcome(make(kernel="scan"), **more)
    assert 0.02 < np.mean(expected[0][0]) < 0.98
    jax.tree.map(lambda a, b: np.testing.assert_allclose(f32(a), f32(b), rtol=1e-6, atol=1e-6), found, expected)


def f32(x):
    return np.asarray(x, np.float32)


@pytest.mark.parametrize(
    ("name", "reset", "leak_first"),
    [pytest.param(*v, marks=() if v in FEW else pytest.mark.thorough) for v in VARIANTS],
)
def test_surrogates_resets_and_orders_are_those_of_the_scan(name, reset, leak_first):
    spike = partial(SURROGATES[name], slope=1.7)
    assert_alike(
        lambda kernel: (
            neurons.lif(0.8, spike=spike, reset=reset, leak_first=leak_first, kernel=kernel, **RESETS[reset]).hidden
        )
    )
