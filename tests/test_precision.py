"""Narrow currents, wide membranes; and the branches of the code that only accelerators run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import neurons, spikebp, synapses
from jaxsnn.cells import lif

KINDS = {
    "the rule": neurons.spikebp(0.99, 0.7),
    "the rule with its true leak": neurons.spikebp(0.99, 0.7, leak_backward="true"),
    "surrogates": neurons.lif(0.99, 0.7),
    "surrogates, soft, leaking first": neurons.lif(0.99, 0.7, reset="soft", leak_first=True),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["hidden", "pool", "readout"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_membranes_of_narrow_currents_are_those_of_the_same_numbers_in_float32(kind, part, dtype):
    """Bit for bit, states and spikes; and gradients, but for the rounding to the dtype of the currents."""
    neuron = getattr(KINDS[kind], part)
    currents = (0.4 * jax.random.normal(jax.random.key(0), (40, 2, 9)) + 0.1).astype(dtype)
    weights = jax.random.normal(jax.random.key(1), currents.shape).astype(dtype).astype(jnp.float32)

    def run(currents):
        carry, output = neuron.run(neuron.params, neuron.init(neuron.params, (2, 9), jnp.float32), currents)
        return jnp.sum(weights * output.astype(jnp.float32)), (carry, output)

    run = jax.jit(jax.value_and_grad(run, has_aux=True))
    ((_, (carry, output)), slopes), ((_, (wide_carry, wide_output)), wide_slopes) = (
        run(x) for x in (currents, currents.astype(jnp.float32))
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(carry)} == {jnp.dtype("float32")}
    jax.tree.map(np.testing.assert_array_equal, carry, wide_carry)
    assert output.dtype == slopes.dtype == dtype
    np.testing.assert_array_equal(output, wide_output.astype(dtype))
    limit = 2 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(slopes.astype(jnp.float32), wide_slopes, rtol=limit, atol=limit)
    assert len(np.unique(wide_output)) > 1


@pytest.fixture
def elsewhere(monkeypatch):
    """Runs the branch that is not for CPUs, and counts how often."""
    taken = []

    def default(*args, cpu, default):
        taken.append(default)
        return default(*args)

    def switch():
        monkeypatch.setattr(jax.lax, "platform_dependent", default)
        return taken

    return switch


@pytest.mark.parametrize(
    ("size", "stride", "padding", "storage", "masked"),
    [
        (1, 1, 0, "bits", False),
        (3, 1, "SAME", "bytes", True),
        (3, 2, 1, "floats", True),
        (5, 1, "VALID", "bytes", False),
    ],
)
def test_convolutions_elsewhere_are_those_on_a_cpu(x64, elsewhere, size, stride, padding, storage, masked):
    """Currents, and gradients for spikes and kernel."""
    x = jax.random.bernoulli(jax.random.key(0), 0.4, (3, 2, 7, 6, 2)).astype(jnp.float64)
    kernel = jax.random.normal(jax.random.key(1), (size, size, 2, 4), jnp.float64)
    mask = jax.random.bernoulli(jax.random.key(2), 0.5, x.shape[1:]).astype(jnp.float64) / 0.5 if masked else None

    def run():
        def loss(x, kernel):
            y = synapses.conv(x, kernel, stride=stride, padding=padding, storage=storage, mask=mask)
            return jnp.sum(jnp.sin(y)), y

        return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(x, kernel)

    found, taken, other = run(), elsewhere(), run()
    assert len(taken) == 2  # forward and backward
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10), other, found)
    assert all(np.abs(g).max() > 0 for g in found[1])


@pytest.mark.parametrize("per_neuron", [False, True])
def test_neurons_elsewhere_are_those_on_a_cpu(elsewhere, per_neuron):
    """Bit for bit: of maps, with numbers of the layer, or of each neuron."""
    shape, scale = (2, 3, 4, 5), jax.random.uniform(jax.random.key(3), (1, 3, 4, 5), minval=0.5, maxval=0.9)
    params = lif.LIFParams(scale, 2 * scale) if per_neuron else lif.LIFParams(0.8, 0.6)
    currents = jax.random.normal(jax.random.key(0), (9, *shape))

    def run():
        def loss(currents):
            state, spikes = spikebp.lif(params, spikebp.init(params, shape), currents)
            return jnp.sum(jnp.sin(jnp.cumsum(spikes, 0))), (state, spikes)

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(currents)

    found, taken, other = run(), elsewhere(), run()
    assert len(taken) == 3  # the layout of neurons, and how the outputs of both loops begin
    jax.tree.map(np.testing.assert_array_equal, other, found)
    assert 0 < float(found[0][1][1].mean()) < 1
