"""Neurons that compute the average pool behind them: numbers and gradients are those of neurons, then a pool."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import layers, losses, models, neurons, synapses
from jaxsnn.cells import lif
from jaxsnn.compiling import compiler_options
from jaxsnn.surrogate import arctan

NEURONS = {
    "lif": neurons.lif(0.8).hidden,
    "soft": neurons.lif(0.8, reset="soft", leak_first=True, detach_reset=False).hidden,
    "integrate and fire": neurons.lif().pool,
    "lif, pallas": neurons.lif(0.8, kernel="pallas").hidden,
    "rule": neurons.spikebp(0.8).hidden,
    "rule, true leak, bits": neurons.spikebp(0.8, leak_backward="true", pack_spikes=True).hidden,
    "rule, pallas": neurons.spikebp(0.8, kernel="pallas").hidden,
}


def assert_close(found, expected, **tolerances):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerances), found, expected)
    assert all(np.any(x) for x in jax.tree.leaves(expected))


def apart(neuron, params, carry, currents, window):
    carry, spikes = neuron.run(params, carry, currents)
    return carry, spikes, synapses.average_pool(spikes, window)


def together(neuron, *train):
    return neuron.run_pooled(*train)


def gradients(neuron, run, window, of_spikes, steps=9, params=None):
    """Spikes, means, last potential, and the gradients by currents, first potential and `params`."""
    shape = (2, 5, 4, 3)  # the fifth row fills no window
    keys = jax.random.split(jax.random.key(1), 5)
    currents, weights = (jax.random.normal(key, (steps, *shape), jnp.float64) for key in keys[:2])
    first, last = (jax.random.normal(key, shape, jnp.float64) for key in keys[2:4])

    def loss(currents, first, params):
        params = neuron.params if params is None else params
        carry = neuron.init(params, shape, jnp.float64)._replace(potential=0.3 * first)
        carry, spikes, means = run(neuron, params, carry, 0.5 + currents, window)
        value = (jnp.sin(means) * jax.random.normal(keys[4], means.shape)).sum() + (carry.potential * last).sum()
        return value + (of_spikes * (spikes * weights).sum() if of_spikes else 0), (spikes, means, carry.potential)

    return jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(currents, first, params)


@pytest.mark.parametrize("of_spikes", [0, 0.7], ids=["means", "means and spikes"])
@pytest.mark.parametrize("window", [2, (5, 1)])
@pytest.mark.parametrize("name", NEURONS)
def test_neurons_and_pool_in_one(name, window, of_spikes, x64):
    found, expected = (gradients(NEURONS[name], run, window, of_spikes) for run in (together, apart))
    assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("of_spikes", [0, 0.7], ids=["means", "means and spikes"])
def test_learned_parameters_have_their_gradients(of_spikes, x64):
    neuron = neurons.bptt(lif.CELL, arctan)
    params = jax.tree.map(jnp.asarray, lif.LIFParams(0.8, 1.0))
    found, expected = (gradients(neuron, run, 2, of_spikes, params=params) for run in (together, apart))
    assert_close(found, expected, rtol=1e-10, atol=1e-12)


def of_network(kind, together, chunk=0, **options):
    """Output and gradients of a small LeNet."""
    if not together:
        made = [part and part._replace(run_pooled=None) for part in kind[:3]]
        kind = kind._replace(**dict(zip(("hidden", "pool", "readout"), made, strict=True)))
    model = models.create(
        "lenet", input_shape=(12, 12, 1), num_classes=3, width=0.1, neurons=kind, rngs=nnx.Rngs(0), **options
    )
    assert any(row.pool for row in model.rows) == together
    apply, params, state = models.functionalize(model)
    apply = models.in_chunks(apply, chunk) if chunk else apply
    x = (jax.random.uniform(jax.random.key(1), (10, 3, 12, 12, 1)) < 0.4).astype(params["fc1"]["kernel"].dtype)

    def loss(params):
        output, _ = apply(params, state, x, train=True, key=jax.random.key(2))
        return losses.squared_error(output.logits, jnp.arange(3)), (output.logits, output.spike_counts)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)


@pytest.mark.parametrize(
    "options",
    [{}, {"chunk": 4}, {"dropout": 0.3}, {"pool": "average"}, {"compute_dtype": jnp.bfloat16}, {"norm": "bn"}],
    ids=str,
)
@pytest.mark.parametrize("kind", [neurons.spikebp(0.9), neurons.lif(0.9)], ids=["rule", "arctan"])
def test_networks_are_the_same(kind, options):
    found, expected = (of_network(kind, together, **options) for together in (True, False))
    assert_close(found, expected, rtol=1e-5, atol=1e-6)


class Doubled(layers.AvgPool):
    def __call__(self, x, **options):
        return 2 * super().__call__(x, **options)


@pytest.mark.parametrize(("pool", "found"), [(layers.AvgPool(2), ("pool", (2, 2))), (Doubled(2), None)])
def test_a_pool_of_ones_own_is_left_alone(pool, found):
    kind, dense = neurons.lif(), layers.Dense(4, 3, rngs=nnx.Rngs(0), init_scale=1.0)
    table = [
        layers.Layer("maps", {"maps": ("input", layers.Identity())}, layers.NeuronLayer(kind.hidden)),
        layers.Layer("pool", {"pool": ("maps", pool)}),
        layers.Layer("out", {"out": ("pool", dense)}, layers.NeuronLayer(kind.readout)),
    ]
    network = models.Network(table, input_shape=(4, 4, 1))
    assert [row.pool for row in network.rows] == [found, None, None]
    output = network(2 * jnp.ones((1, 1, 4, 4, 1)), record=True)
    assert output.spikes["maps"].all()
    expected = dense((1 if found else 2) * jnp.ones((1, 1, 2, 2, 1)))
    np.testing.assert_allclose(output.potentials, expected * kind.readout.params.leak, rtol=1e-6)


@pytest.mark.parametrize("name", ["lif", "rule"])
def test_errors_of_all_neurons_are_never_held(name):
    """In units of an array of floats: potentials or bytes of spikes, gradients of currents, and a quarter of errors."""
    neuron, shape = NEURONS[name], (16, 1, 64, 64, 16)
    carry = neuron.init(neuron.params, shape[1:], jnp.float32)

    def needed(run):
        loss = lambda x: jnp.sin(run(neuron, neuron.params, carry, 2 * x, 2)[2]).sum()  # noqa: E731
        lowered = jax.jit(jax.grad(loss)).lower(jax.ShapeDtypeStruct(shape, jnp.float32))
        memory = lowered.compile(compiler_options=compiler_options()).memory_analysis()
        return memory.temp_size_in_bytes / (4 * np.prod(shape))

    assert needed(together) < needed(apart) - 0.5
