"""Parallel spiking neurons: trained arrays in a network, chunks or a clear refusal, dtypes, storage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import models, neurons
from jaxsnn.layers import NeuronLayer

STEPS = 6
MAKERS = {
    "psn": lambda: neurons.psn(STEPS),
    "masked_psn": lambda: neurons.masked_psn(STEPS, order=3),
    "sliding_psn": lambda: neurons.sliding_psn(order=3),
}
every = pytest.mark.parametrize("name", MAKERS)


def build(name, dtype=jnp.float64, **options):
    kind = neurons.of_neuron(MAKERS[name](), pack_spikes=options.pop("pack", False))
    options = {"input_shape": (5,), "num_classes": 3, "hidden": (8, 7), "init_gain": 4.0} | options
    return models.functionalize(models.create("mlp", neurons=kind, param_dtype=dtype, rngs=nnx.Rngs(0), **options))


def spikes(dtype=jnp.float64, steps=STEPS):
    return jax.random.bernoulli(jax.random.key(1), 0.5, (steps, 2, 5)).astype(dtype)


def objective(params, apply, state, x):
    output, _ = apply(params, state, x, record=True)
    return jnp.sum(jnp.sin(output.potentials)), output.spikes


run = jax.jit(jax.value_and_grad(objective, has_aux=True), static_argnums=1)


@every
def test_arrays_are_trained_in_a_network(name, x64):
    apply, params, state = build(name)
    shape = {"sliding_psn": (3,)}.get(name, (STEPS, STEPS))
    assert params["fc1"]["neurons"]["weight"].shape == shape
    assert params["fc1"]["neurons"]["weight"].dtype == jnp.float64
    biases = {"psn": -np.ones(STEPS), "masked_psn": -np.ones(STEPS), "sliding_psn": -1.0}
    np.testing.assert_array_equal(params["fc1"]["neurons"]["bias"], biases[name])
    assert not state.get("fc1", {}).get("neurons", {}).keys() - {"masking"}
    if name != "sliding_psn":  # random, each layer its own
        assert np.abs(params["fc1"]["neurons"]["weight"] - params["fc2"]["neurons"]["weight"]).max() > 0.1
    (_, sent), gradients = run(params, apply, state, spikes())
    assert 0.02 < np.mean(sent["fc1"]) < 0.9
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradients))
    packed, _, _ = build(name, pack=True)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14),
        run(params, packed, state, spikes())[1],
        gradients,
    )


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_sliding_in_chunks_is_the_whole(chunk, x64):
    """Chunks shorter than the window, as long as it, and a shorter last one."""
    apply, params, state = build("sliding_psn")
    whole = run(params, apply, state, spikes(steps=7))
    pieces = run(params, models.in_chunks(apply, chunk), state, spikes(steps=7))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14), pieces, whole)


@pytest.mark.parametrize("name", ["psn", "masked_psn"])
def test_neurons_of_fixed_length_refuse_chunks_and_other_lengths(name):
    apply, params, state = build(name, jnp.float32)
    with pytest.raises(ValueError, match="the neurons of fc1 need the whole train at once: run without chunks"):
        models.in_chunks(apply, 2)(params, state, spikes(jnp.float32))
    with pytest.raises(ValueError, match="made for trains of 6 steps, got 5"):
        apply(params, state, spikes(jnp.float32, 5))


def test_masks(x64):
    """Step t of a masked PSN sees its last three steps; with masking 0 it sees all."""
    neuron = neurons.masked_psn(STEPS, order=3)
    weight, x = jnp.ones((STEPS, STEPS)), jnp.arange(1.0, STEPS + 1)[:, None, None]

    def slopes(masking):
        params = neuron.params._replace(weight=weight, bias=jnp.zeros(STEPS), masking=jnp.asarray(masking))
        return np.asarray(jax.jacobian(lambda x: neuron.run(params, (), x)[1])(x)).reshape(STEPS, STEPS)

    lag = np.subtract.outer(np.arange(STEPS), np.arange(STEPS))
    np.testing.assert_array_equal(slopes(1.0) != 0, (lag >= 0) & (lag < 3))
    assert (slopes(0.0) != 0).all()


@every
def test_bfloat16_currents(name):
    apply, params, state = build(name, jnp.float32, compute_dtype=jnp.bfloat16)
    output = jax.jit(lambda p, x: apply(p, state, x, record=True)[0])(params, spikes(jnp.float32))
    assert output.spikes["fc1"].dtype == jnp.bfloat16
    assert output.potentials.dtype == jnp.float32


def test_under_vmap_over_weights():
    apply, params, state = build("sliding_psn", jnp.float32)
    two = jax.tree.map(lambda p: jnp.stack([p, 0.9 * p]), params)
    mapped = jax.jit(jax.vmap(lambda p: objective(p, apply, state, spikes(jnp.float32))[0]))(two)
    np.testing.assert_allclose(mapped[0], run(params, apply, state, spikes(jnp.float32))[0][0], rtol=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"these neurons have weights \(weight, bias\): give NeuronLayer their rngs"):
        NeuronLayer(neurons.sliding_psn())
    with pytest.raises(ValueError, match="the order of a sliding PSN must be an integer >= 1, got 0"):
        neurons.sliding_psn(order=0)
    with pytest.raises(ValueError, match="the number of time steps T must be an integer >= 1, got 0"):
        neurons.psn(0)
    with pytest.raises(ValueError, match="learn names 'weight', which these neurons cannot learn"):
        NeuronLayer(neurons.sliding_psn(), learn=("weight",), rngs=nnx.Rngs(0))
